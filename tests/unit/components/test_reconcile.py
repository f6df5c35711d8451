"""What one run of a component makes of an answer of AWS's."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from springboard.components.contract import (
    ABSENT,
    Action,
    Change,
    Component,
    Observation,
    Pace,
    Ready,
    Row,
    Verdict,
    Waiting,
)
from springboard.components.reconcile import reconcile
from springboard.errors import AccessDeniedError
from springboard.record import OperationKind
from tests.unit.components.records import NOW, SITE, environment, under

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from springboard.runtime import World

ROW = Row("firewall", "FirewallReady", Pace(10, 10), 600, "look at the security groups")
WORLD = cast("World", SimpleNamespace(site=SITE))


@dataclass(frozen=True)
class Seen(Observation):
    """The groups that are there."""

    groups: frozenset[str] = frozenset()


class Groups:
    """Stands for a component whose things may go while it looks the other way; no right without the owner's tag."""

    def __init__(self, *, seen: set[str], there: set[str]) -> None:
        self.first, self.there, self.looks = seen, there, 0

    def desired(self, *_: object) -> object:
        return ABSENT

    def observe(self, *_: object) -> Seen:
        self.looks += 1
        return Seen(groups=frozenset(self.first if self.looks == 1 else self.there))

    def changes(self, _: object, observed: Seen) -> Sequence[Change]:
        return [Change(Action.DELETE, name, "the environment goes") for name in sorted(observed.groups)]

    def apply(self, _: object, __: object, change: Change) -> Mapping[str, str]:
        if change.resource not in self.there or change.resource == "kept":
            raise AccessDeniedError(f"DeleteSecurityGroup was denied: {change.resource}")
        self.there.remove(change.resource)
        return {}

    def condition(self, _: object, observed: Seen) -> Verdict:
        return Waiting("firewall", "there are groups") if observed.groups else Ready()

    def learned(self, *_: object) -> Mapping[str, str]:
        return {}


def removed(groups: Groups) -> Verdict:
    record = under(environment(), OperationKind.DELETE)
    return reconcile(cast("Component", groups), ROW, WORLD, record, NOW, removal=True).verdict


def test_a_denied_change_that_somebody_else_has_made_meanwhile_is_done() -> None:
    assert removed(Groups(seen={"a"}, there=set())) == Ready()
    assert removed(Groups(seen={"a", "b"}, there={"b"})) == Ready()


def test_what_this_deletion_has_removed_is_not_asked_for_again_though_reads_show_it_for_minutes() -> None:
    """An earlier step's deletion: the repeated one is denied, the look after it is as old, and the step waits."""
    record = under(environment(), OperationKind.DELETE)
    lagging = Groups(seen={"a"}, there={"a"})
    lagging.observe = lambda *_: Seen(groups=frozenset({"a"}))  # type: ignore[method-assign]
    first = reconcile(cast("Component", lagging), ROW, WORLD, record, NOW, removal=True)
    assert (lagging.there, first.learned) == (set(), {"deleted": ["a"]})
    later = record.with_facts("firewall", first.learned)
    again = reconcile(cast("Component", lagging), ROW, WORLD, later, NOW, removal=True)
    assert isinstance(again.verdict, Waiting)
    assert again.learned == {"deleted": ["a"]}
    with pytest.raises(AccessDeniedError):
        reconcile(cast("Component", lagging), ROW, WORLD, record, NOW, removal=True)


def test_f6_nor_is_it_while_the_environment_stays() -> None:
    """What a change has dropped is remembered until its step is done; what is made again is there."""
    record = under(environment(), OperationKind.UPDATE)
    lagging = Groups(seen={"a"}, there={"a"})
    lagging.observe = lambda *_: Seen(groups=frozenset({"a"}))  # type: ignore[method-assign]
    first = reconcile(cast("Component", lagging), ROW, WORLD, record, NOW)
    assert (lagging.there, first.learned) == (set(), {"deleted": ["a"]})
    later = record.with_facts("firewall", first.learned)
    assert isinstance(reconcile(cast("Component", lagging), ROW, WORLD, later, NOW).verdict, Waiting)
    gone = Groups(seen=set(), there=set())
    assert reconcile(cast("Component", gone), ROW, WORLD, later, NOW).learned == {}
    again = Groups(seen={"a"}, there={"a"})
    again.changes = lambda *_: [Change(Action.CREATE, "a", "it is wanted again")]  # type: ignore[method-assign]
    again.condition = lambda *_: Waiting("firewall", "it comes")  # type: ignore[method-assign]
    assert reconcile(cast("Component", again), ROW, WORLD, later, NOW).learned == {}


def test_a_denied_change_that_is_still_wanted_is_an_error() -> None:
    with pytest.raises(AccessDeniedError, match="denied: kept"):
        removed(Groups(seen={"kept"}, there={"kept"}))
