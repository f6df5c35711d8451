"""Whose lock is freed, whose is handed over, and whose is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, override

import pytest

from springboard.flow import settle
from springboard.record import (
    Condition,
    Environment,
    Failure,
    Intent,
    Lock,
    Operation,
    OperationKind,
    OperationStatus,
    Phase,
    Step,
)
from tests.unit.flow.records import NOW, PROVISION, TEARDOWN, Executions, Record, environment, world

EXECUTION = PROVISION.replace(":stateMachine:", ":execution:") + ":op1"
LATER = NOW + timedelta(hours=1)
DELETE = Intent("op2", OperationKind.DELETE, LATER, "somebody else")
CANCEL = Intent("op2", OperationKind.CANCEL, LATER, "somebody else")


def running(**changes: Any) -> Environment:
    before = environment()
    assert before.operation is not None
    return replace(before, operation=replace(before.operation, **changes))


def operation(record: Record) -> Operation:
    assert record.present.operation is not None
    return record.present.operation


def settled(record: Record, status: str | None, *, ended: bool = False) -> tuple[str, Executions]:
    executions = Executions({EXECUTION: status} if status else {})
    return settle.settle(world(record, executions), "u1", "op1", LATER, ended=ended), executions


@pytest.mark.parametrize(
    "present",
    [None, environment(lock=None), environment(lock=None, operation=None)],
    ids=["no-record", "free", "never-locked"],
)
def test_where_nothing_is_held_there_is_nothing_to_do(present: Environment | None) -> None:
    record = Record(present)
    assert settled(record, "SUCCEEDED")[0] == "settled"
    assert record.writes == []


def test_the_lock_of_another_operation_is_left_alone() -> None:
    record = Record(running(id="op7"))
    assert settled(record, "SUCCEEDED")[0] == "settled"
    assert record.writes == []


@pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE"])
def test_one_that_runs_keeps_its_lock(status: str) -> None:
    record = Record(environment())
    answer, executions = settled(record, status)
    assert (answer, record.writes, executions.started) == ("running", [], [])


def test_one_whose_writer_died_before_its_start_is_started() -> None:
    record = Record(environment())
    answer, executions = settled(record, None)
    state = {"environment": "u1", "operation": "op1", "generation": 3}
    assert (answer, executions.started) == ("running", [(PROVISION, "op1", state)])
    assert record.present.lock is not None


@pytest.mark.parametrize("outcome", [OperationStatus.SUCCEEDED, OperationStatus.FAILED])
def test_an_outcome_that_is_recorded_stays_and_the_lock_is_freed(outcome: OperationStatus) -> None:
    record = Record(running(status=outcome))
    answer, _ = settled(record, None, ended=True)
    assert (answer, record.present.lock) == ("released", None)
    assert record.writes == ["release"]
    assert (operation(record).status, operation(record).ended_at) == (outcome, LATER)


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_f13_one_that_ended_without_a_word_failed_at_its_open_step(status: str) -> None:
    steps = {"EnsureDns": Step("EnsureDns", NOW, NOW), "EnsureCluster": Step("EnsureCluster", NOW)}
    record = Record(running(steps=steps))
    assert settled(record, status)[0] == "released"
    failure = operation(record).failure
    assert failure is not None
    assert failure.step == "EnsureCluster"
    assert status in failure.cause
    assert "retry" in failure.remedy
    assert record.present.phase is Phase.FAILED
    assert "EnsureCluster" in record.present.conditions["Ready"].message
    assert record.present.lock is None


def test_what_serves_is_degraded_by_it_and_not_failed() -> None:
    serving = {"Available": Condition("Available", "True", "AsDeclared", "", NOW, 2)}
    record = Record(replace(running(), conditions=serving))
    settled(record, "ABORTED")
    assert record.present.phase is Phase.DEGRADED


def test_f41_a_deletion_that_dies_before_it_begins_has_failed_whatever_still_serves() -> None:
    serving = {"Available": Condition("Available", "True", "AsDeclared", "", NOW, 2)}
    record = Record(replace(running(kind=OperationKind.DELETE), conditions=serving))
    executions = Executions({TEARDOWN.replace(":stateMachine:", ":execution:") + ":op1": "ABORTED"})
    assert settle.settle(world(record, executions), "u1", "op1", LATER) == "released"
    assert record.present.phase is Phase.FAILED


class Overtaken(Record):
    """Settled by somebody else between the read and the write."""

    @override
    def by_uid(self, uid: str) -> Environment | None:
        return replace(self.present, lock=Lock("op1", NOW))


def test_who_hands_the_lock_on_too_late_starts_nothing() -> None:
    record = Overtaken(replace(running(), intent=DELETE, lock=Lock("op9", LATER)))
    _, executions = settled(record, "ABORTED")
    assert executions.started == []
    assert record.present.lock == Lock("op9", LATER)


def test_f34_the_operation_that_waits_gets_the_lock_and_is_started() -> None:
    record = Record(replace(running(), intent=DELETE))
    answer, executions = settled(record, "ABORTED")
    assert answer == "handed-over"
    assert [(started[0], started[1]) for started in executions.started] == [(TEARDOWN, "op2")]
    following = operation(record)
    assert (following.kind, following.status, following.generation) == (
        OperationKind.DELETE,
        OperationStatus.PENDING,
        3,
    )
    assert following.requested_by == "somebody else"
    assert record.present.lock is not None
    assert (record.present.lock.operation, record.present.intent) == ("op2", None)
    assert record.saved[0].status is OperationStatus.CANCELLED


def test_one_that_was_told_to_stop_is_cancelled_and_nothing_follows() -> None:
    record = Record(replace(running(), intent=CANCEL))
    answer, executions = settled(record, "ABORTED")
    assert (answer, executions.started) == ("released", [])
    assert operation(record).status is OperationStatus.CANCELLED
    assert record.present.lock is None
    assert "cancelled on request" in record.present.conditions["Ready"].message


@pytest.mark.parametrize(("wish", "answer"), [(DELETE, "handed-over"), (CANCEL, "released")])
def test_f34_one_that_never_started_is_not_started_to_be_ended(wish: Intent, answer: str) -> None:
    record = Record(replace(running(status=OperationStatus.PENDING), intent=wish))
    told, executions = settled(record, None)
    assert told == answer
    assert [started[:2] for started in executions.started] == [(TEARDOWN, "op2")] * (wish is DELETE)
    assert record.saved[0].status is OperationStatus.CANCELLED


def test_one_that_failed_before_it_could_be_stopped_says_so() -> None:
    failure = Failure("EnsureCluster", "quota", "ask for more")
    record = Record(replace(running(status=OperationStatus.FAILED, failure=failure), intent=CANCEL))
    settled(record, "FAILED")
    assert (operation(record).status, operation(record).failure) == (OperationStatus.FAILED, failure)


def test_an_intent_that_comes_between_is_followed() -> None:
    record = Record(running(status=OperationStatus.SUCCEEDED), intent_meanwhile=DELETE)
    answer, executions = settled(record, None, ended=True)
    assert answer == "handed-over"
    assert [started[1] for started in executions.started] == ["op2"]


def test_settled_twice_it_is_done_once() -> None:
    record = Record(running(status=OperationStatus.SUCCEEDED))
    assert [settled(record, "SUCCEEDED")[0] for _ in range(2)] == ["released", "settled"]
    assert record.writes == ["release"]


def test_the_sweep_frees_what_is_old_enough_and_counts_only_that() -> None:
    record = Record(running(status=OperationStatus.SUCCEEDED))
    executions = Executions({EXECUTION: "SUCCEEDED"})
    grace = timedelta(minutes=10)
    assert settle.sweep(world(record, executions), NOW + timedelta(minutes=9), grace) == []
    assert settle.sweep(world(record, executions), LATER, grace) == [("u1", "released")]
    assert settle.sweep(world(record, executions), LATER, grace) == []


def test_the_sweep_leaves_what_runs() -> None:
    executions = Executions({EXECUTION: "RUNNING"})
    assert settle.sweep(world(Record(environment()), executions), LATER, timedelta(minutes=10)) == []
