"""The actions that AWS demands of a caller beside the one that was called: `data/dependent_actions.yaml`, applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jmespath  # type: ignore[import-untyped]  # botocore's own dependency has no stubs
import yaml

from springboard_local.cloud import ACCOUNT
from springboard_local.services.iam.resources import Question, ec2_arn, key_arn, resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from springboard_local.pipeline import Call

_PLACE = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True)
class ServiceLinkedRole:
    """A role that the call would make on the way, if it isn't there."""

    role: str
    service: str

    @property
    def question(self) -> Question:
        """What the caller must be allowed for it."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{self.service}/{self.role}"
        return Question("iam:CreateServiceLinkedRole", arn, {"iam:awsservicename": (self.service,)})


@cache
def table() -> Mapping[str, Any]:
    """The data file."""
    text = files("springboard_local").joinpath("data/dependent_actions.yaml").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = yaml.safe_load(text)
    return loaded


def dependents(call: Call) -> Iterator[Question | ServiceLinkedRole]:
    """What must be allowed beside the call's own action."""
    for entry in table()["actions"].get(f"{call.service}:{call.operation}") or ():
        if "when" in entry and not jmespath.search(entry["when"], call.parameters):
            continue
        if "unless_role" in entry:
            yield ServiceLinkedRole(entry["unless_role"], entry["service_name"])
        else:
            yield from _demanded(call, entry)


def _demanded(call: Call, entry: Mapping[str, Any]) -> Iterator[Question]:
    context: dict[str, tuple[str, ...]] = {
        key.lower(): (str(value),) for key, value in entry.get("context", {}).items()
    }
    if "via" in entry:
        context["kms:viaservice"] = (f"{entry['via']}.{call.region}.amazonaws.com",)
        context["kms:grantisforawsresource"] = ("true",) if entry["via"] != "eks" else ("false",)
    if entry.get("each") == "TagSpecifications":
        yield from _tag_specifications(call)
        return
    if entry.get("each") == "RunInstances":
        yield from _run_instances(call)
        return
    arns = [arn for text in entry["resource"] for arn in _filled(call, text)]
    if "service" in entry:
        # Conditions on iam:PassedToService name the one that gets the role.
        context["iam:passedtoservice"] = (entry["service"],)
    for arn in arns:
        yield Question(entry["action"], key_arn(arn, call.region) if "via" in entry else arn, context)


def _filled(call: Call, text: str) -> list[str]:
    """`text` with its places filled; one result per value of a place that finds a list."""
    results = [text]
    for place in dict.fromkeys(_PLACE.findall(text)):
        values = _place(call, place)
        results = [each.replace(f"{{{place}}}", value) for each in results for value in values]
    return results


def _place(call: Call, place: str) -> list[str]:
    match place:
        case "region":
            return [call.region]
        case "account":
            return [ACCOUNT]
        case "new":
            return _new(call)
    found = jmespath.search(place, call.parameters)
    values = found if isinstance(found, list) else [found]
    return [_role_arn(str(value)) if place == "nodeRole" else str(value) for value in values if value]


def _role_arn(value: str) -> str:
    return value if value.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{value}"


def _new(call: Call) -> list[str]:
    """The ARN of what the call makes, with a star for the part that is not known yet."""
    if call.service == "elasticloadbalancing":
        found = resources(call, call.operation)
        nested = {"CreateListener": (":loadbalancer/", ":listener/"), "CreateRule": (":listener/", ":listener-rule/")}
        if call.operation in nested:
            return [f"{arn.replace(*nested[call.operation], 1)}/*" for arn in found]
        return found
    if f"{call.service}:{call.operation}" == "eks:CreateAccessEntry":
        return resources(call, "DescribeAccessEntry")
    return resources(call, call.operation)


def _tag_specifications(call: Call) -> Iterator[Question]:
    for specification in call.parameters.get("TagSpecifications") or ():
        kind = specification.get("ResourceType") or "*"
        tags = {str(tag["Key"]): str(tag["Value"]) for tag in specification.get("Tags") or ()}
        context: dict[str, tuple[str, ...]] = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
        context["aws:tagkeys"] = tuple(tags)
        context["ec2:createaction"] = (call.operation,)
        yield Question("ec2:CreateTags", f"arn:aws:ec2:{call.region}:{ACCOUNT}:{kind}/*", context)


def _run_instances(call: Call) -> Iterator[Question]:
    """A managed node group with a launch template: EKS tries the launch with the caller's permissions."""
    template = call.parameters.get("launchTemplate") or {}
    prefix = f"arn:aws:ec2:{call.region}:{ACCOUNT}"
    for kind in ("instance", "network-interface", "security-group", "volume"):
        yield Question("ec2:RunInstances", f"{prefix}:{kind}/*")
    yield Question("ec2:RunInstances", f"arn:aws:ec2:{call.region}::image/*")
    identifier = template.get("id") or _template_id(call.region, str(template.get("name") or ""))
    yield Question("ec2:RunInstances", f"{prefix}:launch-template/{identifier or '*'}")
    for subnet in call.parameters.get("subnets") or ():
        arn = ec2_arn(call.region, str(subnet))
        yield Question("ec2:RunInstances", arn, {"ec2:vpc": (_vpc_arn(call.region, str(subnet)),)})


def _vpc_arn(region: str, subnet: str) -> str:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - seconds to import

    by_zone = ec2_backends[ACCOUNT][region].subnets
    vpc = next((subnets[subnet].vpc_id for subnets in by_zone.values() if subnet in subnets), "*")
    return f"arn:aws:ec2:{region}:{ACCOUNT}:vpc/{vpc}"


def _template_id(region: str, name: str) -> str:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - seconds to import

    return str(ec2_backends[ACCOUNT][region].launch_template_name_to_ids.get(name, ""))


def encrypted_with(call: Call) -> list[Question]:
    """What a call on data under a customer's key demands on that key, through the service."""
    rules = table()["encrypted"].get(call.service)
    if rules is None:
        return []
    keys = _keys_of(call)
    if not keys:
        return []
    writes = call.mutating and call.operation not in {"Query", "Scan", "ReceiveMessage", "DeleteMessage"}
    context = {
        "kms:viaservice": (f"{call.service}.{call.region}.amazonaws.com",),
        "kms:calleraccount": (ACCOUNT,),
    }
    return [Question(action, key, context) for key in keys for action in rules["write" if writes else "read"]]


_DATA = {
    "dynamodb": re.compile(r"^(Get|Put|Update|Delete)Item$|^(Query|Scan)$|^(Batch|Transact)(Get|Write)Items?$"),
    "sns": re.compile(r"^Publish(Batch)?$"),
    "sqs": re.compile(r"^(SendMessage(Batch)?|ReceiveMessage)$"),
}


def _keys_of(call: Call) -> list[str]:
    if not _DATA[call.service].match(call.operation):
        return []
    match call.service:
        case "dynamodb":
            found = _table_keys(call)
        case "sns":
            found = [_topic_key(call)]
        case _:
            found = [_queue_key(call)]
    return [key_arn(key, call.region) for key in dict.fromkeys(found) if key and key != "alias/aws/" + call.service]


def _table_keys(call: Call) -> list[str]:
    from moto.dynamodb.models import dynamodb_backends  # noqa: PLC0415 - seconds to import

    from springboard_local.services.iam.resources import questions  # noqa: PLC0415

    tables = dynamodb_backends[ACCOUNT][call.region].tables
    names = {each.resource.partition(":table/")[2].partition("/")[0] for each in questions(call)}
    specifications = [getattr(tables.get(name), "sse_specification", None) or {} for name in sorted(names)]
    return [str(each.get("KMSMasterKeyId") or "") for each in specifications if each.get("Enabled")]


def _topic_key(call: Call) -> str:
    from moto.sns.models import sns_backends  # noqa: PLC0415

    topic = sns_backends[ACCOUNT][call.region].topics.get(call.parameters.get("TopicArn") or "")
    return str(getattr(topic, "kms_master_key_id", None) or "")


def _queue_key(call: Call) -> str:
    from moto.sqs.models import sqs_backends  # noqa: PLC0415

    name = str(call.parameters.get("QueueUrl", "")).rstrip("/").rsplit("/", 1)[-1]
    queue = sqs_backends[ACCOUNT][call.region].queues.get(name)
    return str(getattr(queue, "kms_master_key_id", None) or "")
