"""An environment that has all that there is, changes all of it, and is mended wherever people have laid hands on it.

What is seldom asked for is asked for here, by functions that have run for nobody before: `permissions.yaml` names this
test for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.steps.flow import stack
from tests.steps.flow.invariants import deleted, unchanged, unchanged_by_an_operation
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard

NAME = "everything"
REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
UNCOMMON = "c5n.2xlarge"  # an instance type that only EC2 can tell of


def role(springboard: Springboard, name: str) -> str:
    """A role for an application or a person, as operators make it."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    made = springboard.client("iam").create_role(
        Path="/springboard-apps/",
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    return str(made["Role"]["Arn"])


def app(tag: str, **more: Any) -> dict[str, Any]:
    return {"name": NAME, "image": f"{REGISTRY}/shop:{tag}", **more}


@pytest.mark.sweep
def test_all_that_there_is_is_made_changed_mended_and_removed(springboard: Springboard) -> None:
    zone = springboard.client("route53").list_hosted_zones()["HostedZones"][0]["Id"].rpartition("/")[2]
    vpc = springboard.outputs["VpcId"]
    other = springboard.client("ec2").create_security_group(GroupName="other", Description="other", VpcId=vpc)
    before = inventory(springboard.client)
    one, two, first, second = (role(springboard, name) for name in ("one", "two", "first", "second"))
    wanted = document(
        NAME,
        ttlHours=200,
        ingress={"hostedZoneId": zone},
        cluster={
            "access": [
                {"principalArn": one, "policy": "AmazonEKSEditPolicy", "namespaces": [NAME]},
                {"principalArn": two, "policy": "AmazonEKSAdminViewPolicy"},
            ]
        },
        nodeGroups=[{"name": "workers", "size": 2, "instanceTypes": [UNCOMMON]}],
        addons=[{"name": "aws-ebs-csi-driver"}],
        apps=[app("1.4.2", roleArn=first)],
    )
    wanted["metadata"]["labels"] = {"team": "checkout", "ring": "early"}
    made = springboard.apply(wanted)
    assert made.phase == "Ready", made.document["status"]
    unchanged(springboard, wanted)
    planned(springboard, wanted)
    mistaken(springboard, wanted)

    wanted["metadata"]["labels"] = {"team": "basket"}
    wanted["spec"] |= {
        "ttlHours": 300,
        "ingress": {"hostedZoneId": zone, "allowCidrs": ["8.8.8.0/24"]},
        "cluster": {
            "access": [{"principalArn": one, "policy": "AmazonEKSViewPolicy", "namespaces": [NAME]}],
            "apiAccess": {"publicCidrs": ["8.8.8.0/24"]},
            "supportType": "STANDARD",
        },
        "nodeGroups": [{"name": "workers", "size": 3, "diskGiB": 60, "instanceTypes": [UNCOMMON]}],
        "addons": [{"name": "aws-ebs-csi-driver", "configuration": {"controller": {"replicaCount": 1}}}],
        "apps": [app("1.4.2", roleArn=second)],
    }
    changed = springboard.apply(wanted)
    assert changed.phase == "Ready", changed.document["status"]
    unchanged(springboard, wanted)

    disturb(springboard, one, other["GroupId"])
    wanted["spec"] |= {"addons": [], "apps": [app("1.4.3", host="other.dev.example.com")]}
    mended = springboard.apply(wanted)
    assert mended.phase == "Ready", mended.document["status"]
    unchanged(springboard, wanted)
    unchanged_by_an_operation(springboard, NAME)
    deleted(springboard, NAME, before)


def planned(springboard: Springboard, present: dict[str, Any]) -> None:
    """A dry run of one more application and add-on knows what to make, and makes nothing."""
    spec = present["spec"]
    more = {
        "addons": [*spec["addons"], {"name": "eks-node-monitoring-agent"}],
        "apps": [*spec["apps"], {**app("1.4.2"), "name": "more"}],
    }
    etag = springboard.call("GET", f"/environments/{NAME}").headers["ETag"]
    springboard.forget_calls()
    path = f"/environments/{NAME}?dryRun=All"
    plan = springboard.call("PUT", path, {**present, "spec": {**spec, **more}}, **{"If-Match": etag})
    assert (plan.status, plan.document["unknown"], springboard.mutating()) == (200, [], []), plan.document
    planned = {each["component"] for each in plan.document["changes"]}
    assert planned >= {"target_groups", "addons", "workload"}, plan.document


def mistaken(springboard: Springboard, present: dict[str, Any]) -> None:
    """The nodes' own role can't be a person's: for the first time an operation fails."""
    [nodes] = [
        each["Arn"]
        for each in springboard.client("iam").list_roles(MaxItems=1000)["Roles"]
        if "-NodeRole-" in each["Arn"]
    ]
    spec = present["spec"]
    access = [*spec["cluster"]["access"], {"principalArn": nodes}]
    failed = springboard.apply({**present, "spec": {**spec, "cluster": {**spec["cluster"], "access": access}}})
    assert (failed.phase, failed.failure["step"]) == ("Degraded", "EnsureAccess"), failed.document["status"]


def disturb(springboard: Springboard, principal: str, group: str) -> None:
    """What people do by hand to what is ours."""
    cluster, ours = f"{stack.STACK}-{NAME}", f"{stack.STACK}-{NAME[:12]}"
    springboard.client("eks").update_access_entry(
        clusterName=cluster, principalArn=principal, kubernetesGroups=["other"]
    )
    elb = springboard.client("elbv2")
    [target_group] = [
        each["TargetGroupArn"]
        for each in elb.describe_target_groups()["TargetGroups"]
        if each["TargetGroupName"].startswith(ours)
    ]
    elb.modify_target_group(TargetGroupArn=target_group, HealthCheckPath="/elsewhere")
    [balancer] = [
        each["LoadBalancerArn"]
        for each in elb.describe_load_balancers()["LoadBalancers"]
        if each["LoadBalancerName"].startswith(ours)
    ]
    elb.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=[group])
    [secure] = [
        each["ListenerArn"]
        for each in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        if each["Port"] == 443
    ]
    unavailable = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    for rule in elb.describe_rules(ListenerArn=secure)["Rules"]:
        if not rule["IsDefault"]:
            elb.modify_rule(RuleArn=rule["RuleArn"], Actions=[unavailable])
