"""Which step failed, and what a beginning operation says of the whole environment."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from springboard.components.table import ROWS
from springboard.flow import drift, outcome, settle
from springboard.flow.step import Task
from springboard.record import (
    Condition,
    Environment,
    Lock,
    Operation,
    OperationKind,
    OperationStatus,
    Phase,
    Resolved,
    Step,
)
from springboard.spec import EnvironmentSpec
from tests.unit.flow.records import PROVISION, Executions, Record, world

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)


def environment(*steps: Step, **changes: Any) -> Environment:
    spec = EnvironmentSpec.model_validate_json(json.dumps({"apps": [{"image": "registry.example.com/shop:1"}]}))
    running = Operation(
        "op1",
        OperationKind.CREATE,
        OperationStatus.RUNNING,
        1,
        NOW,
        "somebody",
        steps={step.name: step for step in steps},
    )
    resolved = Resolved("1.35", "Z1", "example.com", (), "amd64")
    return Environment("u1", "shop", "owner", 1, NOW, spec, {}, resolved, operation=running, **changes)


def test_the_last_step_that_noted_an_error_is_the_one_that_failed() -> None:
    early = Step("EnsureDns", NOW, NOW, "not ours", "choose another host")
    late = Step("EnsureCluster", NOW, SOON, "quota", "")
    failure = outcome.failure_of(environment(early, late, Step("EnsureTargets", SOON)), "StepFailedError", "…")
    assert (failure.step, failure.cause) == ("EnsureCluster", "quota")
    assert "retry" in failure.remedy


def test_f3_a_killed_handler_is_the_step_that_began_and_never_ended() -> None:
    steps = Step("EnsureDns", NOW, NOW), Step("EnsureCluster", NOW), Step("EnsureTargets", SOON)
    failure = outcome.failure_of(environment(*steps), "Runtime.ExitError", "signal: killed")
    assert (failure.step, failure.cause) == ("EnsureTargets", "Runtime.ExitError: signal: killed")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("steps", "reached"),
    [
        (
            (Step("EnsureDns", NOW, NOW), Step("EnsureCluster", NOW), Step("EnsureCertificate", SOON)),
            "EnsureCertificate",
        ),
        ((Step("EnsureDns", NOW), Step("EnsureCluster", NOW)), "EnsureDns"),
        ((Step("EnsureDns", NOW, SOON), Step("EnsureCluster", NOW, NOW)), "Operation"),
        ((), "BeginOperation"),
    ],
)
def test_an_operation_that_dies_stopped_at_one_step_whoever_records_it(
    steps: tuple[Step, ...], reached: str, order: int
) -> None:
    """RecordFailure, or where that dies too the settling after it; and however the record's map is ordered."""
    stopped = environment(*steps[::order], lock=Lock("op1", NOW))
    recorded = outcome.failure_of(stopped, "Runtime.ExitError", "signal: killed")
    record = Record(stopped)
    arn = f"{PROVISION.replace(':stateMachine:', ':execution:')}:op1"
    settle.settle(world(record, Executions({arn: "FAILED"})), "u1", "op1", SOON)
    assert record.present.operation
    settled = record.present.operation.failure
    assert settled
    assert (recorded.step, settled.step) == (reached, reached)


def test_a_failure_before_any_step_is_the_beginning_s_and_a_long_cause_is_cut() -> None:
    failure = outcome.failure_of(environment(), "States.Runtime", "x" * 900)
    assert failure.step == "BeginOperation"
    assert len(failure.cause) < 540


def test_f7_a_step_that_may_not_even_note_its_error_is_named_with_action_and_resource() -> None:
    said = (
        "RecordReady: UpdateItem was denied: User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform:"
        " dynamodb:UpdateItem on resource: arn:aws:dynamodb:eu-west-1:1:table/record with an explicit deny"
    )
    cause = json.dumps({"errorMessage": said, "errorType": "AccessDeniedError", "stackTrace": ["line"]})
    waits = Step("EnsureTargets", SOON)
    failure = outcome.failure_of(environment(waits), "AccessDeniedError", cause)
    assert failure.step == "RecordReady"
    assert failure.cause.startswith("AccessDeniedError: UpdateItem was denied")
    assert failure.remedy.startswith("allow dynamodb:UpdateItem on arn:aws:dynamodb:eu-west-1:1:table/record to")
    assert "stackTrace" not in failure.cause


@pytest.mark.parametrize(
    ("kind", "serving", "available"),
    [
        (OperationKind.CREATE, False, "False"),
        (OperationKind.UPDATE, True, None),  # what serves goes on serving
        (OperationKind.DELETE, True, "False"),
    ],
)
def test_a_beginning_says_whether_it_still_serves(kind: OperationKind, *, serving: bool, available: str | None) -> None:
    serves = {"Available": Condition("Available", "True", "AsDeclared", "", NOW, 1)} if serving else {}
    conditions = outcome.beginning(environment(conditions=serves), kind, SOON, outcome.IN_FLIGHT)
    assert conditions["Progressing"].status == "True"
    assert conditions["Ready"].status == "False"
    stated = conditions.get("Available")
    assert (stated.status if stated else None) == available


def test_nothing_is_ready_that_was_seen_so_of_a_former_generation_alone() -> None:
    """A state that a machine leaves out is an error of the machine, and no environment is called Ready by it."""
    seen = {row.condition: Condition(row.condition, "True", "Ready", "", NOW, 1) for row in ROWS}
    task = Task("u1", "op1", 1, SOON)
    record = Record(environment(lock=Lock("op1", NOW), conditions=seen))
    record.record_ready = lambda *_: record.writes.append("record_ready")  # type: ignore[attr-defined]  # all it asks
    assert outcome.ready(world(record), task) == {"phase": "Ready"}
    assert record.writes == ["record_ready"]
    for condition in ("DnsReady", "AlarmsReady"):
        for late in ({**seen, condition: replace(seen[condition], observed_generation=0)}, seen.keys() - {condition}):
            conditions = late if isinstance(late, dict) else {name: seen[name] for name in late}
            record.environment = environment(lock=Lock("op1", NOW), conditions=conditions)
            with pytest.raises(AssertionError, match=condition):
                outcome.ready(world(record), task)
    assert record.writes == ["record_ready"]


LONG = outcome.IN_FLIGHT + outcome.KNOWN_AFTER


@pytest.mark.parametrize(
    ("progressing", "ready", "attempt", "after", "seconds"),
    [
        (None, None, 1, 0, outcome.IN_FLIGHT),  # nothing has ever begun
        ("True", "False", 1, 0, LONG),  # it takes over from what has just been stopped
        ("True", "False", 1, 9000, LONG),
        ("False", "False", 1, 0, LONG),  # the last one has just failed, or was cancelled
        ("False", "False", 1, 100, LONG - 100),
        ("False", "False", 1, 9000, outcome.IN_FLIGHT),
        ("False", "True", 1, 0, outcome.IN_FLIGHT),  # all has been seen
        ("False", "False", 2, 0, outcome.IN_FLIGHT),  # the retry of a deletion
    ],
)
def test_a_deletion_looks_once_all_that_was_made_is_known(
    progressing: str | None, ready: str | None, attempt: int, after: int, seconds: int
) -> None:
    said = {"Progressing": progressing, "Ready": ready}
    conditions = {name: Condition(name, status, "", "", NOW, 1) for name, status in said.items() if status}
    present = environment(conditions=conditions)
    assert present.operation
    present = replace(present, operation=replace(present.operation, kind=OperationKind.DELETE, attempt=attempt))
    assert outcome.settling(present, NOW + timedelta(seconds=after)) == seconds


@pytest.mark.parametrize(("settle", "reason"), [(LONG, "Settling"), (outcome.IN_FLIGHT, "Delete")])
def test_a_deletion_that_waits_for_minutes_says_why(settle: int, reason: str) -> None:
    progressing = outcome.beginning(environment(), OperationKind.DELETE, NOW, settle)["Progressing"]
    assert progressing.reason == reason
    assert (f"in {settle} s" in progressing.message) == (reason == "Settling")


CHANGE = {"action": "Create", "resource": "record shop", "reason": "it is not there", "effect": "None"}


def test_drift_names_what_differs_and_who_did_not_answer() -> None:
    found = drift.found({"dns": {"changes": [CHANGE]}, "alarms": {"unknown": "no answer"}, "cluster": {"changes": []}})
    assert found == [{"component": "alarms", "unknown": "no answer"}, {"component": "dns", **CHANGE}]
    condition = drift.condition(environment(), found, NOW)
    assert (condition.status, condition.reason) == ("True", "Differs")
    assert "record shop: it is not there" in condition.message
    silent = drift.condition(environment(), found[:1], NOW)
    assert (silent.status, silent.message) == ("Unknown", "no answer from alarms")


def test_drift_names_what_no_change_of_ours_makes_right() -> None:
    """Somebody's record in our place: there is nothing to change, and it is not as declared."""
    failed = {"state": "Failed", "cause": "shop points elsewhere", "remedy": "choose another host", "code": "NotOurs"}
    found = drift.found(
        {"dns": {"changes": [], "verdict": failed}, "alarms": {"changes": [], "verdict": {"state": ""}}}
    )
    assert found == [{"component": "dns", "failed": "NotOurs", "reason": "shop points elsewhere"}]
    condition = drift.condition(environment(), found, NOW)
    assert (condition.status, condition.message) == ("True", "dns: shop points elsewhere")


def test_drift_keeps_the_time_of_its_last_transition() -> None:
    before = drift.condition(environment(), [], NOW)
    again = drift.condition(environment(conditions={"Drifted": before}), [], SOON)
    moved = drift.condition(environment(conditions={"Drifted": before}), [{"component": "dns", **CHANGE}], SOON)
    assert (before.status, again.last_transition_time) == ("False", NOW)
    assert moved.last_transition_time == SOON


@pytest.mark.parametrize(
    ("phase", "locked", "answer"),
    [
        (Phase.READY, False, True),
        (Phase.DEGRADED, False, True),
        (Phase.READY, True, False),
        (Phase.FAILED, False, False),
        (Phase.DELETED, False, False),
    ],
)
def test_only_what_was_made_and_rests_can_have_drifted(phase: Phase, *, locked: bool, answer: bool) -> None:
    lock = Lock("op1", NOW) if locked else None
    assert drift.comparable(environment(phase=phase, lock=lock)) is answer
