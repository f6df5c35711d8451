"""Managed node groups: what is changed in place, what is rolled, what is replaced, and how often is tried."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard.components import node_groups
from springboard.components.contract import ABSENT, Action, Effect, Failed, Ready, Waiting
from springboard.components.node_groups import TRIES, Content, Found, Group, Groups, Observed, Template
from springboard.errors import NotOursError, UnavailableError
from tests.unit.components.records import SITE, environment

if TYPE_CHECKING:
    from springboard.runtime import World

SECURITY_GROUPS = ("sg-cluster", "sg-ingress")


def wanted(**group: Any) -> Groups:
    return node_groups.desired(environment(nodeGroups=[{"name": "workers", **group}]), SITE)


def found(group: Group, **other: Any) -> Found:
    as_desired = Found(
        name=group.name,
        status="ACTIVE",
        version="1.35",
        release_version="1.35.6-20261101",
        template=group.template,
        template_version="1",
        instance_types=group.instance_types,
        capacity_type=group.capacity_type,
        ami_type=group.ami_type,
        sizes=(group.size,) * 3,
        labels=group.labels,
        taints=group.taints,
        max_unavailable=group.max_unavailable,
        autoscaling_groups=("eks-workers-1",),
        issues=(),
        ours=True,
    )
    return replace(as_desired, **other)


def seen(desired: Groups, **other: Any) -> Observed:
    group = desired.groups[0]
    return Observed(
        groups=(found(group, **other),),
        templates=(Template(group.template, "1", Content(group.disk, SECURITY_GROUPS)),),
        security_group_ids=SECURITY_GROUPS,
        operation="op1",
    )


def failed(desired: Groups, code: str, tries: int) -> Observed:
    return seen(desired, status="CREATE_FAILED", issues=((code, "nodes did not join", ("i-1",)),), tries=tries)


def test_a_missing_group_is_made_once_its_security_groups_are_there() -> None:
    desired = wanted()
    (blocked,) = node_groups.changes(desired, Observed(waiting=Waiting("firewall", "not there")))
    assert (blocked.action, blocked.possible) == (Action.CREATE, False)
    (change,) = node_groups.changes(desired, Observed(security_group_ids=SECURITY_GROUPS, operation="op1"))
    assert isinstance(change, node_groups.CreateGroup)
    assert (change.possible, change.number, change.content) == (True, 1, Content(50, SECURITY_GROUPS))


def test_found_as_desired_is_ready() -> None:
    desired = wanted()
    assert node_groups.changes(desired, seen(desired)) == ()
    assert isinstance(node_groups.condition(desired, seen(desired)), Ready)


def test_size_labels_and_taints_are_one_update_in_place() -> None:
    taint = {"key": "team", "value": "b", "effect": "NO_SCHEDULE"}
    desired = wanted(size=5, labels={"a": "1"}, taints=[taint])
    observed = seen(
        desired,
        sizes=(3, 3, 3),
        labels={"a": "0", "gone": "1"},
        taints=(("old", "", "NO_EXECUTE"), ("team", "a", "NO_SCHEDULE")),
    )
    (change,) = node_groups.changes(desired, observed)
    assert isinstance(change, node_groups.UpdateGroup)
    assert change.gone_labels == ("gone",)
    assert change.gone_taints == (("old", "", "NO_EXECUTE"),)  # the other one only changes its value
    assert change.effect is Effect.NONE


def test_fewer_nodes_disrupt() -> None:
    desired = wanted(size=2)
    (change,) = node_groups.changes(desired, seen(desired, sizes=(3, 3, 3)))
    assert change.effect is Effect.DISRUPTS


def test_another_disk_rolls_the_nodes_after_the_update_in_place() -> None:
    desired = wanted(diskGiB=100, size=5)
    observed = replace(
        seen(desired, sizes=(3, 3, 3)),
        templates=(Template(desired.groups[0].template, "1", Content(50, SECURITY_GROUPS)),),
    )
    update, roll = node_groups.changes(desired, observed)
    assert isinstance(update, node_groups.UpdateGroup)
    assert isinstance(roll, node_groups.RollGroup)
    assert (update.possible, roll.possible, roll.effect) == (True, False, Effect.DISRUPTS)
    assert (roll.template_version, roll.latest_version) == ("", "1")  # a version more, and no other launch template


def test_a_version_that_a_killed_step_made_is_rolled_out_not_made_again() -> None:
    desired = wanted()
    observed = replace(
        seen(desired), templates=(Template(desired.groups[0].template, "2", Content(50, SECURITY_GROUPS)),)
    )
    (change,) = node_groups.changes(desired, observed)
    assert isinstance(change, node_groups.RollGroup)
    assert change.template_version == "2"


@pytest.mark.parametrize("other", [{"instanceTypes": ["m7i.xlarge"]}, {"capacityType": "SPOT"}])
def test_what_eks_cannot_change_replaces_the_group(other: dict[str, Any]) -> None:
    (change,) = node_groups.changes(wanted(**other), seen(wanted()))
    assert (type(change), change.effect) == (node_groups.DeleteGroup, Effect.REPLACES)


@pytest.mark.parametrize("tries", range(1, TRIES))
def test_a_cause_that_may_pass_is_tried_again(tries: int) -> None:
    desired = wanted()
    observed = failed(desired, "NodeCreationFailure", tries)
    (change,) = node_groups.changes(desired, observed)
    assert isinstance(change, node_groups.DeleteGroup)
    assert isinstance(node_groups.condition(desired, observed), Waiting)
    after = Observed(security_group_ids=SECURITY_GROUPS, operation="op1", tries={"workers": tries})
    (again,) = node_groups.changes(desired, after)
    assert isinstance(again, node_groups.CreateGroup)
    assert again.number == tries + 1


@pytest.mark.parametrize(("code", "tries"), [("NodeCreationFailure", TRIES), ("InsufficientFreeAddresses", 1)])
def test_otherwise_it_fails_with_code_instance_and_remedy(code: str, tries: int) -> None:
    desired = wanted()
    observed = failed(desired, code, tries)
    assert node_groups.changes(desired, observed) == ()
    verdict = node_groups.condition(desired, observed)
    assert isinstance(verdict, Failed)
    assert verdict.code == code
    assert "i-1" in verdict.cause
    assert verdict.remedy != ""


def test_a_new_operation_makes_again_what_failed_before_it() -> None:
    desired = wanted()
    (change,) = node_groups.changes(desired, failed(desired, "InstanceLimitExceeded", tries=0))
    assert isinstance(change, node_groups.DeleteGroup)


def test_a_plan_between_operations_leaves_a_failed_group_for_diagnosis() -> None:
    desired = wanted()
    observed = replace(failed(desired, "NodeCreationFailure", tries=0), operation="")
    assert node_groups.changes(desired, observed) == ()


def test_a_group_that_left_the_spec_goes_and_its_template_after_it() -> None:
    desired = wanted()
    former = found(replace(desired.groups[0], name="old", template="sb-shop-old"))
    observed = replace(seen(desired), groups=(*seen(desired).groups, former))
    group, template = node_groups.changes(desired, observed)
    assert (type(group), group.possible) == (node_groups.DeleteGroup, True)
    assert (type(template), template.possible) == (node_groups.DeleteTemplate, False)


def test_a_launch_template_that_no_group_has_goes() -> None:
    """Its group has left the spec and is gone by now, or a killed step never came to make it."""
    desired = wanted()
    observed = seen(desired)
    observed = replace(observed, templates=(*observed.templates, Template("sb-shop-old")))
    (template,) = node_groups.changes(desired, observed)
    assert (type(template), template.possible) == (node_groups.DeleteTemplate, True)
    assert isinstance(node_groups.condition(desired, observed), Waiting)


def test_f6_a_launch_template_that_does_not_show_yet_is_not_versioned_blindly() -> None:
    desired = wanted()
    calls: list[str] = []
    ec2 = SimpleNamespace(
        create_launch_template=lambda *_: calls.append("create"),
        create_launch_template_version=lambda *_: calls.append("version"),
        launch_template=lambda _: None,
    )
    without = Observed(security_group_ids=SECURITY_GROUPS, operation="op1")
    (change,) = node_groups.changes(desired, without)
    world = cast("World", SimpleNamespace(site=SITE, ec2=ec2))
    with pytest.raises(UnavailableError):
        node_groups.apply(world, environment(), change)
    assert calls == ["create"]


def test_a_group_of_somebody_else_is_refused_by_name_and_never_deleted() -> None:
    desired = wanted()
    with pytest.raises(NotOursError):
        node_groups.changes(desired, seen(desired, ours=False))
    theirs = seen(desired, ours=False)
    assert all(not isinstance(change, node_groups.DeleteGroup) for change in node_groups.changes(ABSENT, theirs))
    verdict = node_groups.condition(ABSENT, theirs)
    assert isinstance(verdict, Failed)
    assert verdict.code == "NotOurs"


def test_removal_is_over_when_groups_and_templates_are_gone() -> None:
    desired = wanted()
    group, template = node_groups.changes(ABSENT, seen(desired))
    assert (group.possible, template.possible) == (True, False)
    without = Observed(templates=(Template(desired.groups[0].template),))
    (template,) = node_groups.changes(ABSENT, without)
    assert template.possible
    assert isinstance(node_groups.condition(ABSENT, without), Waiting)
    assert isinstance(node_groups.condition(ABSENT, Observed()), Ready)


@given(
    status=st.sampled_from(["CREATING", "UPDATING", "DELETING"]),
    size=st.integers(1, 9),
    disk=st.integers(20, 99),
    types=st.sampled_from([["m7i.large"], ["m7i.xlarge"]]),
)
def test_a_busy_group_is_left_alone(status: str, size: int, disk: int, types: list[str]) -> None:
    desired = wanted(size=size, diskGiB=disk, instanceTypes=types)
    observed = replace(seen(wanted(), status=status), templates=(), security_group_ids=())
    assert not any(change.possible for change in node_groups.changes(desired, observed))
    assert isinstance(node_groups.condition(desired, observed), Waiting)


def test_a_changed_label_of_the_environment_does_not_replace_nodes() -> None:
    group = {"nodeGroups": [{"name": "workers"}]}
    desired = node_groups.desired(environment(labels={"team": "other"}, **group), SITE)
    assert node_groups.changes(desired, seen(wanted())) == ()
