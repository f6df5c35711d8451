"""Which IAM actions a call is, and on which resources: the tables behind `questions`.

Which types of resource an action knows comes from `data/authorization.json`; how their names are found in a
request is said here, by parameter. A resource that the call is about to make has no id yet and is named with
a star, as AWS does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from springboard_local.pipeline import Call

_NEW = "*"


@dataclass(frozen=True)
class Question:
    """One thing that must be allowed: an action on a resource, with condition keys of its own."""

    action: str
    resource: str = "*"
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@cache
def authorization() -> Mapping[str, Any]:
    """The cut of the Service Authorization Reference: by IAM prefix, `resources` and `actions`."""
    text = files("springboard_local").joinpath("data/authorization.json").read_text(encoding="utf-8")
    services: Mapping[str, Any] = json.loads(text)["services"]
    return services


# Operations whose action has another name; several where the call is several actions.
_ACTIONS: dict[str, tuple[str, ...]] = {
    "lambda:Invoke": ("lambda:InvokeFunction",),
    "lambda:InvokeAsync": ("lambda:InvokeFunction",),
    "lambda:InvokeWithResponseStream": ("lambda:InvokeFunction",),
    "s3:ListBuckets": ("s3:ListAllMyBuckets",),
    "s3:ListObjects": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:CopyObject": ("s3:PutObject",),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:UploadPart": ("s3:PutObject",),
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListParts": ("s3:ListMultipartUploadParts",),
    "s3:PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "s3:DeleteBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "s3:GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "s3:PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3:GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
    "sqs:DeleteMessageBatch": ("sqs:DeleteMessage",),
    "sqs:ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility",),
    "sns:PublishBatch": ("sns:Publish",),
    "dynamodb:TransactGetItems": ("dynamodb:GetItem",),
    "dynamodb:ExecuteStatement": ("dynamodb:PartiQLSelect",),
    "cloudformation:ListStacks": ("cloudformation:ListStacks",),
    "ecr:PutImage": ("ecr:PutImage",),
}

_TRANSACTED = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}

# Nothing has to be allowed for these.
OPEN = frozenset(
    {"sts:GetCallerIdentity", "sts:GetSessionToken", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"}
)


def questions(call: Call) -> list[Question]:
    """What must be allowed for the call itself; its dependent actions are told apart."""
    name = f"{call.service}:{call.operation}"
    if name in OPEN:
        return []
    if call.service == "dynamodb" and (found := _dynamodb(call)) is not None:
        return found
    if call.service == "apigateway":
        return [Question(f"apigateway:{call.method}", f"arn:aws:apigateway:{call.region}::{_rest_path(call.path)}")]
    return [
        Question(action, resource)
        for action in _ACTIONS.get(name, (name,))
        for resource in resources(call, action.partition(":")[2])
    ]


def _rest_path(path: str) -> str:
    return re.sub(r"^/v2(?=/)", "", path)


# DynamoDB: several tables in one call, and indexes


def _table_arn(call: Call, name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:dynamodb:{call.region}:{ACCOUNT}:table/{name}"


def _dynamodb(call: Call) -> list[Question] | None:
    p = call.parameters
    if call.operation == "TransactWriteItems":
        return _unique(
            Question(
                f"dynamodb:{_TRANSACTED[kind]}",
                _table_arn(call, str(inner.get("TableName") or "")),
                _leading(call, inner),
            )
            for item in p.get("TransactItems", [])
            for kind, inner in item.items()
            if kind in _TRANSACTED and inner
        )
    if call.operation == "TransactGetItems":
        return _unique(
            Question(
                "dynamodb:GetItem",
                _table_arn(call, str(item["Get"].get("TableName") or "")),
                _leading(call, item["Get"]),
            )
            for item in p.get("TransactItems", [])
            if item.get("Get")
        )
    if call.operation in {"BatchGetItem", "BatchWriteItem"}:
        return [
            Question(f"dynamodb:{call.operation}", _table_arn(call, name), _leading_of_batch(call, name, requests))
            for name, requests in (p.get("RequestItems") or {}).items()
        ]
    if call.operation in {"Query", "Scan"} and p.get("IndexName"):
        resource = f"{_table_arn(call, str(p.get('TableName') or ''))}/index/{p['IndexName']}"
        return [Question(f"dynamodb:{call.operation}", resource, _leading(call, p))]
    if call.operation in {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"} and p.get("TableName"):
        return [Question(f"dynamodb:{call.operation}", _table_arn(call, p["TableName"]), _leading(call, p))]
    return None


def _unique(found: Iterable[Question]) -> list[Question]:
    merged: dict[tuple[str, str], Question] = {}
    for each in found:
        key = each.action, each.resource
        keys = {
            name: tuple(dict.fromkeys((*values, *(merged[key].context.get(name, ()) if key in merged else ()))))
            for name, values in each.context.items()
        }
        merged[key] = Question(each.action, each.resource, keys)
    return list(merged.values())


def _hash_key(call: Call, table: str, index: str = "") -> str | None:
    from moto.dynamodb.models import dynamodb_backends  # noqa: PLC0415 - seconds to import

    found = dynamodb_backends[ACCOUNT][call.region].tables.get(table.rsplit("/", 1)[-1])
    if found is None:
        return None
    if index:
        schemas = {each.name: each.schema for each in (*found.all_indexes(),)}
        return next((key["AttributeName"] for key in schemas.get(index, []) if key["KeyType"] == "HASH"), None)
    return str(found.hash_key_attr)


def _plain(value: Any) -> str | None:
    if isinstance(value, dict) and len(value) == 1:
        kind, inner = next(iter(value.items()))
        if kind in {"S", "N", "B"}:
            return str(inner)
    return None


def _leading(call: Call, part: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """dynamodb:LeadingKeys of a request: the partition keys that it names."""
    key = _hash_key(call, str(part.get("TableName", "")), str(part.get("IndexName") or ""))
    if key is None:
        return {}
    for holder in ("Key", "Item"):
        if isinstance(part.get(holder), dict) and (value := _plain(part[holder].get(key))) is not None:
            return {"dynamodb:leadingkeys": (value,)}
    value = _of_expression(part, key)
    return {} if value is None else {"dynamodb:leadingkeys": (value,)}


def _of_expression(part: Mapping[str, Any], key: str) -> str | None:
    names = part.get("ExpressionAttributeNames") or {}
    aliases = {key, *(alias for alias, name in names.items() if name == key)}
    for name, value in re.findall(r"([#\w.-]+)\s*=\s*(:\w+)", str(part.get("KeyConditionExpression") or "")):
        if name in aliases:
            return _plain((part.get("ExpressionAttributeValues") or {}).get(value))
    return None


def _leading_of_batch(call: Call, table: str, requests: Any) -> dict[str, tuple[str, ...]]:
    parts: list[Mapping[str, Any]] = (
        [{"Key": key} for key in requests.get("Keys", [])]
        if isinstance(requests, dict)
        else [inner for each in requests for inner in each.values() if inner]
    )
    values = [
        value
        for part in parts
        for value in _leading(call, {**part, "TableName": table}).get("dynamodb:leadingkeys", ())
    ]
    return {"dynamodb:leadingkeys": tuple(dict.fromkeys(values))} if values else {}


# everything else


def _values(parameters: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The values of the first of these parameters that is there; a dot reaches into a structure, [] into a list."""
    for name in names:
        found = [str(each) for each in _reach(parameters, name.split(".")) if each not in (None, "")]
        if found:
            return found
    return []


def _reach(value: Any, way: list[str]) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _reach(each, way)
    elif not way:
        yield value
    elif isinstance(value, dict) and way[0] in value:
        yield from _reach(value[way[0]], way[1:])


# How a type's names are found: the parameters that may hold them (ARNs are taken whole).
_EC2_IDS = {
    "security-group": ("GroupId", "GroupIds", "SecurityGroupId", "SecurityGroupIds", "Groups"),
    "vpc": ("VpcId",),
    "subnet": ("SubnetId", "SubnetIds", "NetworkInterfaces.SubnetId"),
    "launch-template": ("LaunchTemplateId", "LaunchTemplate.LaunchTemplateId"),
    "instance": ("InstanceId", "InstanceIds"),
    "network-interface": ("NetworkInterfaceId", "NetworkInterfaceIds"),
    "security-group-rule": ("SecurityGroupRuleIds", "SecurityGroupRules.SecurityGroupRuleId"),
    "volume": ("VolumeId", "VolumeIds"),
    "key-pair": ("KeyName",),
    "image": ("ImageId",),
    "route-table": ("RouteTableId",),
    "internet-gateway": ("InternetGatewayId",),
    "natgateway": ("NatGatewayId",),
    "elastic-ip": ("AllocationId",),
    "vpc-endpoint": ("VpcEndpointIds",),
    "vpc-flow-log": ("FlowLogIds",),
}
_EC2_PREFIXES = {
    "sg": "security-group",
    "sgr": "security-group-rule",
    "vpc": "vpc",
    "subnet": "subnet",
    "lt": "launch-template",
    "i": "instance",
    "eni": "network-interface",
    "vol": "volume",
    "rtb": "route-table",
    "igw": "internet-gateway",
    "nat": "natgateway",
    "eipalloc": "elastic-ip",
    "acl": "network-acl",
    "vpce": "vpc-endpoint",
    "fl": "vpc-flow-log",
    "ami": "image",
    "snap": "snapshot",
}


def _ids_of_names(call: Call, kind: str) -> list[str]:
    """Launch templates may be given by name; EC2 looks them up before it asks IAM."""
    names = _values(call.parameters, ("LaunchTemplateName",)) if kind == "launch-template" else []
    if not names:
        return []
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - heavy, and needed for this alone

    known = ec2_backends[ACCOUNT][call.region].launch_template_name_to_ids
    return [known[name] for name in names if name in known]


def _arn(call: Call, service: str, rest: str) -> str:
    return f"arn:aws:{service}:{call.region}:{ACCOUNT}:{rest}"


type Namer = Callable[[Call], list[str]]


def _by(names: tuple[str, ...], shape: str) -> Namer:
    """A namer: the value of a parameter in an ARN's shape, or an ARN as it is. `{R}` and `{A}`: region, account."""

    def named(call: Call) -> list[str]:
        return [
            value if value.startswith("arn:") else shape.format(value, R=call.region, A=ACCOUNT)
            for value in _values(call.parameters, names)
        ]

    return named


def _function(call: Call) -> list[str]:
    named = _by(("FunctionName", "Resource"), "arn:aws:lambda:{R}:{A}:function:{}")(call)
    qualifier = call.parameters.get("Qualifier")
    takes = call.operation in {"Invoke", "InvokeAsync", "InvokeWithResponseStream"}
    return [f"{arn}:{qualifier}" if takes and qualifier and arn.count(":") == 6 else arn for arn in named]


def _layer_version(call: Call) -> list[str]:
    name, version = call.parameters.get("LayerName"), call.parameters.get("VersionNumber")
    if name and version:
        layer = str(name) if str(name).startswith("arn:") else _arn(call, "lambda", f"layer:{name}")
        return [f"{layer}:{version}"]
    return _by(("LayerVersionArn", "Arn"), "{}")(call)


def _queue(call: Call) -> list[str]:
    if url := call.parameters.get("QueueUrl"):
        return [_arn(call, "sqs", str(url).rstrip("/").rsplit("/", 1)[-1])]
    name = call.parameters.get("QueueName")
    return [_arn(call, "sqs", str(name))] if name else []


_LOG_TAGS = {"TagResource", "UntagResource", "ListTagsForResource"}


def _log_group(call: Call) -> list[str]:
    names = ("logGroupName", "logGroupIdentifier", "logGroupNames", "logGroupIdentifiers", "resourceArn")
    bare = [arn.removesuffix(":*") for arn in _by(names, "arn:aws:logs:{R}:{A}:log-group:{}")(call)]
    # Actions on tags alone ask about the form without a star:
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
    return bare if call.operation in _LOG_TAGS else [f"{arn}:*" for arn in bare]


def _log_stream(call: Call) -> list[str]:
    stream = call.parameters.get("logStreamName", "")
    return [f"{arn.removesuffix(':*')}:log-stream:{stream}" for arn in _log_group(call)]


def _rule(call: Call) -> list[str]:
    name = call.parameters.get("Name") or call.parameters.get("Rule")
    bus = str(call.parameters.get("EventBusName") or "default").rsplit("/", 1)[-1]
    return [_arn(call, "events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")] if name else []


def _bus(call: Call) -> list[str]:
    if call.operation == "PutEvents":
        entries = call.parameters.get("Entries") or []
        names = dict.fromkeys(str(entry.get("EventBusName") or "default").rsplit("/", 1)[-1] for entry in entries)
    else:
        names = dict.fromkeys(name.rsplit("/", 1)[-1] for name in _values(call.parameters, ("EventBusName", "Name")))
    return [_arn(call, "events", f"event-bus/{name}") for name in names]


def _schedule(call: Call) -> list[str]:
    group = call.parameters.get("GroupName") or "default"
    name = call.parameters.get("Name")
    return [_arn(call, "scheduler", f"schedule/{group}/{name}")] if name else []


def _load_balancer(call: Call) -> list[str]:
    if arns := _values(call.parameters, ("LoadBalancerArn", "LoadBalancerArns")):
        return arns
    kind = "net" if call.parameters.get("Type") == "network" else "app"
    name = call.parameters.get("Name")
    creates = call.operation == "CreateLoadBalancer" and name
    return [_arn(call, "elasticloadbalancing", f"loadbalancer/{kind}/{name}/{_NEW}")] if creates else []


def _auto_scaling_group(call: Call) -> list[str]:
    from moto.autoscaling.models import autoscaling_backends  # noqa: PLC0415

    groups = autoscaling_backends[ACCOUNT][call.region].autoscaling_groups
    names = _values(call.parameters, ("AutoScalingGroupName", "AutoScalingGroupNames", "Tags.ResourceId"))
    return [
        str(groups[name].arn)
        if name in groups
        else _arn(call, "autoscaling", f"autoScalingGroup:{_NEW}:autoScalingGroupName/{name}")
        for name in names
    ]


def _kms_key(call: Call) -> list[str]:
    return [key_arn(value, call.region) for value in _values(call.parameters, ("KeyId", "TargetKeyId"))]


def key_arn(key: str, region: str) -> str:
    """The ARN of a KMS key named by id, ARN or alias."""
    alias = key.rsplit("alias/", 1)[-1] if "alias/" in key else ""
    if alias:
        from moto.kms.models import kms_backends  # noqa: PLC0415

        backend = kms_backends[ACCOUNT][region]
        key = next((str(k) for k, names in backend.key_to_aliases.items() if f"alias/{alias}" in names), key)
        if "alias/" in key:
            return f"arn:aws:kms:{region}:{ACCOUNT}:alias/{alias}"
    return key if key.startswith("arn:") else f"arn:aws:kms:{region}:{ACCOUNT}:key/{key}"


def _iam(kind: str, name: str) -> Namer:
    def named(call: Call) -> list[str]:
        value = call.parameters.get(name)
        if not value:
            return []
        from moto.iam.models import iam_backends  # noqa: PLC0415

        backend = iam_backends[ACCOUNT]["aws"]
        owners = {"role": backend.roles, "user": backend.users, "instance-profile": backend.instance_profiles}
        found = next((each for each in owners.get(kind, {}).values() if each.name == value), None)
        path = getattr(found, "path", None) or call.parameters.get("Path") or "/"
        return [f"arn:aws:iam::{ACCOUNT}:{kind}{path}{value}"]

    return named


def _bucket(call: Call) -> list[str]:
    bucket = call.parameters.get("Bucket")
    return [f"arn:aws:s3:::{bucket}"] if bucket else []


def _object(call: Call) -> list[str]:
    bucket, p = call.parameters.get("Bucket"), call.parameters
    keys = _values(p, ("Delete.Objects.Key",)) if call.operation == "DeleteObjects" else _values(p, ("Key",))
    return [f"arn:aws:s3:::{bucket}/{key}" for key in keys] if bucket else []


def _eks(shape: str, *names: str) -> Namer:
    def named(call: Call) -> list[str]:
        p = call.parameters
        # The calls about updates say `name` for the cluster's.
        values = [str(p.get(name) or (p.get("name") if name == "clusterName" else "") or "") for name in names]
        return [_existing(_arn(call, "eks", shape.format(*values)))] if all(values) else []

    return named


def _existing(arn: str) -> str:
    """Of what is there EKS looks up the uuid before it asks IAM, and with it the tags."""
    from springboard_local.services import eks  # noqa: PLC0415 - it is installed after this module

    return eks.existing_arn(arn) if arn.endswith("*") else arn


def _cluster(call: Call) -> list[str]:
    name = call.parameters.get("clusterName") or call.parameters.get("name")
    return [_arn(call, "eks", f"cluster/{name}")] if name else []


def access_entry(region: str, cluster: str, principal: str) -> str:
    """The ARN of an access entry but for its uuid: cluster/type/account/name/*."""
    kind, _, name = principal.rpartition(":")[2].partition("/")
    return f"arn:aws:eks:{region}:{ACCOUNT}:access-entry/{cluster}/{kind}/{ACCOUNT}/{name.rsplit('/', 1)[-1]}/{_NEW}"


def _access_entry(call: Call) -> list[str]:
    principal, cluster = call.parameters.get("principalArn"), call.parameters.get("clusterName")
    return [_existing(access_entry(call.region, str(cluster), str(principal)))] if principal and cluster else []


def _hosted_zone(call: Call) -> list[str]:
    names = ("HostedZoneId", "ResourceId", "Id")
    return [f"arn:aws:route53:::hostedzone/{value.rsplit('/', 1)[-1]}" for value in _values(call.parameters, names)]


_NAMERS: dict[tuple[str, str], Namer] = {
    ("lambda", "function"): _function,
    ("lambda", "eventSourceMapping"): _by(("UUID",), "arn:aws:lambda:{R}:{A}:event-source-mapping:{}"),
    ("lambda", "layer"): _by(("LayerName",), "arn:aws:lambda:{R}:{A}:layer:{}"),
    ("lambda", "layerVersion"): _layer_version,
    ("states", "statemachine"): _by(("stateMachineArn", "name"), "arn:aws:states:{R}:{A}:stateMachine:{}"),
    ("states", "execution"): _by(("executionArn",), "{}"),
    ("states", "activity"): _by(("activityArn",), "{}"),
    ("sns", "topic"): _by(("TopicArn", "TargetArn", "Name"), "arn:aws:sns:{R}:{A}:{}"),
    ("sqs", "queue"): _queue,
    ("logs", "log-group"): _log_group,
    ("logs", "log-stream"): _log_stream,
    ("events", "event-bus"): _bus,
    ("events", "rule-on-default-event-bus"): _rule,
    ("scheduler", "schedule"): _schedule,
    ("scheduler", "schedule-group"): _by(("Name",), "arn:aws:scheduler:{R}:{A}:schedule-group/{}"),
    ("elasticloadbalancing", "loadbalancer/app/"): _load_balancer,
    ("elasticloadbalancing", "listener/app"): _by(("ListenerArn", "ListenerArns"), "{}"),
    ("elasticloadbalancing", "listener-rule/app"): _by(("RuleArn", "RuleArns", "RulePriorities.RuleArn"), "{}"),
    ("elasticloadbalancing", "targetgroup"): _by(
        ("TargetGroupArn", "Name"), "arn:aws:elasticloadbalancing:{R}:{A}:targetgroup/{}/*"
    ),
    ("autoscaling", "autoScalingGroup"): _auto_scaling_group,
    ("acm", "certificate"): _by(("CertificateArn",), "{}"),
    ("route53", "hostedzone"): _hosted_zone,
    ("route53", "change"): lambda call: [
        f"arn:aws:route53:::change/{value.rsplit('/', 1)[-1]}" for value in _values(call.parameters, ("Id",))
    ],
    ("cloudwatch", "alarm"): _by(("AlarmName", "AlarmNames"), "arn:aws:cloudwatch:{R}:{A}:alarm:{}"),
    ("cloudwatch", "dashboard"): _by(("DashboardName", "DashboardNames"), "arn:aws:cloudwatch::{A}:dashboard/{}"),
    ("kms", "key"): _kms_key,
    ("kms", "alias"): _by(("AliasName",), "arn:aws:kms:{R}:{A}:{}"),
    ("iam", "role"): _iam("role", "RoleName"),
    ("iam", "user"): _iam("user", "UserName"),
    ("iam", "group"): _iam("group", "GroupName"),
    ("iam", "instance-profile"): _iam("instance-profile", "InstanceProfileName"),
    ("iam", "policy"): _by(("PolicyArn", "PolicyName"), "arn:aws:iam::{A}:policy/{}"),
    ("sts", "role"): _by(("RoleArn",), "{}"),
    ("ecr", "repository"): _by(("repositoryName", "repositoryNames"), "arn:aws:ecr:{R}:{A}:repository/{}"),
    ("s3", "bucket"): _bucket,
    ("s3", "object"): _object,
    ("ssm", "parameter"): lambda call: [
        _arn(call, "ssm", f"parameter/{name.lstrip('/')}")
        for name in _values(call.parameters, ("Name", "Names", "Path"))
    ],
    ("secretsmanager", "Secret"): _by(("SecretId", "Name"), "arn:aws:secretsmanager:{R}:{A}:secret:{}-??????"),
    ("cloudformation", "stack"): _by(("StackName", "StackId"), "arn:aws:cloudformation:{R}:{A}:stack/{}/*"),
    ("dynamodb", "table"): _by(("TableName", "ResourceArn"), "arn:aws:dynamodb:{R}:{A}:table/{}"),
    ("dynamodb", "stream"): _by(("StreamArn",), "{}"),
    ("eks", "cluster"): _cluster,
    ("eks", "nodegroup"): _eks("nodegroup/{}/{}/*", "clusterName", "nodegroupName"),
    ("eks", "addon"): _eks("addon/{}/{}/*", "clusterName", "addonName"),
    ("eks", "podidentityassociation"): _eks("podidentityassociation/{}/{}", "clusterName", "associationId"),
    ("eks", "access-entry"): _access_entry,
}

# Where a request names the thing itself, whatever its type: tags.
_TAGGED = ("resourceArn", "ResourceArn", "ResourceARN", "ResourceArns")

# AWS checks these on resources that its reference does not list for them.
_TYPES = {
    "eks:CreateCluster": "cluster*",
    "eks:CreateAddon": "cluster*",
    "eks:DescribeClusterVersions": "",
    "eks:StartInsightsRefresh": "cluster*",
    "eks:DescribeInsightsRefresh": "cluster*",
    "eks:CancelUpdate": "cluster*",
    "states:CreateStateMachine": "statemachine*",
    "elasticloadbalancing:CreateTargetGroup": "targetgroup*",
    "elasticloadbalancing:CreateLoadBalancer": "loadbalancer/app/*",
    "events:DescribeEventBus": "event-bus*",
    "ec2:CreateTags": "",
    "ec2:DeleteTags": "",
}


def resources(call: Call, action: str) -> list[str]:
    """The resources that `action` of this call is checked against; ["*"] where it knows none."""
    if tagged := _values(call.parameters, _TAGGED):
        return tagged
    if call.service == "ec2" and call.operation in {"CreateTags", "DeleteTags"}:
        return [ec2_arn(call.region, value) for value in _values(call.parameters, ("Resources",))]
    types = _TYPES.get(f"{call.service}:{action}")
    if types is None:
        types = authorization().get(call.service, {}).get("actions", {}).get(action, "")
    found = [arn for each in types.split() for arn in _of_type(call, each)]
    return list(dict.fromkeys(found)) or ["*"]


def _of_type(call: Call, word: str) -> list[str]:
    kind = word.rstrip("+").removesuffix("*")
    required = word.rstrip("+").endswith("*")
    if call.service == "ec2":
        ids = _values(call.parameters, _EC2_IDS.get(kind, ())) or _ids_of_names(call, kind)
        if call.operation.lower() == f"create{kind.replace('-', '')}":
            ids = []  # the thing to be made; a launch template's version is made on one that is there
        return [_arn(call, "ec2", f"{kind}/{each}") for each in ids or ([_NEW] if required else [])]
    namer = _NAMERS.get((call.service, kind))
    if namer is None:
        return []
    named = namer(call)
    if not named and required:
        return [_any(call, kind)]
    return named


def _any(call: Call, kind: str) -> str:
    shape = str(authorization().get(call.service, {}).get("resources", {}).get(kind, "*"))
    filled = shape.replace("${Region}", call.region).replace("${Account}", ACCOUNT)
    return re.sub(r"\$\{[^}]*\}.*", _NEW, filled)


def ec2_arn(region: str, identifier: str) -> str:
    """The ARN of an EC2 resource by its id."""
    kind = _EC2_PREFIXES.get(identifier.partition("-")[0], _NEW)
    return f"arn:aws:ec2:{region}:{ACCOUNT}:{kind}/{identifier}"
