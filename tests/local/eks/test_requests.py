"""Every member of every request is honoured or refused; the data file says which, and here each claim is tried.

The model is the checklist. What a member's class promises is shown by a request that the tables below hold, or by a
story elsewhere that they name.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore import xform_name

from springboard_local.services.eks import validation
from tests.local.eks import conformance
from tests.local.eks.test_clusters import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.eks.conftest import Account

SERVED = validation.served()
# Values that the model's constraints leave open, or whose patterns a plain "x" does not meet.
SAMPLES: dict[str, Any] = {"name": "shop", "minPort": 30_000, "maxPort": 32_000}


def members(shape: Any, path: str = "", within: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The innermost members that the model has, by path."""
    match shape.type_name:
        case "structure" if shape.name not in within:
            for name, each in shape.members.items():
                yield from members(each, f"{path}.{name}" if path else name, (*within, shape.name))
        case "list" if shape.member.type_name == "structure":
            yield from members(shape.member, f"{path}[]", within)
        case _:
            yield path, shape


def request_shape(operation: str) -> Any:
    return conformance.model().operation_model(operation).input_shape


MEMBERS = [
    (operation, path, shape) for operation in SERVED for path, shape in members(request_shape(operation)) if shape
]


def kind(operation: str, path: str) -> str:
    """The class of a member."""
    found = validation.treatment(operation, path)
    return found if isinstance(found, str) else next(iter(found))


def of_class(*kinds: str) -> set[tuple[str, str]]:
    return {(operation, path) for operation, path, _ in MEMBERS if kind(operation, path) in kinds}


def sample(shape: Any, name: str = "") -> Any:  # noqa: PLR0911 - one for each kind of shape
    """A value that the model allows."""
    if name in SAMPLES:
        return SAMPLES[name]
    match shape.type_name:
        case "structure":
            return {each: sample(shape.members[each], each) for each in shape.required_members}
        case "list":
            return [sample(shape.member)]
        case "map":
            return {"x": "x"}
        case "boolean":
            return True
        case "integer" | "long":
            return shape.metadata.get("min", 1)
        case "timestamp":
            return 0
    return shape.enum[0] if shape.enum else "x"


def request(operation: str, path: str, value: Any) -> dict[str, Any]:
    """The smallest request of the operation with `value` at `path`."""
    shape = request_shape(operation)
    made: dict[str, Any] = sample(shape)
    target, here = made, shape
    *outer, last = path.split(".")
    for step in outer:
        name = step.removesuffix("[]")
        here = here.members[name]
        if step.endswith("[]"):
            here = here.member
            target.setdefault(name, [])
            if not target[name]:
                target[name].append({})
            target = target[name][0]
        else:
            target = target.setdefault(name, {})
        for each in here.required_members:
            target.setdefault(each, sample(here.members[each], each))
    target[last] = value
    return made


def denied(operation: str, parameters: dict[str, Any]) -> str:
    """What is said against a request; empty if nothing is."""
    from springboard_local.pipeline import ApiError  # noqa: PLC0415 - moto may be imported only once its account is set

    try:
        validation.check(operation, parameters)
    except ApiError as error:
        return error.message if error.code == "InvalidParameterException" else str(error)
    return ""


# the data against the model


def test_the_data_has_every_member_of_every_request_that_is_served(account: Account) -> None:
    del account
    from springboard_local.services.eks.responses import EMULATED  # noqa: PLC0415

    assert set(SERVED) == set(EMULATED)
    unheard = [(operation, path) for operation, path, _ in MEMBERS if validation.treatment(operation, path) is None]
    assert unheard == []


def test_the_data_has_no_member_that_the_model_lacks() -> None:
    for operation, paths in SERVED.items():
        known = [path for path, _ in members(request_shape(operation))]
        for each in paths:
            assert any(path == each or path.startswith((f"{each}.", f"{each}[]")) for path in known), (operation, each)


def test_a_member_that_the_data_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SERVED["CreateCluster"], "deletionProtection")
    message = denied("CreateCluster", request("CreateCluster", "deletionProtection", value=True))
    assert message == "deletionProtection is not part of the local cloud"


@pytest.mark.parametrize("operation", sorted({operation for operation, _ in of_class("refused", "only")}))
def test_what_is_refused_is_named_with_the_reason(operation: str) -> None:
    for path, shape in members(request_shape(operation)):
        treatment = validation.treatment(operation, path)
        if kind(operation, path) == "refused":
            message = denied(operation, request(operation, path, sample(shape, path.rpartition(".")[2])))
            assert f"is not part of the local cloud: {treatment['refused']}" in message, path
        elif kind(operation, path) == "only":
            for accepted in treatment["only"]:
                good = [accepted] if shape.type_name == "list" else accepted
                assert denied(operation, request(operation, path, good)) == "", path
            enumerated = [each for each in getattr(shape, "enum", []) if each not in treatment["only"]]
            wrong = {"boolean": True, "list": ["x"]}.get(shape.type_name, (enumerated or ["x"])[0])
            message = denied(operation, request(operation, path, wrong))
            assert message.endswith(f"is not part of the local cloud: {treatment['why']}"), path


# the model's constraints


def violations(shape: Any) -> Iterator[Any]:
    """Values against each constraint of a shape."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "string":
            if shape.enum:
                yield "NONSENSE"
            if high is not None:
                yield "x" * (high + 1)
            if shape.metadata.get("pattern"):
                yield "_?"
        case "integer" | "long":
            yield from ([low - 1] if low is not None else []) + ([high + 1] if high is not None else [])
        case "list":
            if high is not None:
                yield [sample(shape.member)] * (high + 1)
            yield from ([each] for each in violations(shape.member))
        case "map":
            if high is not None:
                yield {f"x{number}": "x" for number in range(high + 1)}
            yield from ({each: "x"} for each in violations(shape.key))
            yield from ({"x": each} for each in violations(shape.value))


def test_the_constraints_of_the_model_are_kept() -> None:
    tried = 0
    for operation, path, shape in MEMBERS:
        for wrong in violations(shape):
            tried += 1
            message = denied(operation, request(operation, path, wrong))
            name = path.rpartition(".")[2].removesuffix("[]")
            assert name in message or "not part of the local cloud" in message, (operation, path, wrong, message)
    assert tried > 100


def test_what_the_model_requires_is_required() -> None:
    for operation in SERVED:
        shape = request_shape(operation)
        for name in shape.required_members:
            parameters = sample(shape)
            del parameters[name]
            assert denied(operation, parameters) == f"{name} cannot be null or empty."
            assert denied(operation, sample(shape)) == ""


def test_validation_comes_before_anything_else_on_the_wire(account: Account) -> None:
    assert refused(account.unchecked.create_nodegroup, clusterName="none", nodegroupName="x") == (
        "InvalidParameterException",
        "subnets cannot be null or empty.",
    )
    code, _ = refused(account.unchecked.list_nodegroups, clusterName="none", maxResults=101)
    assert code == "InvalidParameterException"


# what is kept: each request, and what is read after it


@dataclass
class Things:
    """What requests speak of; the strings are enough to see which members a request has."""

    subnets: list[str]
    groups: list[str]
    template: str
    role: Callable[[str], str]
    association: str = "a-0"
    cluster_arn: str = "arn:aws:eks:eu-west-1:111122223333:cluster/shop"


NAMES = Things(["s", "t", "u"], ["g", "h"], "lt-0", lambda name: f"arn:aws:iam::111122223333:role/{name}")


class Story(NamedTuple):
    """A request, the virtual seconds that it takes, what is read then, and what that has to hold."""

    operation: str
    request: Callable[[Things], dict[str, Any]]
    seconds: float
    read: tuple[str, dict[str, Any]]
    expected: Callable[[Things], Any] | None = None  # the request itself, where None


KEY = "arn:aws:kms:eu-west-1:111122223333:key/1"
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
SHOP = {"clusterName": "shop"}
CLUSTER = ("describe_cluster", {"name": "shop"})
WORKERS = {**SHOP, "nodegroupName": "workers"}
GROUP = ("describe_nodegroup", WORKERS)
OTHERS = ("describe_nodegroup", {**SHOP, "nodegroupName": "others"})
ADDON = ("describe_addon", {**SHOP, "addonName": "vpc-cni"})
REPAIRS = [
    {
        "nodeMonitoringCondition": "AcceleratedHardwareReady",
        "nodeUnhealthyReason": "NvidiaXID13Error",
        "minRepairWaitTimeMins": 15,
        "repairAction": "Replace",
    }
]


def changed_cluster(member: str, value: Any) -> Story:
    return Story(
        "UpdateClusterConfig", lambda _: {"name": "shop", member: value}, 301, CLUSTER, lambda _: {member: value}
    )


def changed_vpc(make: Callable[[Things], dict[str, Any]]) -> Story:
    return Story(
        "UpdateClusterConfig",
        lambda t: {"name": "shop", "resourcesVpcConfig": make(t)},
        301,
        CLUSTER,
        lambda t: {"resourcesVpcConfig": make(t)},
    )


def changed_template(reference: Callable[[Things], dict[str, Any]]) -> Story:
    return Story(
        "UpdateNodegroupVersion",
        lambda t: {**WORKERS, "launchTemplate": {"version": "2", **reference(t)}},
        1_300,
        GROUP,
        lambda t: {"launchTemplate": {"id": t.template, "version": "2", "name": "custom"}},
    )


def changed_group(request: dict[str, Any], expected: dict[str, Any]) -> Story:
    return Story("UpdateNodegroupConfig", lambda _: {**WORKERS, **request}, 121, GROUP, lambda _: expected)


CREATES = [
    Story(
        "CreateCluster",
        lambda t: {
            "name": "shop",
            "version": "1.36",
            "roleArn": t.role("cluster"),
            "resourcesVpcConfig": {
                "subnetIds": t.subnets,
                "securityGroupIds": t.groups[:1],
                "endpointPublicAccess": True,
                "endpointPrivateAccess": True,
                "publicAccessCidrs": ["203.0.113.0/24"],
                "controlPlaneEgressMode": "CUSTOMER_ROUTED",
            },
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16"},
            "logging": {"clusterLogging": [{"types": ["api"], "enabled": True}]},
            "tags": {"team": "checkout"},
            "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": KEY}}],
            "accessConfig": {"bootstrapClusterCreatorAdminPermissions": False, "authenticationMode": "API"},
            "upgradePolicy": {"supportType": "STANDARD"},
            "zonalShiftConfig": {"enabled": True},
            "deletionProtection": True,
            "controlPlaneScalingConfig": {"tier": "tier-xl"},
        },
        565,
        CLUSTER,
    ),
    Story(
        "CreateNodegroup",
        lambda t: {
            **SHOP,
            "nodegroupName": "others",
            "scalingConfig": {"minSize": 1, "maxSize": 4, "desiredSize": 2},
            "diskSize": 60,
            "subnets": t.subnets[:2],
            "instanceTypes": ["m7g.large", "m8g.large"],
            "amiType": "BOTTLEROCKET_ARM_64",
            "nodeRole": t.role("node"),
            "labels": {"pool": "others"},
            "taints": [{"key": "dedicated", "value": "shop", "effect": "NO_SCHEDULE"}],
            "tags": {"team": "checkout"},
            "updateConfig": {"maxUnavailable": 2, "updateStrategy": "MINIMAL"},
            "nodeRepairConfig": {
                "enabled": True,
                "maxUnhealthyNodeThresholdCount": 2,
                "maxParallelNodesRepairedCount": 1,
                "nodeRepairConfigOverrides": REPAIRS,
            },
            "capacityType": "SPOT",
            "version": "1.35",
            "releaseVersion": "1.35.5-20261020",
        },
        131,
        OTHERS,
    ),
    Story(
        "CreateNodegroup",
        lambda t: {
            **SHOP,
            "nodegroupName": "others",
            "subnets": t.subnets,
            "nodeRole": t.role("node"),
            "launchTemplate": {"id": t.template, "version": "1"},
            "updateConfig": {"maxUnavailablePercentage": 20},
            "nodeRepairConfig": {
                "maxUnhealthyNodeThresholdPercentage": 40,
                "maxParallelNodesRepairedPercentage": 10,
            },
        },
        131,
        OTHERS,
    ),
    Story(
        "CreateNodegroup",
        lambda t: {
            **SHOP,
            "nodegroupName": "others",
            "subnets": t.subnets,
            "nodeRole": t.role("node"),
            "launchTemplate": {"name": "custom"},
        },
        131,
        OTHERS,
    ),
    Story(
        "CreateAddon",
        lambda t: {
            **SHOP,
            "addonName": "kube-proxy",
            "addonVersion": "v1.35.5-eksbuild.2",
            "serviceAccountRoleArn": t.role("pod"),
            "tags": {"team": "checkout"},
            "configurationValues": '{"mode": "ipvs"}',
        },
        61,
        ("describe_addon", {**SHOP, "addonName": "kube-proxy"}),
    ),
    Story(
        "CreateAddon",
        lambda t: {
            **SHOP,
            "addonName": "kube-proxy",
            "podIdentityAssociations": [{"serviceAccount": "kube-proxy", "roleArn": t.role("pod")}],
        },
        61,
        ("list_pod_identity_associations", SHOP),
        lambda _: [{"serviceAccount": "kube-proxy"}],
    ),
    Story(
        "CreateAccessEntry",
        lambda t: {
            **SHOP,
            "principalArn": t.role("viewer"),
            "kubernetesGroups": ["viewers"],
            "tags": {"team": "checkout"},
            "username": "viewer",
            "type": "STANDARD",
        },
        0,
        ("describe_access_entry", {**SHOP, "principalArn": NAMES.role("viewer")}),
    ),
    Story(
        "CreatePodIdentityAssociation",
        lambda t: {
            **SHOP,
            "namespace": "shop",
            "serviceAccount": "shop",
            "roleArn": t.role("pod"),
            "tags": {"team": "checkout"},
            "disableSessionTags": True,
            "targetRoleArn": "arn:aws:iam::444455556666:role/target",
            "policy": '{"Version": "2012-10-17", "Statement": []}',
        },
        0,
        ("describe_pod_identity_association", {**SHOP, "associationId": "?"}),
    ),
]

UPDATES = [
    changed_vpc(lambda t: {"subnetIds": t.subnets[:2], "securityGroupIds": t.groups}),
    changed_vpc(
        lambda _: {
            "endpointPublicAccess": True,
            "endpointPrivateAccess": True,
            "publicAccessCidrs": ["198.51.100.0/24"],
        }
    ),
    changed_vpc(lambda _: {"controlPlaneEgressMode": "CUSTOMER_ISOLATED"}),
    changed_cluster("logging", {"clusterLogging": [{"types": ["scheduler"], "enabled": True}]}),
    changed_cluster("upgradePolicy", {"supportType": "STANDARD"}),
    changed_cluster("zonalShiftConfig", {"enabled": True}),
    changed_cluster("deletionProtection", value=True),
    changed_cluster("controlPlaneScalingConfig", {"tier": "tier-xl"}),
    changed_cluster("accessConfig", {"authenticationMode": "API"}),
    Story(
        "AssociateEncryptionConfig",
        lambda _: {**SHOP, "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": KEY}}]},
        301,
        CLUSTER,
        lambda _: {"encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": KEY}}]},
    ),
    Story(
        "UpdateClusterVersion",
        lambda _: {"name": "shop", "version": "1.36"},
        541,
        CLUSTER,
        lambda _: {"version": "1.36"},
    ),
    changed_group(
        {
            "labels": {"addOrUpdateLabels": {"pool": "general"}, "removeLabels": ["old"]},
            "taints": {"addOrUpdateTaints": [{"key": "a", "value": "b", "effect": "NO_EXECUTE"}]},
            "scalingConfig": {"minSize": 2, "maxSize": 5, "desiredSize": 2},
            "updateConfig": {"maxUnavailable": 3, "updateStrategy": "MINIMAL"},
            "nodeRepairConfig": {
                "enabled": True,
                "maxUnhealthyNodeThresholdCount": 2,
                "maxParallelNodesRepairedCount": 1,
                "nodeRepairConfigOverrides": REPAIRS,
            },
        },
        {
            "labels": {"pool": "general", "old": None},
            "taints": [{"key": "a", "value": "b", "effect": "NO_EXECUTE"}],
            "scalingConfig": {"minSize": 2, "maxSize": 5, "desiredSize": 2},
            "updateConfig": {"maxUnavailable": 3, "updateStrategy": "MINIMAL"},
            "nodeRepairConfig": {
                "enabled": True,
                "maxUnhealthyNodeThresholdCount": 2,
                "maxParallelNodesRepairedCount": 1,
                "nodeRepairConfigOverrides": REPAIRS,
            },
        },
    ),
    changed_group(
        {
            "taints": {"removeTaints": [{"key": "first", "value": "x", "effect": "PREFER_NO_SCHEDULE"}]},
            "updateConfig": {"maxUnavailablePercentage": 20},
            "nodeRepairConfig": {
                "maxUnhealthyNodeThresholdPercentage": 40,
                "maxParallelNodesRepairedPercentage": 10,
            },
        },
        {
            "taints": [],
            "updateConfig": {"maxUnavailablePercentage": 20, "maxUnavailable": None},
            "nodeRepairConfig": {
                "maxUnhealthyNodeThresholdPercentage": 40,
                "maxParallelNodesRepairedPercentage": 10,
            },
        },
    ),
    Story(
        "UpdateNodegroupVersion",
        lambda _: {**WORKERS, "version": "1.35", "releaseVersion": "1.35.6-20261110"},
        1_300,
        GROUP,
        lambda _: {"version": "1.35", "releaseVersion": "1.35.6-20261110"},
    ),
    changed_template(lambda t: {"id": t.template}),
    changed_template(lambda _: {"name": "custom"}),
    Story(
        "UpdateAddon",
        lambda t: {
            **SHOP,
            "addonName": "vpc-cni",
            "addonVersion": "v1.22.1-eksbuild.1",
            "serviceAccountRoleArn": t.role("pod"),
            "configurationValues": '{"enableNetworkPolicy": "true"}',
        },
        61,
        ADDON,
        lambda t: {
            "addonVersion": "v1.22.1-eksbuild.1",
            "serviceAccountRoleArn": t.role("pod"),
            "configurationValues": '{"enableNetworkPolicy": "true"}',
        },
    ),
    Story(
        "UpdateAddon",
        lambda t: {
            **SHOP,
            "addonName": "vpc-cni",
            "podIdentityAssociations": [{"serviceAccount": "aws-node", "roleArn": t.role("pod")}],
        },
        61,
        ("list_pod_identity_associations", SHOP),
        lambda _: [{"serviceAccount": "aws-node"}],
    ),
    Story(
        "UpdateAccessEntry",
        lambda t: {**SHOP, "principalArn": t.role("creator"), "kubernetesGroups": ["viewers"], "username": "viewer"},
        0,
        ("describe_access_entry", {**SHOP, "principalArn": NAMES.role("creator")}),
        lambda _: {"kubernetesGroups": ["viewers"], "username": "viewer"},
    ),
    Story(
        "AssociateAccessPolicy",
        lambda t: {
            **SHOP,
            "principalArn": t.role("creator"),
            "policyArn": POLICY,
            "accessScope": {"type": "namespace", "namespaces": ["shop"]},
        },
        0,
        ("list_associated_access_policies", {**SHOP, "principalArn": NAMES.role("creator")}),
        lambda _: [{"policyArn": POLICY, "accessScope": {"type": "namespace", "namespaces": ["shop"]}}],
    ),
    Story(
        "UpdatePodIdentityAssociation",
        lambda t: {
            **SHOP,
            "associationId": t.association,
            "roleArn": t.role("other"),
            "disableSessionTags": True,
            "targetRoleArn": "arn:aws:iam::444455556666:role/target",
            "policy": '{"Version": "2012-10-17", "Statement": []}',
        },
        0,
        ("describe_pod_identity_association", {**SHOP, "associationId": "?"}),
    ),
    Story(
        "TagResource",
        lambda t: {"resourceArn": t.cluster_arn, "tags": {"ring": "early"}},
        0,
        ("list_tags_for_resource", {"resourceArn": NAMES.cluster_arn}),
        lambda _: {"ring": "early"},
    ),
]


def populated(account: Account, group_version: str = "1.34") -> Things:
    """A cluster at 1.35 with one of each of the things that belong to it; the group is as old as it has to be."""
    ec2 = account.client("ec2")
    account.cluster(version=group_version, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    account.addon("vpc-cni")
    template = custom_template(account)
    account.nodegroup(
        version=group_version,
        instanceTypes=["m7i.large"],
        scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 1},
        labels={"old": "x"},
        taints=[{"key": "first", "value": "x", "effect": "PREFER_NO_SCHEDULE"}],
        launchTemplate={"id": template, "version": "1"},
    )
    ec2.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData={"MetadataOptions": {"HttpTokens": "required"}}
    )
    if group_version != "1.35":
        account.eks.update_cluster_version(name="shop", version="1.35")
        account.clock.advance(541)
    made = account.eks.create_pod_identity_association(
        **SHOP, namespace="first", serviceAccount="first", roleArn=account.role("pod")
    )
    return Things(
        account.subnets, security_groups(account), template, account.role, made["association"]["associationId"]
    )


def custom_template(account: Account) -> str:
    data = {"MetadataOptions": {"HttpTokens": "optional"}}
    made = account.client("ec2").create_launch_template(LaunchTemplateName="custom", LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def security_groups(account: Account) -> list[str]:
    ec2 = account.client("ec2")
    return [ec2.create_security_group(GroupName=name, Description=name, VpcId=account.vpc)["GroupId"] for name in "ab"]


def read(account: Account, story: Story, association: str) -> Any:
    """The one member of an answer that is its matter."""
    method, parameters = story.read
    parameters = {key: association if value == "?" else value for key, value in parameters.items()}
    answer = getattr(account.eks, method)(**parameters)
    names = (
        "cluster",
        "nodegroup",
        "addon",
        "accessEntry",
        "association",
        "associations",
        "associatedAccessPolicies",
        "tags",
    )
    return next(answer[name] for name in names if name in answer)


def holds(shown: Any, wanted: Any) -> bool:
    """Whether all that is wanted is shown; None wants the absence, an empty list an empty one."""
    if isinstance(wanted, dict):
        return isinstance(shown, dict) and all(
            holds(shown.get(key), each) if each is not None else key not in shown for key, each in wanted.items()
        )
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        return all(any(holds(other, each) for other in shown or []) for each in wanted)
    return bool(shown == wanted)


@pytest.mark.parametrize("story", CREATES, ids=lambda story: story.operation)
def test_what_is_asked_for_is_what_is_made(account: Account, story: Story) -> None:
    if story.operation == "CreateCluster":
        things = Things(account.subnets, security_groups(account), "", account.role)
    else:
        account.cluster()
        account.addon("vpc-cni")
        things = Things(account.subnets, [], custom_template(account), account.role)
    asked = story.request(things)
    method = xform_name(story.operation)
    answer = getattr(account.eks, method)(**asked)
    account.clock.advance(story.seconds)
    association = answer.get("association", {}).get("associationId", "")
    shown = read(account, story, association)
    wanted = story.expected(things) if story.expected else asked
    assert holds(shown, wanted), (wanted, shown)


@pytest.mark.slow
@pytest.mark.parametrize("story", UPDATES, ids=lambda story: story.operation)
def test_what_is_changed_is_what_is_shown(account: Account, story: Story) -> None:
    # The control plane moves on only when its groups have caught up.
    things = populated(account, "1.35" if story.operation == "UpdateClusterVersion" else "1.34")
    asked = story.request(things)
    wanted = story.expected(things) if story.expected else asked
    assert not holds(read(account, story, things.association), wanted)
    getattr(account.eks, xform_name(story.operation))(**asked)
    account.clock.advance(story.seconds)
    shown = read(account, story, things.association)
    assert holds(shown, wanted), (wanted, shown)


def test_every_kept_member_has_its_request() -> None:
    tried = {
        (story.operation, path)
        for story in (*CREATES, *UPDATES)
        for path, _ in validation.members(request_shape(story.operation), story.request(NAMES))
    }
    assert of_class("kept") - tried == set()


def test_every_operation_that_is_served_answers_as_its_model_says(account: Account) -> None:
    """The fixture holds each answer against the model; here those come that no story above asks for."""
    known = named(account, several(account))
    account.eks.start_insights_refresh(**SHOP)
    account.answered.clear()
    last = ["DisassociateAccessPolicy", "DeleteAccessEntry", "DeletePodIdentityAssociation", "DeleteAddon"]
    last += ["DeleteNodegroup", "DeleteCluster"]
    # Nothing that can be cancelled ever runs here.
    others = set(SERVED) - {story.operation for story in (*CREATES, *UPDATES)} - {"CancelUpdate"}
    for operation in [*sorted(others - set(last)), *last]:
        if operation == "DeleteCluster":
            account.eks.delete_nodegroup(**SHOP, nodegroupName="others")
            account.clock.advance(500)
        shape = request_shape(operation)
        parameters = {key: each for key, each in known.items() if key in shape.required_members}
        getattr(account.eks, xform_name(operation))(**{**sample(shape), **parameters})
    assert account.answered == others
    code, _ = refused(account.eks.cancel_update, name="other", updateId="none")
    assert code == "ResourceNotFoundException"


# what names something, pages, and idempotency


def named(account: Account, things: Things) -> dict[str, Any]:
    """What exists, by the member that names it; `name` and `id` are a cluster's and an insight's."""
    eks = account.eks
    return {
        "clusterName": "shop",
        "name": "shop",
        "nodegroupName": "workers",
        "addonName": "vpc-cni",
        "principalArn": account.role("creator"),
        "associationId": things.association,
        "updateId": eks.list_updates(name="shop")["updateIds"][0],
        "id": eks.list_insights(clusterName="shop")["insights"][0]["id"],
        "resourceArn": things.cluster_arn,
        "policyArn": POLICY,
        "accessScope": {"type": "cluster"},
        "version": "1.36",
        "addonVersion": "v1.22.1-eksbuild.1",
    }


def test_what_is_named_has_to_exist(account: Account) -> None:
    things = populated(account)
    account.eks.update_cluster_config(name="shop", deletionProtection=True)
    account.clock.advance(301)
    known = named(account, things)
    unknown = {**dict.fromkeys(known, "unknown"), "resourceArn": things.cluster_arn.replace("shop", "unknown")}
    for operation, path in sorted(of_class("key")):
        parameters = {
            **sample(request_shape(operation)),
            **{key: each for key, each in known.items() if key in request_shape(operation).required_members},
            path: unknown[path],
        }
        code, message = refused(getattr(account.unchecked, xform_name(operation)), **parameters)
        assert code == "ResourceNotFoundException", (operation, path, message)


def several(account: Account) -> Things:
    """Two at least of everything that a list shows."""
    things = populated(account)
    account.request_cluster("other")
    account.addon("kube-proxy")
    account.request_nodegroup("others", version="1.35")
    for name in ("viewer", "other"):
        account.eks.create_access_entry(**SHOP, principalArn=account.role(name))
    for policy in ("AmazonEKSViewPolicy", "AmazonEKSEditPolicy"):
        account.eks.associate_access_policy(
            **SHOP,
            principalArn=account.role("creator"),
            policyArn=POLICY.replace("AmazonEKSViewPolicy", policy),
            accessScope={"type": "cluster"},
        )
    account.eks.create_pod_identity_association(
        **SHOP, namespace="second", serviceAccount="second", roleArn=account.role("pod")
    )
    for protected in (True, False):
        account.eks.update_cluster_config(name="shop", deletionProtection=protected)
        account.clock.advance(301)
    return things


EMPTY = {"ListCapabilities", "ListEksAnywhereSubscriptions", "ListFargateProfiles", "ListIdentityProviderConfigs"}


def test_lists_come_in_pages(account: Account) -> None:
    known = named(account, several(account))
    operations = sorted({operation for operation, _ in of_class("page")})
    assert len(operations) >= 15
    for operation in operations:
        shape = request_shape(operation)
        method = getattr(account.eks, xform_name(operation))
        base = {key: each for key, each in known.items() if key in shape.required_members}
        whole = method(**base)
        [name] = [key for key, each in whole.items() if isinstance(each, list)]
        assert "nextToken" not in whole
        assert len(whole[name]) >= (0 if operation in EMPTY else 2), operation
        pages = [method(**base, maxResults=1)]
        while token := pages[-1].get("nextToken"):
            pages.append(method(**base, maxResults=1, nextToken=token))
        assert [each for page in pages for each in page[name]] == whole[name], operation
        assert all(len(page[name]) <= 1 for page in pages)
        assert refused(method, **base, nextToken="nonsense")[0] == "InvalidParameterException", operation
        for wrong in (0, 101):
            unchecked = getattr(account.unchecked, xform_name(operation))
            assert refused(unchecked, **base, maxResults=wrong)[0] == "InvalidParameterException", operation


# By operation: what a repetition with the same token changes, and so is refused.
OTHERWISE: dict[str, dict[str, Any]] = {
    "AssociateEncryptionConfig": {"encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": KEY + "2"}}]},
    "CreateAccessEntry": {"username": "somebody"},
    "CreateAddon": {"addonVersion": "v1.36.2-eksbuild.1"},
    "CreateCluster": {"deletionProtection": False},
    "CreateNodegroup": {"capacityType": "ON_DEMAND"},
    "CreatePodIdentityAssociation": {"namespace": "other"},
    "UpdateAccessEntry": {"username": "somebody"},
    "UpdateAddon": {"resolveConflicts": "OVERWRITE"},
    "UpdateClusterConfig": {"resourcesVpcConfig": {"endpointPublicAccess": False}},
    "UpdateClusterVersion": {"force": True},
    "UpdateNodegroupConfig": {"scalingConfig": {"maxSize": 9}},
    "UpdateNodegroupVersion": {"force": True},
    "UpdatePodIdentityAssociation": {"disableSessionTags": False},
}


def test_every_token_has_a_repetition() -> None:
    assert {operation for operation, _ in of_class("token")} == set(OTHERWISE)


@pytest.mark.slow
@pytest.mark.parametrize("operation", sorted(OTHERWISE))
def test_a_repetition_with_the_same_token_makes_nothing_new(account: Account, operation: str) -> None:
    story = next(each for each in (*CREATES, *UPDATES) if each.operation == operation)
    if operation == "CreateCluster":
        things = Things(account.subnets, security_groups(account), "", account.role)
    else:
        things = populated(account, "1.35" if operation == "UpdateClusterVersion" else "1.34")
    asked = {**story.request(things), "clientRequestToken": "the-same"}
    call = getattr(account.eks, xform_name(operation))
    first, again = call(**asked), call(**asked)
    for answer in (first, again):
        del answer["ResponseMetadata"]
    assert again == first
    account.clock.advance(2_000)
    late = call(**asked)
    [(name, made)] = first.items()
    identity = next(
        key for key in ("id", "arn", "nodegroupArn", "addonArn", "accessEntryArn", "associationArn") if key in made
    )
    assert late[name][identity] == made[identity]
    code, message = refused(call, **{**asked, **OTHERWISE[operation]})
    assert (code, "the-same" in message) == ("InvalidParameterException", True)


# what shows otherwise


def test_versions_of_add_ons_can_be_chosen(account: Account) -> None:
    def names(**more: Any) -> set[str]:
        found = account.eks.describe_addon_versions(**more)["addons"]
        assert all(each["addonVersions"] for each in found)
        return {each["addonName"] for each in found}

    everything = names()
    assert names(addonName="coredns") == {"coredns"}
    assert names(addonName="none") == set()
    assert "coredns" in names(types=["networking"])
    assert "eks-pod-identity-agent" not in names(types=["networking"])
    assert names(owners=["aws"]) | names(owners=["community"]) == everything
    assert names(owners=["aws"]) != everything
    assert names(publishers=["eks"]) == everything
    assert names(publishers=["somebody"]) == set()
    [found] = account.eks.describe_addon_versions(addonName="kube-proxy", kubernetesVersion="1.37")["addons"]
    assert {each["clusterVersion"] for version in found["addonVersions"] for each in version["compatibilities"]} == {
        "1.37"
    }


def test_the_configuration_of_an_add_on_is_a_versions(account: Account) -> None:
    describe = account.eks.describe_addon_configuration
    found = describe(addonName="coredns", addonVersion="v1.13.2-eksbuild.4")
    assert (found["addonName"], found["addonVersion"]) == ("coredns", "v1.13.2-eksbuild.4")
    assert refused(describe, addonName="none", addonVersion="v1")[0] == "ResourceNotFoundException"
    assert refused(describe, addonName="coredns", addonVersion="v1")[0] == "ResourceNotFoundException"


def test_cluster_versions_can_be_chosen(account: Account) -> None:
    def versions(**more: Any) -> list[str]:
        return [each["clusterVersion"] for each in account.eks.describe_cluster_versions(**more)["clusterVersions"]]

    assert versions(clusterVersions=["1.34", "1.36"]) == ["1.36", "1.34"]
    assert versions(defaultOnly=True) == ["1.35"]
    assert versions(clusterType="outposts") == []
    assert versions(clusterType="eks") == versions()
    assert versions(versionStatus="EXTENDED_SUPPORT") == versions(status="extended-support") == ["1.33"]
    account.clock.advance(700 * 86_400)
    assert "1.33" in versions(includeAll=True)
    assert "1.33" not in versions()


def test_updates_are_of_the_cluster_or_of_one_thing_in_it(account: Account) -> None:
    populated(account, "1.35")
    eks = account.eks
    of_group = eks.update_nodegroup_config(**WORKERS, scalingConfig={"maxSize": 5})["update"]["id"]
    of_addon = eks.update_addon(**SHOP, addonName="vpc-cni", resolveConflicts="PRESERVE")["update"]["id"]
    of_cluster = eks.update_cluster_config(name="shop", deletionProtection=True)["update"]["id"]
    where: list[tuple[str, dict[str, str]]] = [
        (of_cluster, {}),
        (of_group, {"nodegroupName": "workers"}),
        (of_addon, {"addonName": "vpc-cni"}),
    ]
    for mine, place in where:
        assert eks.list_updates(name="shop", **place)["updateIds"] == [mine]
        for identifier, other in where:
            if other == place:
                assert eks.describe_update(name="shop", updateId=identifier, **place)["update"]["id"] == identifier
            else:
                code, _ = refused(eks.describe_update, name="shop", updateId=identifier, **place)
                assert code == "ResourceNotFoundException"


def test_access_entries_can_be_chosen_by_policy(account: Account) -> None:
    several(account)
    listed = account.eks.list_access_entries(**SHOP, associatedPolicyArn=POLICY)["accessEntries"]
    assert listed == [account.role("creator")]


def test_associations_can_be_chosen_by_service_account(account: Account) -> None:
    several(account)
    listed = account.eks.list_pod_identity_associations
    assert [each["serviceAccount"] for each in listed(**SHOP, namespace="first")["associations"]] == ["first"]
    assert [each["namespace"] for each in listed(**SHOP, serviceAccount="second")["associations"]] == ["second"]


def test_insights_can_be_chosen(account: Account) -> None:
    populated(account)
    account.eks.start_insights_refresh(**SHOP)
    account.clock.advance(61)

    def names(**wanted: list[str]) -> set[str]:
        return {each["name"] for each in account.eks.list_insights(**SHOP, filter=wanted)["insights"]}

    everything = names()
    assert names(categories=["UPGRADE_READINESS"], kubernetesVersions=["1.36"]) == everything
    assert names(categories=["MISCONFIGURATION"]) == names(kubernetesVersions=["1.37"]) == set()
    assert names(statuses=["ERROR"]) == {"Kubelet version skew"}  # the group is at 1.34
    upgrade = ["UPGRADE_READINESS"]
    assert names(categories=upgrade, statuses=["PASSING"]) == everything - {"Kubelet version skew"}
    assert names(categories=["ROLLBACK_READINESS"], kubernetesVersions=["1.34"]) < everything


@pytest.mark.parametrize("minutes", [119, 10_081])
def test_the_patience_of_a_rollback_has_bounds(account: Account, minutes: int) -> None:
    account.cluster(version="1.34")
    account.eks.update_cluster_version(name="shop", version="1.35")
    account.clock.advance(541)
    config = {"timeoutMinutes": minutes}
    code, message = refused(account.eks.update_cluster_version, name="shop", version="1.34", rollbackConfig=config)
    assert (code, "timeoutMinutes" in message) == ("InvalidParameterException", True)


EFFECTS = {
    ("CreateAddon", "resolveConflicts"): "test_addons.test_an_add_on_takes_over_what_is_equal_or_what_it_may_overwrite",
    ("CreateCluster", "bootstrapSelfManagedAddons"): "test_addons.test_unasked_add_ons_are_installed_as_objects_alone",
    ("DeleteAddon", "preserve"): "test_addons.test_deletion_takes_the_objects_unless_preserved",
    **{
        ("DescribeAddonVersions", path): "test_requests.test_versions_of_add_ons_can_be_chosen"
        for path in ("addonName", "kubernetesVersion", "owners", "publishers", "types")
    },
    **{
        ("DescribeAddonConfiguration", path): "test_requests.test_the_configuration_of_an_add_on_is_a_versions"
        for path in ("addonName", "addonVersion")
    },
    **{
        ("DescribeClusterVersions", path): "test_requests.test_cluster_versions_can_be_chosen"
        for path in ("clusterType", "clusterVersions", "defaultOnly", "includeAll", "status", "versionStatus")
    },
    **{
        (operation, path): "test_requests.test_updates_are_of_the_cluster_or_of_one_thing_in_it"
        for operation in ("DescribeUpdate", "ListUpdates")
        for path in ("addonName", "nodegroupName")
    },
    ("DisassociateAccessPolicy", "policyArn"): "test_access.test_a_policy_can_change_its_scope_and_go",
    ("ListAccessEntries", "associatedPolicyArn"): "test_requests.test_access_entries_can_be_chosen_by_policy",
    **{
        ("ListInsights", f"filter.{path}"): "test_requests.test_insights_can_be_chosen"
        for path in ("categories", "kubernetesVersions", "statuses")
    },
    **{
        ("ListPodIdentityAssociations", path): "test_requests.test_associations_can_be_chosen_by_service_account"
        for path in ("namespace", "serviceAccount")
    },
    ("UntagResource", "tagKeys"): "test_clusters.test_tags_come_and_go",
    ("UpdateAddon", "resolveConflicts"): "test_addons.test_what_a_user_changed_conflicts_stays_or_goes",
    ("UpdateClusterVersion", "force"): "test_updates.test_an_insight_in_error_blocks_unless_forced",
    (
        "UpdateClusterVersion",
        "rollbackConfig.timeoutMinutes",
    ): "test_requests.test_the_patience_of_a_rollback_has_bounds",
    ("UpdateNodegroupVersion", "force"): "test_nodegroups.test_force_replaces_the_nodes_in_spite_of_a_budget",
}


def test_every_effect_has_its_story() -> None:
    assert of_class("effect") == set(EFFECTS)
    for place in EFFECTS.values():
        file, _, name = place.partition(".")
        assert callable(getattr(importlib.import_module(f"tests.local.eks.{file}"), name, None)), place
