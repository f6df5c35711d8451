"""From a request to a plan: fetch the template, transform it, check it, give its parameters values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from botocore.exceptions import ClientError

from springboard_local.pipeline import ApiError
from springboard_local.services import sam
from springboard_local.services.cloudformation import template as templates
from springboard_local.services.cloudformation.stacks import STACK_TYPE, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.cloud import Cloud
    from springboard_local.services.cloudformation.engine import Engine

_NAMED = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
}
_IAM = {*_NAMED, "AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::AccessKey", "AWS::IAM::UserToGroupAddition"}


class TransformError(Exception):
    """A transform refuses the template: the change set fails, and nothing else does."""


def template_at(cloud: Cloud, url: str) -> str:
    """The text of a template in S3, whichever form its URL has."""
    parsed = urlparse(url)
    host, path = parsed.netloc.rsplit(":", 1)[0], unquote(parsed.path.lstrip("/"))
    path_style = re.fullmatch(r"(127\.0\.0\.1|localhost|s3([.-][a-z0-9-]+)?\.amazonaws\.com)", host)
    bucket, _, key = path.partition("/") if path_style else (host.split(".", 1)[0], "", path)
    try:
        body = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise templates.TemplateError(f"S3 error: {error.response['Error'].get('Message')} ({url})") from error
    return str(body.decode())


def plan(
    engine: Engine,
    text: str,
    given: Mapping[str, str],
    tags: dict[str, str],
    capabilities: list[str],
    *,
    role_arn: str | None = None,
    notification_arns: list[str] | None = None,
    description: str = "",
) -> Plan:
    """A checked plan. TemplateError, TransformError, or ApiError for a capability that is missing."""
    template = templates.parse(text)
    values = templates.parameter_values(template, given, engine.read_parameter)
    processed = transformed(template, given)
    templates.validate(processed)
    # The transform may add parameters of its own.
    values = templates.parameter_values(processed, given, engine.read_parameter) | values
    missing = sorted(set(required_capabilities(processed, template)) - set(capabilities))
    if "CAPABILITY_NAMED_IAM" in capabilities and "CAPABILITY_IAM" in missing:
        missing.remove("CAPABILITY_IAM")
    if missing:
        raise ApiError("InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(missing)}]")
    text_description = description or str(processed.get("Description", ""))
    return Plan(
        text, processed, dict(given), values, tags, capabilities, role_arn, notification_arns or [], text_description
    )


def transformed(template: dict[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The template after its transforms; only SAM's is known."""
    names = sam.transforms(template)
    unknown = [name for name in names if name != sam.TRANSFORM]
    if unknown:
        raise TransformError(f"Transform {', '.join(unknown)} is not part of the local cloud")
    if sam.TRANSFORM not in names:
        return template
    try:
        return sam.transform(template, given)
    except sam.InvalidTemplateError as error:
        raise TransformError(str(error)) from error


def required_capabilities(processed: Mapping[str, Any], original: Mapping[str, Any]) -> list[str]:
    """What the sender has to acknowledge."""
    needed = []
    resources = processed["Resources"].values()
    if any(_NAMED.get(each["Type"]) in (each.get("Properties") or {}) for each in resources if each["Type"] in _NAMED):
        needed.append("CAPABILITY_NAMED_IAM")
    elif any(each["Type"] in _IAM for each in resources):
        needed.append("CAPABILITY_IAM")
    if sam.transforms(original) and any(each["Type"] == STACK_TYPE for each in resources):
        needed.append("CAPABILITY_AUTO_EXPAND")
    return needed


def resource_types(template: Mapping[str, Any]) -> list[str]:
    """The types of a template's resources, each once."""
    return sorted({each["Type"] for each in template["Resources"].values()})
