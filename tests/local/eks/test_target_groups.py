"""Target groups attached to a node group's Auto Scaling group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.local.eks.test_clusters import refused
from tests.local.eks.test_nodegroups import group_of

if TYPE_CHECKING:
    from tests.local.eks.conftest import Account


@pytest.fixture
def attached(account: Account) -> tuple[Account, str, str]:
    """A node group with a target group attached: the account, the group's name, the target group's ARN."""
    account.cluster()
    account.addon("vpc-cni")
    account.nodegroup()
    group = group_of(account)["AutoScalingGroupName"]
    arn = account.client("elbv2").create_target_group(
        Name="shop", Protocol="HTTP", Port=30001, VpcId=account.vpc, TargetType="instance"
    )["TargetGroups"][0]["TargetGroupArn"]
    source = {"Identifier": arn, "Type": "elbv2"}
    account.client("autoscaling").attach_traffic_sources(AutoScalingGroupName=group, TrafficSources=[source])
    return account, group, arn


def states(account: Account, group: str) -> list[str]:
    found = account.client("autoscaling").describe_traffic_sources(AutoScalingGroupName=group)
    return [each["State"] for each in found["TrafficSources"]]


def targets(account: Account, arn: str) -> set[str]:
    found = account.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {each["Target"]["Id"] for each in found if each["TargetHealth"]["State"] != "draining"}


def test_attaching_registers_the_instances(attached: tuple[Account, str, str]) -> None:
    account, group, arn = attached
    assert states(account, group) == ["Adding"]
    account.clock.advance(16)
    assert states(account, group) == ["Added"]
    assert targets(account, arn) == {each["InstanceId"] for each in account.running()}
    assert group_of(account)["TargetGroupARNs"] == [arn]


def test_targets_follow_the_instances(attached: tuple[Account, str, str]) -> None:
    account, group, arn = attached
    account.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)
    account.clock.advance(61)
    assert len(targets(account, arn)) == 4
    account.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    account.clock.settle()
    assert targets(account, arn) == {each["InstanceId"] for each in account.running()}
    assert len(account.plane().members) == 1


def test_detaching_deregisters_them(attached: tuple[Account, str, str]) -> None:
    account, group, arn = attached
    source = {"Identifier": arn, "Type": "elbv2"}
    account.client("autoscaling").detach_traffic_sources(AutoScalingGroupName=group, TrafficSources=[source])
    assert states(account, group) == ["Removing"]
    assert targets(account, arn) == set()
    account.clock.advance(16)
    assert states(account, group) == []
    assert len(account.running()) == 3


def test_a_deleted_target_group_stops_every_launch(attached: tuple[Account, str, str]) -> None:
    account, group, arn = attached
    account.client("elbv2").delete_target_group(TargetGroupArn=arn)
    account.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)
    account.clock.advance(300)
    assert len(account.running()) == 3
    activity = account.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)["Activities"][0]
    assert activity["StatusCode"] == "Failed"
    assert "target groups not found" in activity["StatusMessage"]
    broken = account.describe_nodegroup()
    assert broken["status"] == "DEGRADED"
    assert broken["health"]["issues"][0]["code"] == "AsgInstanceLaunchFailures"
    source = {"Identifier": arn, "Type": "elbv2"}
    account.client("autoscaling").detach_traffic_sources(AutoScalingGroupName=group, TrafficSources=[source])
    account.clock.advance(125)
    assert len(account.running()) == len(account.plane().members) == 4
    assert account.describe_nodegroup()["status"] == "ACTIVE"


def test_a_target_group_that_does_not_exist_is_refused(attached: tuple[Account, str, str]) -> None:
    account, group, arn = attached
    code, _ = refused(
        account.client("autoscaling").attach_traffic_sources,
        AutoScalingGroupName=group,
        TrafficSources=[{"Identifier": arn + "0", "Type": "elbv2"}],
    )
    assert code == "ValidationError"
