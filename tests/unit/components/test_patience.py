"""How long an operation waits for a component, and how often it looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from springboard.components.contract import Component, Failed, Pace, Row, Verdict, Waiting
from springboard.components.reconcile import reconcile
from springboard.record import Condition, Environment, OperationKind, Step
from tests.unit.components.records import NOW, SITE, environment, under

if TYPE_CHECKING:
    from springboard.runtime import World

ROW = Row("cluster", "ClusterReady", Pace(384, 20), 2400, "look at the cluster", removal_patience=3600)
WORLD = cast("World", SimpleNamespace(site=SITE))


def component(verdict: Verdict) -> Component:
    """One with nothing to do that stands so."""
    parts: dict[str, Any] = {
        "desired": lambda *_: "wanted",
        "observe": lambda *_: "seen",
        "changes": lambda *_: (),
        "condition": lambda *_: verdict,
        "learned": lambda *_: {},
    }
    return cast("Component", SimpleNamespace(**parts))


def waiting_since(step: datetime | None, condition: datetime | None, *, removal: bool = False) -> Environment:
    """A record in which this operation's step began then, and the condition turned False then."""
    record = under(environment(), OperationKind.CREATE)
    if condition is not None:
        turned = Condition("ClusterReady", "False", "Waiting", "", condition)
        record = replace(record, conditions={"ClusterReady": turned})
    if step is not None and record.operation is not None:
        name = ROW.step(removal=removal)
        record = replace(record, operation=replace(record.operation, steps={name: Step(name, step)}))
    return record


def look(
    record: Environment, after: int, *, asks: int | Pace = 0, aimed: bool = False, removal: bool = False
) -> tuple[Verdict, int]:
    """Verdict and seconds until the next look, so many seconds from NOW."""
    waiting = component(Waiting("cluster", "it is CREATING", asks, aimed=aimed))
    outcome = reconcile(waiting, ROW, WORLD, record, NOW + timedelta(seconds=after), removal=removal)
    return outcome.verdict, outcome.retry_after


def test_patience_ends_with_what_was_waited_for_and_what_to_do() -> None:
    record = waiting_since(NOW, NOW)
    assert isinstance(look(record, 2400)[0], Waiting)
    verdict, wait = look(record, 2401)
    assert verdict == Failed("waited 2400 s for cluster: it is CREATING", "look at the cluster", "TimedOut")
    assert wait == 0


def test_removal_has_a_patience_of_its_own() -> None:
    record = waiting_since(NOW, NOW, removal=True)
    assert isinstance(look(record, 3600, removal=True)[0], Waiting)
    assert isinstance(look(record, 3601, removal=True)[0], Failed)


@pytest.mark.parametrize("step", [None, NOW + timedelta(seconds=5000)])
def test_a_step_that_comes_late_starts_with_new_patience(step: datetime | None) -> None:
    # The condition is False from an operation that failed, and the steps before took long.
    record = waiting_since(step, NOW - timedelta(days=1))
    assert isinstance(look(record, 5000)[0], Waiting)


def test_what_turned_later_than_the_step_began_is_waited_for_from_then() -> None:
    record = waiting_since(NOW, NOW + timedelta(seconds=1000))
    assert isinstance(look(record, 3400)[0], Waiting)
    assert isinstance(look(record, 3401)[0], Failed)


def test_looks_come_as_asked_and_grow_rarer_with_the_wait() -> None:
    record = waiting_since(NOW, NOW)
    assert look(record, 0)[1] == 20  # its pace
    assert look(record, 500)[1] == 20
    assert look(record, 2000)[1] == 80
    assert look(record, 0, asks=300)[1] == 300
    assert look(record, 0, asks=1)[1] == 5


def test_what_is_aimed_at_is_not_looked_at_before_it_can_be_there_whoever_looks_meanwhile() -> None:
    record = waiting_since(NOW, NOW)
    assert look(record, 0, aimed=True)[1] == 384
    assert look(record, 100, aimed=True)[1] == 284  # a handler that was killed, or a loop over several components
    assert look(record, 380, aimed=True)[1] == 20
    assert look(record, 884, aimed=True)[1] == 20  # 500 s overdue
    assert look(record, 1384, aimed=True)[1] == 40  # 1000 s overdue: 25 looks double the wait
    assert look(record, 12, asks=Pace(10, 6, share=4))[1] == 6
    assert look(record, 50, asks=Pace(10, 6, share=4))[1] == 10


def test_no_pace_looks_more_often_than_history_allows() -> None:
    record = waiting_since(NOW, NOW)
    assert look(record, 1000, asks=Pace(0, 1, share=1000))[1] == 40
    assert look(record, 0, asks=Pace(0, 1))[1] == 5
