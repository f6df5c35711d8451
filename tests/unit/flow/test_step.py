"""One step: fenced, remembered, told in the record, and honest about what went wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from springboard.components.contract import (
    ABSENT,
    Action,
    Change,
    Component,
    Effect,
    Failed,
    Pace,
    Ready,
    Row,
    Verdict,
    Waiting,
)
from springboard.errors import (
    AccessDeniedError,
    FencedError,
    NotOursError,
    RefusedError,
    SpringboardError,
    StepFailedError,
    ThrottledError,
    UnavailableError,
)
from springboard.flow import outcome, step
from springboard.flow.step import Task
from springboard.record import Condition, Lock, OperationKind, Step
from tests.unit.flow.records import NOW, Record, environment, world

if TYPE_CHECKING:
    from springboard.record import Environment

ROW = Row("cluster", "ClusterReady", Pace(384, 20), 2400, "look at the cluster")
TASK = Task("u1", "op1", 3, NOW)
CHANGE = Change(Action.CREATE, "cluster shop", "it does not exist", Effect.NONE)
SOON = NOW + timedelta(minutes=5)


class Scripted:
    """A component that stands as told, and counts how often it is looked at."""

    def __init__(self, verdict: Verdict, *changes: Change, error: SpringboardError | None = None) -> None:
        self.verdict = verdict
        self.wanted = list(changes)
        self.error = error
        self.looks = 0
        self.desires: list[Any] = []

    def desired(self, *_: Any) -> str:
        return "wanted"

    def observe(self, *_: Any) -> str:
        self.looks += 1
        return f"look {self.looks}"

    def changes(self, desired: Any, _: Any) -> list[Change]:
        self.desires.append(desired)
        if isinstance(self.error, NotOursError):
            raise self.error
        return self.wanted

    def condition(self, *_: Any) -> Verdict:
        return self.verdict

    def apply(self, *_: Any) -> None:
        if self.error:
            raise self.error

    def learned(self, observed: Any) -> dict[str, str]:
        return {"seen": observed}


def run(component: Scripted, record: Record, task: Task = TASK) -> dict[str, Any]:
    return step.run(world(record), cast("Component", component), ROW, task)


def steps(record: Record) -> Any:
    assert record.present.operation is not None
    return record.present.operation.steps


# The fence


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (None, "no record of u1"),
        (environment(lock=None), "under nobody"),
        (environment(lock=Lock("op2", NOW)), "under op2"),
        (replace(environment(), generation=4), "at generation 4"),
    ],
)
def test_f13_one_that_lost_the_lock_looks_at_nothing_and_writes_nothing(present: Environment | None, said: str) -> None:
    record, component = Record(present), Scripted(Ready())
    with pytest.raises(FencedError, match=said):
        run(component, record)
    assert (component.looks, record.writes) == (0, [])


# What is written


def answer(after: int = 0, on: str = "", *, ready: bool = False) -> dict[str, Any]:
    """What the state machine reads."""
    return {"ready": ready, "retryAfter": after, "waitsFor": on}


def test_what_it_came_to_is_told_in_step_condition_and_facts() -> None:
    record = Record(environment())
    assert run(Scripted(Ready("Active", "v1.35")), record) == answer(ready=True)
    assert steps(record) == {"EnsureCluster": Step("EnsureCluster", NOW, NOW)}
    assert record.present.conditions["ClusterReady"] == Condition("ClusterReady", "True", "Active", "v1.35", NOW, 3)
    assert record.present.facts["cluster"] == {"seen": "look 1"}


def test_waiting_says_for_what_and_how_long_after_a_start_and_after_a_look() -> None:
    record = Record(environment())
    assert run(Scripted(Waiting("cluster", "it is CREATING"), CHANGE), record) == answer(384, "cluster")
    assert run(Scripted(Waiting("cluster", "it is CREATING")), record) == answer(20, "cluster")
    assert record.present.conditions["ClusterReady"].message == "waits for cluster: it is CREATING"
    assert steps(record)["EnsureCluster"].ended_at is None


def test_a_look_that_sees_the_same_writes_nothing() -> None:
    record = Record(environment())
    component = Scripted(Waiting("cluster", "it is CREATING"))
    run(component, record)
    record.writes.clear()
    component.looks = 0
    run(component, record, replace(TASK, now=SOON))
    assert record.writes == []


def test_the_time_of_the_transition_moves_when_the_status_does_and_not_with_the_message() -> None:
    record = Record(environment())
    run(Scripted(Waiting("cluster", "it is CREATING")), record)
    run(Scripted(Waiting("cluster", "it is nearly there")), record, replace(TASK, now=SOON))
    assert record.present.conditions["ClusterReady"].last_transition_time == NOW
    run(Scripted(Ready()), record, replace(TASK, now=SOON))
    assert record.present.conditions["ClusterReady"].last_transition_time == SOON
    assert steps(record)["EnsureCluster"].started_at == NOW


def test_f4_a_handler_killed_after_it_said_when_to_look_again_does_not_look_sooner() -> None:
    record = Record(environment())
    late = Scripted(Waiting("log group", "EKS may write it anew", 960, strictly=True))
    assert run(late, record) == answer(960, "log group")
    retried = Scripted(Ready("Gone"))
    assert run(retried, record, replace(TASK, now=NOW + timedelta(seconds=2))) == answer(958)
    assert retried.looks == 0
    assert run(retried, record, replace(TASK, now=NOW + timedelta(seconds=960)))["ready"]


# What is remembered


def test_one_that_is_done_in_this_operation_is_not_looked_at_again() -> None:
    record, component = Record(environment()), Scripted(Ready())
    run(component, record)
    record.writes.clear()
    assert run(component, record) == answer(ready=True)
    assert (component.looks, record.writes) == (1, [])


def test_asked_again_it_looks_and_may_wait_anew() -> None:
    record = Record(environment())
    run(Scripted(Ready()), record)
    later = Scripted(Waiting("load balancer", "it is in use"))
    assert not run(later, record, replace(TASK, again=True, now=SOON))["ready"]
    assert later.looks == 1


def test_removal_is_a_step_of_its_own_and_wants_nothing() -> None:
    record, component = Record(environment(OperationKind.DELETE)), Scripted(Ready())
    run(component, record, replace(TASK, removal=True))
    assert set(component.desires) == {ABSENT}
    assert set(steps(record)) == {"RemoveCluster"}
    condition = record.present.conditions["ClusterReady"]
    assert (condition.status, condition.reason) == ("False", "Removed")


# What goes wrong


@pytest.mark.parametrize(
    "component",
    [
        Scripted(Failed("quota", "ask for more", "InstanceLimitExceeded")),
        Scripted(Ready(), CHANGE, error=RefusedError("quota", "ask for more", code="InstanceLimitExceeded")),
    ],
    ids=["seen", "refused"],
)
def test_a_failure_names_step_cause_and_remedy_and_ends_the_step(component: Scripted) -> None:
    record = Record(environment())
    with pytest.raises(StepFailedError, match="EnsureCluster: quota") as caught:
        run(component, record)
    assert caught.value.remedy == "ask for more"
    assert steps(record)["EnsureCluster"] == Step("EnsureCluster", NOW, NOW, "quota", "ask for more")
    condition = record.present.conditions["ClusterReady"]
    assert (condition.reason, condition.message) == (
        "InstanceLimitExceeded",
        "EnsureCluster: quota. Remedy: ask for more",
    )


def test_what_is_not_ours_is_a_failure_with_its_remedy() -> None:
    record = Record(environment())
    with pytest.raises(StepFailedError):
        run(Scripted(Ready(), error=NotOursError("the cluster exists", "delete it")), record)
    assert record.present.conditions["ClusterReady"].reason == "NotOurs"


@pytest.mark.parametrize("kind", [AccessDeniedError, ThrottledError, UnavailableError])
def test_f7_an_error_passes_on_and_is_noted_with_its_remedy(kind: type[SpringboardError]) -> None:
    record = Record(environment())
    with pytest.raises(kind):
        run(Scripted(Ready(), CHANGE, error=kind("CreateCluster was denied", "allow eks:CreateCluster")), record)
    noted = steps(record)["EnsureCluster"]
    assert (noted.error, noted.remedy) == ("CreateCluster was denied", "allow eks:CreateCluster")
    assert "ClusterReady" not in record.present.conditions


def test_after_an_error_the_step_is_tried_again_and_its_error_forgotten() -> None:
    record = Record(environment())
    with pytest.raises(ThrottledError):
        run(Scripted(Ready(), CHANGE, error=ThrottledError("slow down")), record)
    assert run(Scripted(Ready()), record)["ready"]
    assert steps(record)["EnsureCluster"] == Step("EnsureCluster", NOW, NOW)


class Killed(BaseException):
    """The end of a handler's process."""


class Dying(Scripted):
    """A component whose handler dies as it acts."""

    def apply(self, *_: Any) -> None:
        raise Killed


def test_a_retry_that_is_killed_is_not_told_by_the_error_before_it() -> None:
    record = Record(environment())
    with pytest.raises(ThrottledError):
        run(Scripted(Ready(), CHANGE, error=ThrottledError("slow down")), record)
    with pytest.raises(Killed):
        run(Dying(Ready(), CHANGE), record, replace(TASK, now=SOON))
    assert steps(record)["EnsureCluster"] == Step("EnsureCluster", NOW)
    failure = outcome.failure_of(record.present, "Runtime.ExitError", "signal: killed")
    assert (failure.step, failure.cause) == ("EnsureCluster", "Runtime.ExitError: signal: killed")


def test_an_error_is_not_hidden_by_one_of_the_record() -> None:
    started = Step("EnsureCluster", NOW)
    before = environment()
    assert before.operation is not None
    record = Record(replace(before, operation=replace(before.operation, steps={"EnsureCluster": started})))
    record.refuse = ThrottledError("the table is busy")
    with pytest.raises(AccessDeniedError) as caught:
        run(Scripted(Ready(), CHANGE, error=AccessDeniedError("denied")), record)
    assert any("the table is busy" in note for note in caught.value.__notes__)


def test_a_state_without_a_loop_waits_by_being_retried() -> None:
    record = Record(environment())
    with pytest.raises(UnavailableError, match="EnsureCluster waits for cluster: it is CREATING"):
        run(Scripted(Waiting("cluster", "it is CREATING")), record, replace(TASK, once=True))
    assert record.present.conditions["ClusterReady"].reason == "Waiting"
    assert not steps(record)["EnsureCluster"].error
    assert run(Scripted(Ready()), record, replace(TASK, once=True))["ready"]


# Plans


def test_a_plan_shows_changes_and_verdict_and_writes_nothing() -> None:
    record = Record(environment())
    answer = step.observe(
        world(record), cast("Component", Scripted(Waiting("cluster", "soon"), CHANGE)), ROW, record.present
    )
    (change,) = answer["changes"]
    assert change == {
        "action": "Create",
        "resource": "cluster shop",
        "reason": "it does not exist",
        "effect": "None",
    }
    assert answer["verdict"] == {"state": "Waiting", "on": "cluster", "reason": "soon"}
    assert record.writes == []


@pytest.mark.parametrize(
    ("component", "state"),
    [
        (Scripted(Ready()), {"state": "Ready"}),
        (
            Scripted(Ready(), error=NotOursError("theirs", "delete it")),
            {"state": "Failed", "cause": "theirs", "remedy": "delete it", "code": "NotOurs"},
        ),
    ],
)
def test_a_plan_says_how_it_stands(component: Scripted, state: dict[str, str]) -> None:
    record = Record(environment())
    assert step.observe(world(record), cast("Component", component), ROW, record.present)["verdict"] == state
