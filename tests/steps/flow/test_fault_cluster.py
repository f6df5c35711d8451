"""What EKS, IAM and leftovers do to an environment's cluster, nodes and add-ons: F7, F14-F19, F35, F38."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard.naming import NAME_TAG
from springboard_local.services import eks
from springboard_local.services.eks.faults import LifecycleFault
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.steps.flow.springboard import Springboard, Status

pytestmark = pytest.mark.sweep


def slow(springboard: Springboard, operation: str, seconds: float) -> None:
    """Let AWS take so long over something."""
    springboard.cloud.latency.slow[operation] = seconds  # type: ignore[attr-defined] # the fixture's


def cluster(springboard: Springboard, name: str) -> dict[str, Any]:
    """What EKS says of the environment's control plane."""
    described: dict[str, Any] = springboard.client("eks").describe_cluster(name=f"springboard-{name}")["cluster"]
    return described


def failed_at(springboard: Springboard, status: Status, step: str, condition: str, reason: str) -> None:
    """It failed there and for that, told in each place that a person looks at."""
    assert status.failure["step"] == step, status.failure
    assert status.condition(condition)["reason"] == reason, status.condition(condition)
    assert reason in status.failure["cause"] or reason == "TimedOut"
    assert status.failure["remedy"] in status.condition(condition)["message"]
    invariants.check(springboard, status.document["metadata"]["name"])


# F7

# What each function does first of what it may do, in the order in which an operation comes there.
CREATES = {
    "schedules": "scheduler:CreateSchedule",
    "firewall": "ec2:CreateSecurityGroup",
    "target-groups": "elasticloadbalancing:CreateTargetGroup",
    "certificate": "acm:RequestCertificate",
    "load-balancer": "elasticloadbalancing:CreateLoadBalancer",
    "dns": "route53:ChangeResourceRecordSets",
    "alarms": "cloudwatch:PutMetricAlarm",
    "cluster": "eks:CreateCluster",
    "access": "eks:CreateAccessEntry",
    "addons": "eks:CreateAddon",
    "node-groups": "eks:CreateNodegroup",
    "workload": "eks:CreatePodIdentityAssociation",
    "targets": "autoscaling:AttachTrafficSources",
}
DELETES = {
    "schedules": "scheduler:DeleteSchedule",
    "firewall": "ec2:DeleteSecurityGroup",
    "target-groups": "elasticloadbalancing:DeleteTargetGroup",
    "certificate": "acm:DeleteCertificate",
    "load-balancer": "elasticloadbalancing:DeleteLoadBalancer",
    "dns": "route53:ChangeResourceRecordSets",
    "alarms": "cloudwatch:DeleteAlarms",
    "cluster": "eks:DeleteCluster",
    "node-groups": "eks:DeleteNodegroup",
    "targets": "autoscaling:DetachTrafficSources",
}


class Rights:
    """Actions taken from functions' roles, and given back."""

    def __init__(self, springboard: Springboard, actions: dict[str, str]) -> None:
        self.iam, self.taken = springboard.client("iam"), dict(actions)
        functions = springboard.client("lambda")
        self.roles = {}
        for function, action in actions.items():
            configured = functions.get_function_configuration(FunctionName=f"springboard-{function}")
            self.roles[function] = configured["Role"].rpartition("/")[2]
            statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
            self.iam.put_role_policy(
                RoleName=self.roles[function],
                PolicyName="taken",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            )

    def give_back(self, function: str) -> None:
        """Allow the action again."""
        self.iam.delete_role_policy(RoleName=self.roles[function], PolicyName="taken")
        del self.taken[function]


def denied(springboard: Springboard, rights: Rights, status: Status, verb: str) -> str:
    """The function that was denied: told with action and resource, asked once."""
    failure = status.failure
    function = next(each for each in rights.taken if failure["step"] == f"{verb}{each.title().replace('-', '')}")
    action = rights.taken[function]
    assert f"allow {action} on " in failure["remedy"], failure
    resource = failure["remedy"].partition(f"{action} on ")[2].split(" ")[0]
    assert resource == "*" or resource.startswith("arn:aws:"), failure
    calls = [f"{call.service}:{call.operation}" for call in springboard.recorded() if call.status in {400, 403}]
    assert calls.count(action) == 1, (action, calls)  # not retried
    invariants.check(springboard, status.document["metadata"]["name"])
    return function


@pytest.fixture
def take() -> Iterator[Callable[[Springboard, dict[str, str]], Rights]]:
    """Takes rights; whatever comes, they are given back."""
    taken: list[Rights] = []

    def take(springboard: Springboard, actions: dict[str, str]) -> Rights:
        taken.append(Rights(springboard, actions))
        return taken[-1]

    yield take
    for rights in taken:
        for function in list(rights.taken):
            rights.give_back(function)


def test_f7_whatever_a_function_may_not_do_is_named_and_not_retried(
    springboard: Springboard, take: Callable[[Springboard, dict[str, str]], Rights]
) -> None:
    before = inventory(springboard.client)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    role = springboard.client("iam").create_role(
        RoleName="app-denied",
        Path="/springboard-apps/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    wanted = document("denied", ttlHours=2000)
    wanted["spec"]["apps"][0]["roleArn"] = role
    rights = take(springboard, CREATES)
    springboard.forget_calls()
    status = springboard.apply(wanted)
    while status.phase != "Ready":
        rights.give_back(denied(springboard, rights, status, "Ensure"))
        springboard.forget_calls()
        status = springboard.act("denied", "retry")
    assert not rights.taken, "these were never asked for"
    invariants.converges(springboard, wanted)

    rights = take(springboard, DELETES)
    springboard.forget_calls()
    springboard.finish(springboard.call("DELETE", "/environments/denied"))
    while rights.taken:
        rights.give_back(denied(springboard, rights, springboard.get("denied"), "Remove"))
        springboard.forget_calls()
        springboard.finish(springboard.call("POST", "/environments/denied/retry"))
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "denied", before)


# F14, F15


def test_f14_a_control_plane_that_failed_is_kept_and_a_retry_makes_another(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("broken")
    eks.fail_next("cluster", "springboard-broken", "InsufficientFreeAddresses", "Subnets lack free addresses.")
    failed = springboard.apply(wanted)
    failed_at(springboard, failed, "EnsureCluster", "ClusterReady", "InsufficientFreeAddresses")
    assert "free at least 5 addresses" in failed.failure["remedy"]
    assert failed.condition("Ready")["status"] == "False"
    springboard.clock.advance(6 * 3600)
    kept = cluster(springboard, "broken")
    assert kept["status"] == "FAILED"
    invariants.converges(springboard, wanted)
    assert cluster(springboard, "broken")["createdAt"] > kept["createdAt"]
    invariants.deleted(springboard, "broken", before)


def test_f14_a_control_plane_that_failed_can_be_deleted_at_once(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    eks.fail_next("cluster", "springboard-wreck", "KmsKeyDisabled", "The key is disabled.")
    failed = springboard.apply(document("wreck"))
    failed_at(springboard, failed, "EnsureCluster", "ClusterReady", "KmsKeyDisabled")
    invariants.deleted(springboard, "wreck", before)


def test_f15_a_control_plane_that_takes_too_long_is_waited_for_again_by_a_retry(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("late")
    slow(springboard, "eks:CreateCluster", 4000)
    failed = springboard.apply(wanted)
    failed_at(springboard, failed, "EnsureCluster", "ClusterReady", "TimedOut")
    assert "waited 2400 s" in failed.failure["cause"]
    springboard.forget_calls()
    invariants.converges(springboard, wanted)
    asked = [call.operation for call in springboard.cloud.pipeline.calls() if call.operation == "CreateCluster"]
    assert cluster(springboard, "late")["status"] == "ACTIVE"
    assert "eks:CreateCluster" not in springboard.mutating(), asked

    slow(springboard, "eks:DeleteCluster", 5000)
    springboard.finish(springboard.call("DELETE", "/environments/late"))
    stuck = springboard.get("late")
    assert (stuck.phase, stuck.failure["step"]) == ("Failed", "RemoveCluster")
    assert "waited 3600 s" in stuck.failure["cause"]
    invariants.deleted(springboard, "late", before)


# F16, F17


def group_fault(name: str, code: str, times: int = 1, message: str = "", resources: tuple[str, ...] = ()) -> None:
    eks.inject(
        LifecycleFault(
            kind="health",
            resource="nodegroup",
            cluster=f"springboard-{name}",
            code=code,
            times=times,
            message=message,
            resourceIds=list(resources),
        )
    )


def test_f16_nodes_that_never_join_are_tried_three_times_and_named(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("lonely")
    instances = ("i-0123456789abcdef0", "i-0123456789abcdef1")
    group_fault("lonely", "NodeCreationFailure", 3, "Instances failed to join the kubernetes cluster", instances)
    springboard.forget_calls()
    failed = springboard.apply(wanted)
    failed_at(springboard, failed, "EnsureNodeGroups", "NodeGroupsReady", "NodeCreationFailure")
    assert all(each in failed.failure["cause"] for each in ("after 3 tries", "failed to join", *instances))
    assert "system log" in failed.failure["remedy"]
    assert [springboard.mutating().count(f"eks:{verb}Nodegroup") for verb in ("Create", "Delete")] == [3, 2]
    invariants.converges(springboard, wanted)
    invariants.deleted(springboard, "lonely", before)


def test_f16_nodes_that_fail_to_join_once_are_made_again_unasked(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("hiccup")
    group_fault("hiccup", "NodeCreationFailure")
    springboard.forget_calls()
    assert springboard.apply(wanted).phase == "Ready"
    assert springboard.mutating().count("eks:CreateNodegroup") == 2
    invariants.converges(springboard, wanted)
    invariants.deleted(springboard, "hiccup", before)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("Ec2SubnetInvalidConfiguration", "route to the internet"),
        ("InstanceLimitExceeded", "vCPU quota"),
        ("InsufficientFreeAddresses", "free addresses in the private subnets"),
    ],
)
def test_f17_what_somebody_has_to_mend_is_not_tried_blindly(springboard: Springboard, code: str, remedy: str) -> None:
    before = inventory(springboard.client)
    name = code.lower()[:12]
    wanted = document(name)
    group_fault(name, code, message="Something has to be done.")
    springboard.forget_calls()
    failed = springboard.apply(wanted)
    failed_at(springboard, failed, "EnsureNodeGroups", "NodeGroupsReady", code)
    assert remedy in failed.failure["remedy"]
    assert springboard.mutating().count("eks:CreateNodegroup") == 1
    invariants.converges(springboard, wanted)
    invariants.deleted(springboard, name, before)


# F18, F19


def test_f18_coredns_comes_after_the_nodes_and_is_waited_for_when_it_suffers(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("named")
    slow(springboard, "eks:CreateNodegroup", 1500)
    accepted = springboard.send(wanted)
    client, name = springboard.client("eks"), "springboard-named"
    springboard.until(lambda: bool(springboard.get("named").document["status"]["nodeGroups"]))
    springboard.clock.advance(600)
    assert client.describe_nodegroup(clusterName=name, nodegroupName="workers")["nodegroup"]["status"] == "CREATING"
    assert "coredns" not in client.list_addons(clusterName=name)["addons"]
    waits = springboard.get("named").condition("AddonsReady")
    assert "node" in waits["message"], waits
    springboard.finish(accepted)
    invariants.converges(springboard, wanted)

    ill = LifecycleFault(
        kind="health", resource="addon", name="coredns", cluster=name, code="InsufficientNumberOfReplicas", when="now"
    )
    eks.inject(ill)
    accepted = springboard.send(
        document("named", addons=[{"name": "metrics-server", "configuration": {"replicas": 1}}])
    )
    assert accepted.status == 202, accepted
    springboard.clock.advance(300)
    waits = springboard.get("named").condition("AddonsReady")
    assert "coredns" in waits["message"], waits
    assert "InsufficientNumberOfReplicas" in waits["message"], waits
    springboard.cloud.pipeline.clear_faults()
    springboard.finish(accepted)
    assert springboard.get("named").phase == "Ready", springboard.get("named").document["status"]
    invariants.deleted(springboard, "named", before)


def test_f19_a_conflict_over_an_add_on_s_configuration_is_told_and_nothing_overwritten(
    springboard: Springboard,
) -> None:
    before = inventory(springboard.client)
    assert springboard.apply(document("torn")).phase == "Ready"
    eks.inject(
        LifecycleFault(
            kind="update",
            resource="addon",
            name="metrics-server",
            cluster="springboard-torn",
            code="ConfigurationConflict",
            message="Conflicts found when trying to apply. Will not continue due to resolve conflicts mode.",
        )
    )
    wanted = document("torn", addons=[{"name": "metrics-server", "configuration": {"replicas": 1}}])
    springboard.forget_calls()
    failed = springboard.apply(wanted)
    failed_at(springboard, failed, "EnsureAddons", "AddonsReady", "ConfigurationConflict")
    assert (failed.phase, failed.condition("Available")["status"]) == ("Degraded", "True")
    assert "metrics-server" in failed.failure["cause"]
    updates = [call for call in springboard.recorded() if call.operation == "UpdateAddon"]
    assert [(call.parameters or {}).get("resolveConflicts") for call in updates] == ["PRESERVE"]
    invariants.converges(springboard, wanted)
    invariants.deleted(springboard, "torn", before)


# F35, F38


def test_f35_an_interface_that_somebody_left_in_our_group_is_named_until_it_goes(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    assert springboard.apply(document("litter")).phase == "Ready"
    ec2 = springboard.client("ec2")
    [group, *_] = ec2.describe_security_groups(Filters=[{"Name": f"tag:{NAME_TAG}", "Values": ["litter"]}])[
        "SecurityGroups"
    ]
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [group["VpcId"]]}])["Subnets"][0]["SubnetId"]
    theirs = ec2.create_network_interface(SubnetId=subnet, Groups=[group["GroupId"]], Description="a database")
    interface = theirs["NetworkInterface"]["NetworkInterfaceId"]
    springboard.finish(springboard.call("DELETE", "/environments/litter"))
    stuck = springboard.get("litter")
    assert (stuck.phase, stuck.failure["step"]) == ("Failed", "RemoveFirewall"), stuck.failure
    assert interface in stuck.failure["cause"], stuck.failure
    assert group["GroupName"] in stuck.failure["cause"], stuck.failure
    assert "named in the cause" in stuck.failure["remedy"], stuck.failure
    invariants.check(springboard, "litter")
    assert ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    springboard.finish(springboard.call("POST", "/environments/litter/retry"))
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "litter", before)


def test_f38_a_cluster_of_somebody_else_is_never_touched(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    made = springboard.apply(document("template"))
    ours = cluster(springboard, "template")
    network = ours["resourcesVpcConfig"]
    client = springboard.client("eks")
    client.create_cluster(
        name="springboard-taken",
        roleArn=ours["roleArn"],
        resourcesVpcConfig={"subnetIds": network["subnetIds"]},
        accessConfig={"authenticationMode": "API"},
    )
    assert made.phase == "Ready"
    springboard.forget_calls()
    failed = springboard.apply(document("taken"))
    assert (failed.failure["step"], failed.condition("ClusterReady")["reason"]) == ("EnsureCluster", "NotOurs")
    assert "was not made for this environment" in failed.failure["cause"]
    assert "choose another environment name" in failed.failure["remedy"]
    invariants.told(springboard, "taken")
    invariants.lock_lives(springboard, failed.uid)
    springboard.finish(springboard.call("DELETE", "/environments/taken"))
    assert springboard.call("GET", "/environments/taken").status == 404
    assert not [call for call in springboard.mutating() if call.startswith("eks:")]
    springboard.until(lambda: cluster(springboard, "taken")["status"] == "ACTIVE")
    client.delete_cluster(name="springboard-taken")
    invariants.deleted(springboard, "template", before)


def test_f38_what_is_protected_is_not_deleted(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    assert springboard.apply(document("guarded", deletionProtection=True)).phase == "Ready"
    springboard.forget_calls()
    refused = springboard.call("DELETE", "/environments/guarded")
    assert refused.status == 409, refused
    assert "deletionProtection" in json.dumps(refused.document)
    assert springboard.mutating() == []
    assert springboard.get("guarded").phase == "Ready"
    assert cluster(springboard, "guarded")["deletionProtection"]
    springboard.apply(document("guarded"))
    invariants.converges(springboard, document("guarded"))
    invariants.deleted(springboard, "guarded", before)
