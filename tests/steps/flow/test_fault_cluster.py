"""What EKS, IAM and leftovers do to an environment's cluster, nodes and add-ons: F7, F14-F19, F35, F38."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard.naming import NAME_TAG, OWNER_TAG
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


CHANGES = {
    "schedules": "scheduler:DeleteSchedule",
    "firewall": "ec2:AuthorizeSecurityGroupIngress",
    "target-groups": "elasticloadbalancing:CreateTargetGroup",
    "certificate": "acm:RequestCertificate",
    "load-balancer": "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "dns": "route53:ChangeResourceRecordSets",
    "alarms": "cloudwatch:PutMetricAlarm",
    "cluster": "eks:TagResource",
    "access": "eks:CreateAccessEntry",
    "addons": "eks:CreateAddon",
    "node-groups": "eks:UpdateNodegroupConfig",
    "workload": "eks:DeletePodIdentityAssociation",
    "targets": "autoscaling:AttachTrafficSources",
}


class Rights:
    """Actions taken from functions' roles, and given back."""

    def __init__(self, springboard: Springboard, actions: dict[str, str]) -> None:
        self.iam, self.functions = springboard.client("iam"), springboard.client("lambda")
        self.taken: dict[str, str] = {}
        self.roles: dict[str, str] = {}
        for function, action in actions.items():
            self.take(function, action)

    def take(self, function: str, action: str) -> None:
        """Deny a function the action, on whatever resource."""
        configured = self.functions.get_function_configuration(FunctionName=f"springboard-{function}")
        self.taken[function], self.roles[function] = action, configured["Role"].rpartition("/")[2]
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


def changed(name: str, role: str) -> dict[str, Any]:
    """The environment of F7 as it is changed: almost every component has something to do."""
    wanted = document(
        name,
        cluster={"access": [{"principalArn": role, "policy": "AmazonEKSViewPolicy", "namespaces": [name]}]},
        nodeGroups=[{"name": "workers", "size": 2, "labels": {"tier": "web"}}, {"name": "more", "size": 1}],
        addons=[{"name": "eks-node-monitoring-agent"}],
        ingress={"allowCidrs": ["192.0.2.0/24"], "idleTimeoutSeconds": 50},
    )
    wanted["metadata"]["labels"] = {"team": "checkout"}
    app = wanted["spec"]["apps"][0] | {"replicas": 1}
    hosts = {name: f"other-{name}.dev.example.com", "orders": f"orders-{name}.dev.example.com"}
    wanted["spec"]["apps"] = [{**app, "name": each, "host": host} for each, host in hosts.items()]
    return wanted


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

    wanted = changed("denied", role)
    rights = take(springboard, CHANGES)
    springboard.forget_calls()
    status = springboard.apply(wanted)
    while status.phase != "Ready":
        assert status.phase == "Degraded", status.document["status"]  # what served goes on serving
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

    changed = document("late", cluster={"apiAccess": {"publicCidrs": ["8.8.8.0/24"]}})
    slow(springboard, "eks:UpdateClusterConfig", 4000)
    failed = springboard.apply(changed)
    failed_at(springboard, failed, "EnsureCluster", "ClusterReady", "TimedOut")
    assert (failed.phase, failed.condition("Available")["status"]) == ("Degraded", "True")
    invariants.converges(springboard, changed)

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
    assert springboard.mutating().count("ec2:CreateLaunchTemplate") == 1  # that of the first try is there
    springboard.forget_calls()
    springboard.act("lonely", "retry")
    assert springboard.mutating().count("eks:CreateNodegroup") == 1
    assert not [call for call in springboard.mutating() if "LaunchTemplate" in call]
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

    more = document("hiccup", nodeGroups=[{"name": "workers", "size": 2}, {"name": "more", "size": 1}])
    group_fault("hiccup", "NodeCreationFailure", 3)
    springboard.forget_calls()
    failed = springboard.apply(more)
    failed_at(springboard, failed, "EnsureNodeGroups", "NodeGroupsReady", "NodeCreationFailure")
    assert (failed.phase, failed.condition("Available")["status"]) == ("Degraded", "True")
    assert springboard.mutating().count("eks:CreateNodegroup") == 3
    invariants.converges(springboard, more)
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

    more = document(name, nodeGroups=[{"name": "workers", "size": 2}, {"name": "more", "size": 1}])
    group_fault(name, code, message="Something has to be done.")
    springboard.forget_calls()
    failed = springboard.apply(more)
    failed_at(springboard, failed, "EnsureNodeGroups", "NodeGroupsReady", code)
    assert (failed.phase, failed.condition("Available")["status"]) == ("Degraded", "True")
    assert springboard.mutating().count("eks:CreateNodegroup") == 1
    invariants.converges(springboard, more)
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


def groups(springboard: Springboard, name: str) -> dict[str, str]:
    """The environment's security groups: alb and node-ingress → id."""
    filters = [{"Name": f"tag:{NAME_TAG}", "Values": [name]}]
    found = springboard.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return {"node-ingress" if "-node-ingress-" in each["GroupName"] else "alb": each["GroupId"] for each in found}


def test_f35_what_others_have_hung_on_ours_is_named_one_after_the_other_and_never_touched(
    springboard: Springboard,
) -> None:
    """A load balancer that a controller in the cluster made, with our group and certificate, and a group of its own.

    Such ones (`k8s-shop-…`, and a group `k8s-elb-…`) outlive the cluster that asked for them.
    """
    before = inventory(springboard.client)
    assert springboard.apply(document("leftover")).phase == "Ready"
    ec2, elb, acm = (springboard.client(each) for each in ("ec2", "elbv2", "acm"))
    ours = groups(springboard, "leftover")
    network = cluster(springboard, "leftover")["resourcesVpcConfig"]
    [certificate] = [
        each["CertificateArn"]
        for each in acm.list_certificates()["CertificateSummaryList"]
        if each["DomainName"] == "leftover.dev.example.com"
    ]
    theirs = ec2.create_security_group(
        GroupName="k8s-elb-a1b2c3", Description="by a controller in the cluster", VpcId=network["vpcId"]
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=theirs, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": ours["node-ingress"]}]}]
    )
    balancer = elb.create_load_balancer(
        Name="k8s-leftover-orders", Subnets=network["subnetIds"], SecurityGroups=[ours["alb"]], Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    springboard.clock.advance(600)
    elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )

    def stuck(step: str, named: str) -> None:
        invariants.check(springboard, "leftover")
        status = springboard.get("leftover")
        assert (status.phase, status.failure["step"]) == ("Failed", step), status.failure
        assert named in status.failure["cause"], status.failure
        assert elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"]
        assert ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]["IpPermissions"]

    springboard.finish(springboard.call("DELETE", "/environments/leftover"))
    stuck("RemoveCertificate", balancer)
    elb.delete_listener(ListenerArn=elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"])
    springboard.finish(springboard.call("POST", "/environments/leftover/retry"))
    stuck("RemoveFirewall", "k8s-leftover-orders")
    elb.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=[theirs])
    springboard.finish(springboard.call("POST", "/environments/leftover/retry"))
    stuck("RemoveFirewall", "k8s-elb-a1b2c3")
    elb.delete_load_balancer(LoadBalancerArn=balancer)
    springboard.clock.advance(900)
    ec2.delete_security_group(GroupId=theirs)
    springboard.finish(springboard.call("POST", "/environments/leftover/retry"))
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "leftover", before)


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


def test_f38_a_cluster_that_somebody_has_made_their_own_is_neither_changed_nor_deleted(
    springboard: Springboard,
) -> None:
    """The owner's tag says whose it is; once it is there again, all goes on."""
    before = inventory(springboard.client)
    assert springboard.apply(document("adopted")).phase == "Ready"
    ours = cluster(springboard, "adopted")
    client = springboard.client("eks")
    client.tag_resource(resourceArn=ours["arn"], tags={OWNER_TAG: "somebody-else"})
    changed = document("adopted", cluster={"apiAccess": {"publicCidrs": ["8.8.8.0/24"]}})
    springboard.forget_calls()
    failed = springboard.apply(changed)
    assert (failed.failure["step"], failed.condition("ClusterReady")["reason"]) == ("EnsureCluster", "NotOurs")
    assert "was not made for this environment" in failed.failure["cause"]
    invariants.told(springboard, "adopted")
    assert not [call for call in springboard.mutating() if call.startswith("eks:")]
    client.tag_resource(resourceArn=ours["arn"], tags={OWNER_TAG: failed.uid})
    invariants.converges(springboard, changed)
    client.tag_resource(resourceArn=ours["arn"], tags={OWNER_TAG: "somebody-else"})
    springboard.forget_calls()
    springboard.finish(springboard.call("DELETE", "/environments/adopted"))
    assert not [call for call in springboard.mutating() if call == "eks:DeleteCluster"]
    assert cluster(springboard, "adopted")["status"] == "ACTIVE"
    for group in client.list_nodegroups(clusterName="springboard-adopted")["nodegroups"]:
        client.delete_nodegroup(clusterName="springboard-adopted", nodegroupName=group)
    springboard.clock.advance(1800)
    client.delete_cluster(name="springboard-adopted")
    springboard.clock.advance(3600)
    # Somebody's cluster has gone on to log into the one group of its name: with their lines in it, it stayed.
    springboard.client("logs").delete_log_group(logGroupName="/aws/eks/springboard-adopted/cluster")
    invariants.nothing_left(springboard, "adopted", before)


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
