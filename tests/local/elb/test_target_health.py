"""Target health is what a probe would find, at the pace of the health check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.elb.scenario import Account

HEALTHY = [("healthy", None)]
FAILED = [("unhealthy", "Target.FailedHealthChecks")]
TIMEOUT = [("unhealthy", "Target.Timeout")]
REGISTERED = 15  # seconds that a registration takes


def serve(account: Account, subnet: int = 0, **settings: Any) -> tuple[str, str]:
    """A target group behind an active load balancer, and one instance registered in it just now."""
    group = account.target_group(**settings)
    balancer = account.load_balancer()
    account.listener(balancer, {"Type": "forward", "TargetGroupArn": group})
    instance = account.instance(subnet)
    account.register(group, instance)
    return group, instance


def test_a_good_target_becomes_healthy_after_its_first_probe(account: Account) -> None:
    account.admit_load_balancer()
    group, _ = serve(account)
    assert account.health(group) == [("initial", "Elb.RegistrationInProgress")]
    account.clock.advance(REGISTERED + 1)
    assert account.health(group) == [("initial", "Elb.InitialHealthChecking")]
    account.clock.advance(10)
    assert account.health(group) == HEALTHY


def test_thresholds_count_probes(account: Account) -> None:
    account.admit_load_balancer()
    group, _ = serve(account)
    account.clock.advance(REGISTERED + 11)
    account.cluster.change(ready=False)
    assert account.health(group) == HEALTHY  # one bad probe is not enough
    account.clock.advance(11)
    assert account.health(group) == FAILED
    account.cluster.change(ready=True)
    assert account.health(group) == FAILED
    account.clock.advance(19)
    assert account.health(group) == FAILED
    account.clock.advance(2)
    assert account.health(group) == HEALTHY


def test_a_change_is_found_when_nobody_asks(account: Account) -> None:
    account.admit_load_balancer()
    group, _ = serve(account)
    account.clock.advance(REGISTERED + 11)
    account.cluster.change(ready=False)
    account.clock.advance(330)
    assert account.health(group) == FAILED


def no_service(account: Account) -> None:
    account.cluster.pods = []


def not_a_node(account: Account) -> None:
    account.cluster.is_node = False


def node_not_ready(account: Account) -> None:
    account.cluster.node_ready = False


def pod_not_ready(account: Account) -> None:
    account.cluster.change(ready=False, reason="Readiness probe failed")


def network_policy(account: Account) -> None:
    account.cluster.change(admits_vpc=False)


@pytest.mark.parametrize(
    ("obstacle", "expected"),
    [
        (no_service, FAILED),
        (not_a_node, FAILED),
        (node_not_ready, FAILED),
        (pod_not_ready, FAILED),
        (network_policy, TIMEOUT),
    ],
)
def test_what_stands_in_a_probes_way(
    account: Account, obstacle: Callable[[Account], None], expected: list[tuple[str, str]]
) -> None:
    account.admit_load_balancer()
    obstacle(account)
    group, _ = serve(account)
    account.clock.advance(REGISTERED + 11)
    assert account.health(group) == [("initial", "Elb.InitialHealthChecking")]
    account.clock.advance(10)
    assert account.health(group) == expected


def test_the_nodes_security_group_must_admit_the_load_balancer(account: Account) -> None:
    account.admit(IpRanges=[{"CidrIp": "192.168.0.0/16"}])
    group, _ = serve(account)
    account.clock.advance(REGISTERED + 21)
    assert account.health(group) == TIMEOUT
    account.admit(IpRanges=[{"CidrIp": "10.0.0.0/16"}])
    assert account.health(group) == TIMEOUT
    account.clock.advance(30)
    assert account.health(group) == HEALTHY


def test_the_answers_code_must_match(account: Account) -> None:
    account.admit_load_balancer()
    group, _ = serve(account, Matcher={"HttpCode": "201-299"})
    account.clock.advance(REGISTERED + 21)
    answer = account.elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]
    assert answer["TargetHealth"] == {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [200]",
    }


def test_targets_without_traffic_are_unused(account: Account) -> None:
    account.admit_load_balancer()
    group = account.target_group()
    instance = account.instance()
    account.register(group, instance)
    account.clock.advance(REGISTERED + 1)
    assert account.health(group) == [("unused", "Target.NotInUse")]
    balancer = account.load_balancer(active=False)
    account.listener(balancer, {"Type": "forward", "TargetGroupArn": group})
    assert account.health(group) == [("initial", "Elb.RegistrationInProgress")]
    account.clock.advance(146)
    account.clock.advance(10)
    assert account.health(group) == HEALTHY
    account.ec2.stop_instances(InstanceIds=[instance])
    assert account.health(group) == [("unused", "Target.InvalidState")]


def test_a_zone_that_is_not_enabled_gets_no_traffic(account: Account) -> None:
    account.admit_load_balancer()
    group, _ = serve(account, subnet=2)
    account.clock.advance(REGISTERED + 1)
    assert account.health(group) == [("unused", "Target.NotInUse")]


def test_deregistered_targets_drain(account: Account) -> None:
    account.admit_load_balancer()
    group, instance = serve(account)
    account.elbv2.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]
    )
    account.clock.advance(REGISTERED + 11)
    targets = [{"Id": instance}]
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=targets)
    assert account.health(group) == [("draining", "Target.DeregistrationInProgress")]
    account.clock.advance(31)
    assert account.health(group) == []
    answer = account.elbv2.describe_target_health(TargetGroupArn=group, Targets=targets)["TargetHealthDescriptions"]
    assert answer[0]["TargetHealth"]["Reason"] == "Target.NotRegistered"
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=targets)


def test_terminated_instances_leave_by_themselves(account: Account) -> None:
    account.admit_load_balancer()
    group, instance = serve(account)
    account.clock.advance(REGISTERED + 11)
    account.ec2.terminate_instances(InstanceIds=[instance])
    assert account.health(group) == [("draining", "Target.DeregistrationInProgress")]


def test_only_running_instances_of_the_vpc_are_targets(account: Account) -> None:
    group = account.target_group()
    with pytest.raises(ClientError, match="InvalidTarget"):
        account.register(group, "i-0123456789abcdef0")
    stopped = account.instance()
    account.ec2.stop_instances(InstanceIds=[stopped])
    with pytest.raises(ClientError, match="InvalidTarget"):
        account.register(group, stopped)
