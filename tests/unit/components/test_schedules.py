"""Schedules: the end by TTL, the look for drift, and what is left when neither is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springboard import naming
from springboard.components import schedules
from springboard.components.contract import ABSENT, Ready
from springboard.components.schedules import Observed
from springboard.errors import AccessDeniedError, ThrottledError
from springboard.record import OperationKind
from tests.unit.components.clients import Aws, locked, survives_every_kill
from tests.unit.components.records import NOW, SITE, UID, environment, under

if TYPE_CHECKING:
    from springboard.record import Environment

TTL, DRIFT = naming.ttl_schedule("sb", "shop", UID), naming.drift_schedule("sb", "shop", UID)


def mortal(hours: int = 8) -> Environment:
    record = under(environment(ttlHours=hours), OperationKind.CREATE)
    return replace(record, expires_at=NOW + timedelta(hours=hours))


def test_an_environment_with_an_end_has_two_schedules_and_one_without_has_one() -> None:
    aws = Aws()
    record = aws.until_ready(schedules, mortal())
    assert set(aws.scheduler.state) == {TTL, DRIFT}
    end = aws.scheduler.state[TTL]
    assert end["ScheduleExpression"] == "at(2026-11-23T17:00:00)"
    assert end["ScheduleExpressionTimezone"] == "UTC"
    assert end["Target"]["Arn"] == SITE.ttl_function_arn
    assert end["Target"]["DeadLetterConfig"] == {"Arn": SITE.schedule_dlq_arn}
    assert json.loads(end["Target"]["Input"])["environment"] == UID
    aws.until_ready(schedules, replace(record, expires_at=None))
    assert set(aws.scheduler.state) == {DRIFT}


def test_f4_an_end_that_a_killed_step_made_and_nobody_asks_for_any_more_goes() -> None:
    aws = Aws()
    aws.run(schedules, mortal())  # killed before it could say so: the record knows of none
    later = locked(under(environment(), OperationKind.UPDATE))
    aws.until_ready(schedules, later)
    assert set(aws.scheduler.state) == {DRIFT}


def test_a_later_end_moves_the_schedule() -> None:
    aws = Aws()
    record = aws.until_ready(schedules, mortal())
    later = replace(record, expires_at=NOW + timedelta(days=2))
    (change,) = schedules.changes(schedules.desired(later, SITE), schedules.observe(aws.world, later))
    assert change.reason == "it should be at(2026-11-25T09:00:00)"
    aws.until_ready(schedules, later)
    assert aws.scheduler.state[TTL]["ScheduleExpression"] == "at(2026-11-25T09:00:00)"


@pytest.mark.parametrize(
    "drift",
    [
        {"State": "DISABLED"},
        {"ScheduleExpressionTimezone": "America/New_York"},
        {"ScheduleExpression": "rate(1 minutes)"},
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1}},
    ],
)
def test_what_was_changed_by_hand_is_mended(drift: dict[str, object]) -> None:
    aws = Aws()
    record = aws.until_ready(schedules, mortal())
    before = aws.state()
    aws.scheduler.state[TTL] |= drift
    aws.until_ready(schedules, record)
    assert aws.state() == before


def test_the_end_is_seen_and_removed_even_if_the_record_does_not_know_it() -> None:
    aws = Aws()
    aws.until_ready(schedules, mortal())
    forgetful = under(environment(), OperationKind.DELETE)
    aws.until_ready(schedules, forgetful, removal=True)
    assert aws.scheduler.state == {}


def test_nothing_is_left_to_remove_where_creation_never_came_so_far() -> None:
    aws = Aws()
    _, outcome = aws.run(schedules, under(environment(), OperationKind.DELETE), removal=True)
    assert isinstance(outcome.verdict, Ready)
    assert aws.changes() == []


@pytest.mark.parametrize("removal", [False, True])
def test_killed_anywhere_it_ends_the_same(removal: bool) -> None:  # noqa: FBT001
    def make() -> Aws:
        aws = Aws()
        if removal:
            aws.until_ready(schedules, mortal())
        return aws

    record = under(mortal(), OperationKind.DELETE) if removal else mortal()
    assert survives_every_kill(make, schedules, record, removal=removal) == 2


@pytest.mark.parametrize(
    ("code", "error"), [("AccessDeniedException", AccessDeniedError), ("ThrottlingException", ThrottledError)]
)
def test_what_only_waiting_or_a_permission_helps_is_passed_on(code: str, error: type[Exception]) -> None:
    aws = Aws()
    aws.scheduler.refuse["create_schedule"] = code
    with pytest.raises(error):
        aws.run(schedules, mortal())


@given(st.sets(st.sampled_from(["end", "drift", "former"])), st.booleans())
def test_applied_to_a_model_the_changes_leave_nothing_to_change(present: set[str], ends: bool) -> None:  # noqa: FBT001
    desired = schedules.desired(mortal() if ends else environment(), SITE)
    both = schedules.desired(mortal(), SITE).schedules
    known = {"end": both[0], "drift": replace(both[1], expression="rate(1 day)"), "former": replace(both[0], name="x")}
    model = {known[each].name: known[each] for each in present}
    for change in schedules.changes(desired, Observed(desired.group, dict(model))):
        if isinstance(change, schedules.PutSchedule):
            model[change.schedule.name] = change.schedule
        elif isinstance(change, schedules.DeleteSchedule):
            del model[change.name]
    assert not schedules.changes(desired, Observed(desired.group, model))
    assert isinstance(schedules.condition(desired, Observed(desired.group, model)), Ready)
    assert len(schedules.changes(ABSENT, Observed(desired.group, model))) == len(model)
