"""The SAM transform: AWS's own translator, asked for no more than it needs, with no call to AWS."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSFORM = "AWS::Serverless-2016-10-31"


class InvalidTemplateError(ValueError):
    """The translator refuses the template; the message names each fault."""


def transforms(template: Mapping[str, Any]) -> list[str]:
    """The names of the transforms that a template asks for."""
    named = template.get("Transform") or []
    return [str(name) for name in (named if isinstance(named, list) else [named])]


def transform(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The template with its serverless resources expanded, and without the transform."""
    import boto3  # noqa: PLC0415 - the translator takes a second to import, and few processes need it
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    fragment = copy.deepcopy(dict(template))
    values = {name: each.get("Default", "") for name, each in fragment.get("Parameters", {}).items()}
    values |= {**parameters, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::AccountId": ACCOUNT}
    session = boto3.Session(region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
    try:
        translated = Translator(_managed_policies(), Parser(), boto_session=session).translate(
            fragment, parameter_values=values
        )
    except InvalidDocumentException as error:
        reasons = [each.message for each in error.causes] or [error.message]
        raise InvalidTemplateError(
            f"Transform {TRANSFORM} failed with: {error.message}. {' '.join(reasons)}"
        ) from error
    translated.pop("Transform", None)
    expanded: dict[str, Any] = json.loads(json.dumps(translated))
    return expanded


@cache
def _managed_policies() -> dict[str, str]:
    """ARNs of AWS's managed policies by name, so that the translator need not list them."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data  # noqa: PLC0415

    policies = json.loads(aws_managed_policies_data)
    return {name: f"arn:aws:iam::aws:policy{policy['Path']}{name}" for name, policy in policies.items()}
