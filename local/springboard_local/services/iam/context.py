"""The condition keys of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT

if TYPE_CHECKING:
    from springboard_local.pipeline import Call
    from springboard_local.services.iam.principals import Principal

type Keys = dict[str, tuple[str, ...]]
type TagReader = Callable[[str], Mapping[str, str] | None]

_tag_readers: dict[str, TagReader] = {}


def tags_of(service: str, reader: TagReader) -> None:
    """Let `reader` answer for the tags of ARNs of `service`; None where it knows no such resource."""
    _tag_readers[service] = reader


def existing_tags(arn: str) -> Mapping[str, str]:
    """The tags on an existing resource; empty where it has none or isn't there."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or arn.endswith("*"):
        return {}
    reader = _tag_readers.get(parts[2]) or _BACKENDS.get(parts[2])
    try:
        return (reader(arn) if reader else None) or {}
    except Exception:  # noqa: BLE001 - moto's backends raise in their own ways for what isn't there
        return {}


def keys_of(call: Call, principal: Principal) -> Keys:
    """What the request has, whatever the resource."""
    keys = principal_keys(principal)
    keys |= {
        "aws:requestedregion": (call.region,),
        "aws:currenttime": (call.time.strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(int(call.time.timestamp())),),
        "aws:sourceip": ("127.0.0.1",),
        "aws:securetransport": ("true",),  # loopback stands for TLS
        "aws:viaawsservice": ("false",),
        "aws:useragent": (call.headers.get("User-Agent", ""),),
    }
    keys |= _request_tags(call)
    keys |= _of_service(call)
    return keys


def principal_keys(principal: Principal) -> Keys:
    """What is known of the caller."""
    keys: Keys = {
        "aws:principalarn": (principal.principal_arn,),
        "aws:principalaccount": (principal.account,),
        "aws:principaltype": (principal.kind,),
        "aws:userid": (principal.user_id,),
        "aws:principalisawsservice": ("false",),
    }
    if principal.function:
        keys["lambda:sourcefunctionarn"] = (principal.function,)
    if principal.kind == "User":
        keys["aws:username"] = (principal.name,)
    for key, value in principal.tags:
        keys[f"aws:principaltag/{key.lower()}"] = (value,)
    return keys


def resource_keys(service: str, arn: str) -> Keys:
    """What is known of the resource: the account, and its tags under all their names."""
    keys: Keys = {"aws:resourceaccount": (ACCOUNT,)}
    for key, value in existing_tags(arn).items():
        keys[f"aws:resourcetag/{key.lower()}"] = (value,)
        if service in {"ec2", "elasticloadbalancing", "autoscaling", "secretsmanager", "ssm", "iam", "ecr"}:
            keys[f"{service}:resourcetag/{key.lower()}"] = (value,)
    return keys


# tags in the request


def _request_tags(call: Call) -> Keys:
    tags = request_tags(call.parameters)
    if not tags:
        keys = call.parameters.get("tagKeys") or call.parameters.get("TagKeys") or call.parameters.get("TagKeyList")
        return {"aws:tagkeys": tuple(str(key) for key in keys)} if isinstance(keys, list) and keys else {}
    found: Keys = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    found["aws:tagkeys"] = tuple(tags)
    return found


def request_tags(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a request sets, in whichever of AWS's shapes."""
    tags: dict[str, str] = {}
    for name in ("tags", "Tags", "TagList", "AddTags"):
        tags |= _pairs(parameters.get(name))
    for specification in parameters.get("TagSpecifications") or ():
        tags |= _pairs(specification.get("Tags"))
    return tags


def _pairs(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {str(key): str(each) for key, each in value.items()}
    pairs: dict[str, str] = {}
    for tag in value or ():
        if isinstance(tag, dict):
            key = tag.get("Key", tag.get("key", tag.get("TagKey")))
            each = tag.get("Value", tag.get("value", tag.get("TagValue", "")))
            if key is not None:
                pairs[str(key)] = str(each)
    return pairs


# keys of single services

# By operation, parameter → condition key.
_PARAMETERS: dict[str, dict[str, str]] = {
    "eks": {
        "clusterName": "eks:clusterName",
        "principalArn": "eks:principalArn",
        "type": "eks:accessEntryType",
        "username": "eks:username",
        "kubernetesGroups": "eks:kubernetesGroups",
        "policyArn": "eks:policyArn",
        "accessScope.type": "eks:accessScope",
        "accessScope.namespaces": "eks:namespaces",
        "accessConfig.authenticationMode": "eks:authenticationMode",
        "accessConfig.bootstrapClusterCreatorAdminPermissions": "eks:bootstrapClusterCreatorAdminPermissions",
        "bootstrapSelfManagedAddons": "eks:bootstrapSelfManagedAddons",
        "upgradePolicy.supportType": "eks:supportType",
        "version": "eks:kubernetesVersion",
        "resourcesVpcConfig.endpointPublicAccess": "eks:endpointPublicAccess",
        "resourcesVpcConfig.endpointPrivateAccess": "eks:endpointPrivateAccess",
        "logging.clusterLogging.types": "eks:loggingType",
        "encryptionConfig.provider.keyArn": "eks:encryptionConfigProviderKeyArns",
        "deletionProtection": "eks:deletionProtection",
    },
    "elasticloadbalancing": {
        "Scheme": "elasticloadbalancing:Scheme",
        "Subnets": "elasticloadbalancing:Subnet",
        "SecurityGroups": "elasticloadbalancing:SecurityGroup",
        "SslPolicy": "elasticloadbalancing:SecurityPolicy",
        "Protocol": "elasticloadbalancing:ListenerProtocol",
    },
    "iam": {"AWSServiceName": "iam:AWSServiceName", "PolicyArn": "iam:PolicyARN"},
    "autoscaling": {
        "TargetGroupARNs": "autoscaling:TargetGroupARNs",
        "LoadBalancerNames": "autoscaling:LoadBalancerNames",
        "MinSize": "autoscaling:MinSize",
        "MaxSize": "autoscaling:MaxSize",
    },
    "acm": {"ValidationMethod": "acm:ValidationMethod", "KeyAlgorithm": "acm:KeyAlgorithm"},
    "sns": {"Protocol": "sns:Protocol", "Endpoint": "sns:Endpoint"},
    "s3": {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"},
    "cloudwatch": {"Namespace": "cloudwatch:namespace"},
    "sts": {"ExternalId": "sts:ExternalId", "RoleSessionName": "sts:RoleSessionName"},
    "dynamodb": {"Select": "dynamodb:Select", "ReturnValues": "dynamodb:ReturnValues"},
    "lambda": {"FunctionUrlAuthType": "lambda:FunctionUrlAuthType", "Principal": "lambda:Principal"},
}


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(text for each in value for text in _texts(each))
    if isinstance(value, bool):
        return (str(value).lower(),)
    return () if value is None else (str(value),)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(value, list):
            value = [each.get(name) for each in value if isinstance(each, dict)]
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _of_service(call: Call) -> Keys:
    found: Keys = {}
    for path, key in _PARAMETERS.get(call.service, {}).items():
        if values := _texts(_at(call.parameters, path)):
            found[key.lower()] = values
    match call.service:
        case "route53":
            found |= _record_sets(call)
        case "elasticloadbalancing":
            if call.operation.startswith("Create") and request_tags(call.parameters):
                found["elasticloadbalancing:createaction"] = (call.operation,)
        case "ec2":
            if vpc := call.parameters.get("VpcId"):
                found["ec2:vpc"] = (f"arn:aws:ec2:{call.region}:{ACCOUNT}:vpc/{vpc}",)
        case "events":
            found |= _events(call)
        case "dynamodb":
            found |= _attributes(call)
    return found


def normalized_record_name(name: str) -> str:
    """A record's name as the condition key has it: lower case, no dot behind, escapes for odd characters."""
    name = name.lower().removesuffix(".")
    return re.sub(r"[^a-z0-9_.\-]", lambda found: f"\\{ord(found[0]):03o}", name)


def _record_sets(call: Call) -> Keys:
    changes = (call.parameters.get("ChangeBatch") or {}).get("Changes") or ()
    if not changes:
        return {}
    sets = [change.get("ResourceRecordSet") or {} for change in changes]
    prefix = "route53:changeresourcerecordsets"
    return {
        f"{prefix}normalizedrecordnames": tuple(
            dict.fromkeys(normalized_record_name(str(s.get("Name"))) for s in sets)
        ),
        f"{prefix}recordtypes": tuple(dict.fromkeys(str(each.get("Type")) for each in sets)),
        f"{prefix}actions": tuple(dict.fromkeys(str(change.get("Action")) for change in changes)),
    }


def _events(call: Call) -> Keys:
    if call.operation == "PutEvents":
        entries = call.parameters.get("Entries") or ()
        return {
            "events:source": tuple(dict.fromkeys(str(each.get("Source")) for each in entries)),
            "events:detail-type": tuple(dict.fromkeys(str(each.get("DetailType")) for each in entries)),
        }
    if call.operation == "PutTargets":
        return {"events:targetarn": tuple(str(each.get("Arn")) for each in call.parameters.get("Targets") or ())}
    return {}


def _attributes(call: Call) -> Keys:
    names = call.parameters.get("ExpressionAttributeNames") or {}
    item = call.parameters.get("Item") or call.parameters.get("Key") or {}
    found = tuple(dict.fromkeys([*item, *names.values(), *(call.parameters.get("AttributesToGet") or ())]))
    return {"dynamodb:attributes": found} if found else {}


# tags that moto's backends hold


def _ec2_tags(arn: str) -> Mapping[str, str]:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - seconds to import

    backend = ec2_backends[ACCOUNT][arn.split(":")[3]]
    return {str(k): str(v) for k, v in backend.tags.get(arn.rsplit("/", 1)[-1], {}).items()}


def _elb_tags(arn: str) -> Mapping[str, str]:
    from moto.elbv2.models import elbv2_backends  # noqa: PLC0415

    backend = elbv2_backends[ACCOUNT][arn.split(":")[3]]
    return {str(k): str(v) for k, v in (backend.tagging_service.get_tag_dict_for_resource(arn)).items()}


def _iam_tags(arn: str) -> Mapping[str, str]:
    from springboard_local.services.iam.principals import _tags, role_named  # noqa: PLC0415

    return dict(_tags(role_named(arn))) if ":role/" in arn else {}


def _s3_tags(arn: str) -> Mapping[str, str]:
    from moto.s3.models import s3_backends  # noqa: PLC0415

    return dict(s3_backends[ACCOUNT]["aws"].tagger.get_tag_dict_for_resource(arn))


def _tagger(module: str, backends: str, attribute: str = "tagger", *, regional: bool = True) -> TagReader:
    def read(arn: str) -> Mapping[str, str]:
        from importlib import import_module  # noqa: PLC0415

        by_region = getattr(import_module(module), backends)[ACCOUNT]
        backend = by_region[arn.split(":")[3] if regional else "aws"]
        tags = getattr(backend, attribute).get_tag_dict_for_resource(arn)
        return {str(key): str(value) for key, value in tags.items()}

    return read


def _state_machine_tags(arn: str) -> Mapping[str, str]:
    from springboard_local.services import stepfunctions  # noqa: PLC0415 - it is installed after this module

    return stepfunctions.tags_of(arn)


def _attribute(module: str, backends: str, collection: str, *, by: Callable[[str], str] = str) -> TagReader:
    """Where moto keeps tags on the object itself, as a dict or as pairs."""

    def read(arn: str) -> Mapping[str, str]:
        from importlib import import_module  # noqa: PLC0415

        backend = getattr(import_module(module), backends)[ACCOUNT][arn.split(":")[3] or "aws"]
        held = getattr(backend, collection)
        found = held.get(by(arn))
        tags = getattr(found, "tags", None)
        return _pairs(tags)

    return read


def _group_tags(arn: str) -> Mapping[str, str]:
    from moto.autoscaling.models import autoscaling_backends  # noqa: PLC0415

    groups = autoscaling_backends[ACCOUNT][arn.split(":")[3]].autoscaling_groups
    return _pairs(groups[arn.rsplit("/", 1)[-1]].tags)


def _last(arn: str) -> str:
    return re.split(r"[:/]", arn)[-1]


def _queue_tags(arn: str) -> Mapping[str, str]:
    from moto.sqs.models import sqs_backends  # noqa: PLC0415

    return _pairs(sqs_backends[ACCOUNT][arn.split(":")[3]].queues[_last(arn)].tags)


def _route53_tags(arn: str) -> Mapping[str, str]:
    from moto.route53.models import route53_backends  # noqa: PLC0415

    return _pairs(route53_backends[ACCOUNT]["aws"].list_tags_for_resource(_last(arn)))


_BACKENDS: dict[str, TagReader] = {
    "ec2": _ec2_tags,
    "elasticloadbalancing": _elb_tags,
    "iam": _iam_tags,
    "s3": _s3_tags,
    "sqs": _queue_tags,
    "autoscaling": _group_tags,
    "route53": _route53_tags,
    "acm": _attribute("moto.acm.models", "acm_backends", "_certificates"),
    "dynamodb": _attribute("moto.dynamodb.models", "dynamodb_backends", "tables", by=lambda arn: arn.split("/")[1]),
    "events": _tagger("moto.events.models", "events_backends"),
    "scheduler": _tagger("moto.scheduler.models", "scheduler_backends"),
    "kms": _tagger("moto.kms.models", "kms_backends"),
    "states": _state_machine_tags,
    "logs": _tagger("moto.logs.models", "logs_backends"),
    "cloudwatch": _tagger("moto.cloudwatch.models", "cloudwatch_backends"),
}
