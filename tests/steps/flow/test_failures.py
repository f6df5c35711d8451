"""What goes wrong on the way to Ready: it is told with step, cause and remedy, and can be gone on from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from springboard_local.services import acm, eks
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard, Status


def provisioning(springboard: Springboard, name: str, seconds: float = 200) -> Status:
    """An environment whose control plane is being made."""
    reply = springboard.send(document(name))
    assert reply.status == 202, reply
    springboard.clock.advance(seconds)
    assert springboard.client("eks").describe_cluster(name=f"springboard-{name}")["cluster"]["status"] == "CREATING"
    return springboard.get(name)


def slow(springboard: Springboard, operation: str) -> None:
    """Let AWS take for ever over something."""
    springboard.cloud.latency.slow[operation] = 1e6  # type: ignore[attr-defined] # the fixture's


def locked(springboard: Springboard, name: str) -> bool:
    """Whether an update is refused because something is at work."""
    reply = springboard.send(document(name, drift="Repair"))
    assert reply.status in {202, 409}, reply
    return reply.status == 409


def test_f17_a_node_group_that_cannot_be_made_is_told_and_a_retry_makes_it(springboard: Springboard) -> None:
    wanted = document("crowded", nodeGroups=[{"name": "many", "size": 2}])  # a name that no other test's group has
    eks.fail_next("nodegroup", "many", "InstanceLimitExceeded", "You have requested more vCPU than your limit.")
    failed = springboard.apply(wanted)
    assert failed.phase == "Failed"
    assert failed.failure["step"] == "EnsureNodeGroups"
    assert "InstanceLimitExceeded: You have requested more vCPU" in failed.failure["cause"]
    assert "vCPU quota" in failed.failure["remedy"]
    assert failed.condition("NodeGroupsReady")["reason"] == "InstanceLimitExceeded"
    assert "Remedy: " in failed.condition("Ready")["message"]
    assert failed.condition("Progressing")["status"] == "False"
    invariants.check(springboard, "crowded")

    retried = springboard.act("crowded", "retry")
    assert retried.phase == "Ready"
    assert retried.operation["attempt"] == 2
    invariants.check(springboard, "crowded")
    invariants.unchanged(springboard, wanted)


@pytest.mark.slow
def test_f15_a_cluster_that_never_becomes_active_is_bounded_and_its_ttl_still_ends_it(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    slow(springboard, "eks:CreateCluster")
    failed = springboard.apply(document("booting", ttlHours=1))
    assert (failed.phase, failed.failure["step"]) == ("Failed", "EnsureCluster")
    assert "waited 2400 s" in failed.failure["cause"]
    assert failed.condition("ClusterReady")["reason"] == "TimedOut"
    assert inventory(springboard.client) > before
    invariants.check(springboard, "booting")

    springboard.cloud.latency.slow.clear()  # type: ignore[attr-defined] # the fixture's
    cluster = "springboard-booting"
    assert springboard.client("eks").describe_cluster(name=cluster)["cluster"]["status"] == "CREATING"
    springboard.clock.advance(1260)
    assert springboard.get("booting").operation["kind"] == "Delete"


@pytest.mark.slow
def test_f29_a_certificate_that_is_never_issued_is_bounded(springboard: Springboard) -> None:
    slow(springboard, "acm:Validation")
    failed = springboard.apply(document("unissued"))
    assert failed.phase == "Failed"
    assert failed.failure["step"] == "EnsureCertificate"
    assert failed.condition("CertificateReady")["reason"] == "TimedOut"
    assert "CNAME" in failed.condition("CertificateReady")["message"]
    invariants.check(springboard, "unissued")
    springboard.delete("unissued")


def test_a_certificate_that_fails_names_the_reason(springboard: Springboard) -> None:
    acm.inject("refused.dev.example.com", "CAA_ERROR")
    failed = springboard.apply(document("refused"))
    assert failed.failure["step"] == "EnsureCertificate"
    assert "CAA_ERROR" in failed.failure["cause"]
    acm.inject("refused.dev.example.com", "")


def test_f13_an_aborted_execution_frees_its_lock_by_its_status_event(springboard: Springboard) -> None:
    running = springboard.execution(provisioning(springboard, "aborted").operation)
    springboard.client("stepfunctions").stop_execution(executionArn=running)
    springboard.clock.advance(10)
    failed = springboard.get("aborted")
    assert failed.phase == "Failed"
    assert "ABORTED" in failed.failure["cause"]
    assert "retry" in failed.failure["remedy"]
    invariants.check(springboard, "aborted")
    assert not locked(springboard, "aborted")


def test_f43_f13_where_the_status_event_is_lost_the_sweep_frees_the_lock(springboard: Springboard) -> None:
    running = springboard.execution(provisioning(springboard, "swept").operation)
    events = springboard.client("events")
    [rule] = [each["Name"] for each in events.list_rules()["Rules"] if "EventPattern" in each]
    events.disable_rule(Name=rule)
    springboard.client("stepfunctions").stop_execution(executionArn=running)
    springboard.clock.settle()  # and not a second more: the sweep comes every five minutes, whenever that is
    assert locked(springboard, "swept")
    springboard.clock.advance(600)
    events.enable_rule(Name=rule)
    failed = springboard.get("swept")
    assert failed.phase == "Failed"
    assert "ABORTED" in failed.failure["cause"]
    invariants.check(springboard, "swept")
    assert not locked(springboard, "swept")


def test_f34_deleted_while_provisioning_it_stops_and_leaves_nothing(springboard: Springboard) -> None:
    springboard.clock.advance(7200)  # what stories before this one have left half made at AWS comes to rest
    before = inventory(springboard.client)
    provisioning(springboard, "early")
    reply = springboard.call("DELETE", "/environments/early")
    assert reply.status == 202, reply
    assert reply.document["status"]["operation"]["kind"] == "Delete"
    assert springboard.call("DELETE", "/environments/early").status == 202  # asked twice, done once
    springboard.finish(reply)
    assert springboard.call("GET", "/environments/early").status == 404
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "early", before)


def test_cancelled_and_retried_it_goes_on_from_what_exists(springboard: Springboard) -> None:
    provisioning(springboard, "halted")
    cancelled = springboard.act("halted", "cancel")
    assert cancelled.operation["status"] == "Cancelled"
    assert cancelled.condition("Progressing")["status"] == "False"
    springboard.forget_calls()
    ready = springboard.act("halted", "retry")
    assert ready.phase == "Ready"
    assert "eks:CreateCluster" not in springboard.mutating()
    kinds = [each["kind"] for each in springboard.call("GET", "/environments/halted/operations").document["items"]]
    assert sorted(kinds) == ["Create", "Retry"]


def test_f10_of_two_posts_at_once_one_wins(springboard: Springboard) -> None:
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda _: springboard.call("POST", "/environments", document("twin")), range(2)))
    assert sorted(each.status for each in replies) == [202, 409]
    invariants.check(springboard, "twin")
    springboard.call("DELETE", "/environments/twin")
