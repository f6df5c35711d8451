"""Targets: what is attached and detached, and when the load balancer serves."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from springboard import naming
from springboard.components import targets
from springboard.components.contract import ABSENT, Ready, Waiting
from springboard.components.targets import Health, Observed, Targets
from springboard.record import Condition, OperationKind
from tests.unit.components.records import NOW, SITE, UID, environment, under


def arn(name: str) -> str:
    return f"arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/{name}/0123456789abcdef"


DESIRED = targets.desired(environment(), SITE)
NAME = DESIRED.target_groups["shop"]
OURS = arn(NAME)
FORMER, THEIRS = arn("sb-shop-zzzzzzzz"), arn("their-target-group")


def seen(attached: dict[str, str], **other: Any) -> Observed:
    observed = Observed(
        arns={NAME: OURS}, attached={"asg": attached}, health={NAME: Health({"healthy": 3})}, beginning="sb-shop-"
    )
    return replace(observed, **other)


def test_missing_is_attached_and_former_detached_and_foreign_left() -> None:
    attach, detach = targets.changes(DESIRED, seen({FORMER: "Added", THEIRS: "Added"}))
    assert isinstance(attach, targets.Attach)
    assert isinstance(detach, targets.Detach)
    assert (attach.arns, detach.arns) == ((OURS,), (FORMER,))


def test_one_that_is_being_removed_is_attached_after_it_has_gone() -> None:
    (change,) = targets.changes(DESIRED, seen({OURS: "Removing"}))
    assert not change.possible


def test_added_and_healthy_is_ready() -> None:
    assert targets.changes(DESIRED, seen({OURS: "Added"})) == ()
    assert isinstance(targets.condition(DESIRED, seen({OURS: "Added"})), Ready)


def test_adding_is_not_enough() -> None:
    assert isinstance(targets.condition(DESIRED, seen({OURS: "Adding"})), Waiting)


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        ({"healthy": 3, "draining": 1}, True),
        ({"healthy": 2, "initial": 1}, False),
        ({"healthy": 2, "unhealthy": 1}, False),
        ({"unused": 3}, False),
        ({"draining": 3}, False),
        ({}, False),
    ],
)
def test_every_target_that_stays_has_to_be_healthy(states: dict[str, int], ready: bool) -> None:  # noqa: FBT001
    health = {NAME: Health(states, ("Target.FailedHealthChecks (1)",))}
    verdict = targets.condition(DESIRED, seen({OURS: "Added"}, health=health))
    assert isinstance(verdict, Ready) is ready
    if isinstance(verdict, Waiting):
        assert "Target.FailedHealthChecks" in verdict.reason


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Target.Timeout Request timed out (2)", "network ACLs"),
        ("Target.ResponseCodeMismatch Health checks failed with these codes: [404] (2)", "spring.actuatorPath"),
        ("Target.FailedHealthChecks Health checks failed (1)", "springboard why"),
        ("Target.NotInUse (2)", "listener"),
        ("Elb.InternalError (2)", ""),
    ],
)
def test_f28_what_the_load_balancer_says_of_a_target_has_its_own_remedy(reason: str, remedy: str) -> None:
    verdict = targets.condition(DESIRED, seen({OURS: "Added"}, health={NAME: Health({"unhealthy": 2}, (reason,))}))
    assert isinstance(verdict, Waiting)
    assert reason in verdict.reason
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) is bool(remedy)


def test_healthy_targets_of_nodes_that_are_about_to_change_are_not_the_end() -> None:
    assert isinstance(targets.condition(DESIRED, seen({OURS: "Added"}, replaced=True)), Waiting)


def test_every_application_has_to_be_served() -> None:
    both = targets.desired(
        environment(
            apps=[{"name": "a", "image": "ghcr.io/acme/shop:1"}, {"name": "b", "image": "ghcr.io/acme/shop:1"}]
        ),
        SITE,
    )
    names = both.target_groups
    assert len(set(names.values())) == 2
    observed = Observed(
        arns={name: arn(name) for name in names.values()},
        attached={"asg": {arn(name): "Added" for name in names.values()}},
        health={names["a"]: Health({"healthy": 3}), names["b"]: Health({"unhealthy": 3})},
        beginning="sb-shop-",
    )
    verdict = targets.condition(both, observed)
    assert isinstance(verdict, Waiting)
    assert verdict.reason.startswith("b: 0 of 3")


@pytest.mark.parametrize(("behind", "ready"), [(0, True), (1, False)])
def test_nodes_that_were_seen_ready_of_a_former_generation_may_be_about_to_change(behind: int, *, ready: bool) -> None:
    record = replace(environment(), generation=3)
    conditions = {
        "NodeGroupsReady": Condition("NodeGroupsReady", "True", "Active", "", NOW, record.generation - behind),
        "WorkloadReady": Condition("WorkloadReady", "True", "AsDesired", "", NOW, record.generation),
    }
    record = replace(under(record, OperationKind.UPDATE), conditions=conditions)
    groups = [{"name": "workers", "autoScalingGroups": ["asg"]}]
    record = record.with_facts("node_groups", {"groups": groups})
    record = record.with_facts("target_groups", {"groups": {NAME: OURS}})
    sources = {OURS: "Added", arn("sb-shop-gone"): "Removed"}  # what is detached is told for a while
    world = SimpleNamespace(
        site=SITE,
        elb=SimpleNamespace(target_health=lambda _: [{"TargetHealth": {"State": "healthy"}}]),
        autoscaling=SimpleNamespace(traffic_sources=lambda _: sources),
    )
    observed = targets.observe(world, record)  # type: ignore[arg-type]  # all it asks
    assert observed.attached == {"asg": {OURS: "Added"}}
    assert isinstance(targets.condition(DESIRED, observed), Ready) is ready


@pytest.mark.parametrize(("owner", "groups"), [(UID, {"asg": {OURS: "Added"}}), ("somebody else's", {})])
def test_of_a_node_group_of_somebody_else_nothing_is_detached(owner: str, groups: dict[str, Any]) -> None:
    described = {"tags": {naming.OWNER_TAG: owner}, "resources": {"autoScalingGroups": [{"name": "asg"}]}}
    world = SimpleNamespace(
        site=SITE,
        eks=SimpleNamespace(node_groups=lambda _: ["workers"], node_group=lambda *_: described),
        autoscaling=SimpleNamespace(traffic_sources=lambda _: {OURS: "Added"}),
    )
    record = under(environment(), OperationKind.DELETE)
    assert targets.observe(world, record).attached == groups  # type: ignore[arg-type]  # all it asks


def test_removal_detaches_all_of_ours_and_waits_until_they_are_gone() -> None:
    (change,) = targets.changes(ABSENT, seen({OURS: "InService", THEIRS: "Added"}))
    assert isinstance(change, targets.Detach)
    assert change.arns == (OURS,)
    assert isinstance(targets.condition(ABSENT, seen({OURS: "Removing"})), Waiting)
    assert isinstance(targets.condition(ABSENT, seen({THEIRS: "Added"})), Ready)
    assert isinstance(targets.condition(ABSENT, Observed()), Ready)


def test_a_need_that_is_not_there_is_told() -> None:
    waiting = Waiting("node_groups", "not named")
    assert targets.condition(Targets({}), Observed(waiting=waiting)) == waiting


def test_nothing_is_attached_to_the_nodes_of_a_group_that_is_being_replaced() -> None:
    group = {"name": "workers", "status": "DELETING", "autoScalingGroups": ["asg"]}
    record = under(environment(), OperationKind.UPDATE).with_facts("node_groups", {"groups": [group]})
    observed = targets.observe(SimpleNamespace(site=SITE), record)  # type: ignore[arg-type]  # nothing is asked
    assert targets.changes(DESIRED, observed) == ()
    verdict = targets.condition(DESIRED, observed)
    assert isinstance(verdict, Waiting)
    assert verdict.on == "node_groups"


def test_it_is_done_when_what_was_let_go_is_detached() -> None:
    verdict = targets.condition(DESIRED, seen({OURS: "Added", FORMER: "Removing"}))
    assert verdict == Waiting("targets", "sb-shop-zzzzzzzz: being detached", after=15)
    assert isinstance(targets.condition(DESIRED, seen({OURS: "Added", THEIRS: "Removing"})), Ready)


@pytest.mark.parametrize(
    ("waits", "operation", "asked"),
    [("", "op", True), ("op", "op", False), ("earlier", "op", True)],
    ids=["open", "closed", "closed when another operation looked"],
)
def test_while_443_is_closed_no_target_is_asked_after(waits: str, operation: str, *, asked: bool) -> None:
    """Its component has seen in this operation that nothing but port 80 listens: ELB probes no target."""
    record = under(environment(), OperationKind.CREATE)
    assert record.operation is not None
    record = replace(record, operation=replace(record.operation, id=operation))
    ready = {"WorkloadReady": Condition("WorkloadReady", "True", "AsDesired", "", NOW, record.generation)}
    record = replace(record, conditions=ready)
    known: dict[str, dict[str, Any]] = {
        "node_groups": {"groups": [{"name": "workers", "autoScalingGroups": ["asg"]}]},
        "target_groups": {"groups": {NAME: OURS}},
        "targets": {"operation": operation, "attached": {"asg": {OURS: "Added"}}},
        "load_balancer": {"arn": "arn:lb", "waitsForCertificate": waits},
    }
    for name, facts in known.items():
        record = record.with_facts(name, facts)
    calls: list[str] = []

    def health(arn: str) -> list[dict[str, Any]]:
        calls.append(arn)
        return [{"TargetHealth": {"State": "unused", "Reason": "Target.NotInUse"}}]

    elb = SimpleNamespace(target_health=health)
    observed = targets.observe(SimpleNamespace(site=SITE, elb=elb), record)  # type: ignore[arg-type]  # all it asks
    assert bool(calls) is asked
    verdict = targets.condition(DESIRED, observed)
    assert isinstance(verdict, Waiting)
    assert (verdict.on, verdict.after) == ("load_balancer", targets.LISTENER_POLL)
