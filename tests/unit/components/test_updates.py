"""Failed updates: only the latest of the running operation counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from springboard.components.updates import failed_update
from springboard.record import OperationKind, OperationStatus
from tests.unit.components.records import NOW, environment, under

RECORD = under(environment(), OperationKind.UPDATE)
ERROR = {"errorCode": "PodEvictionFailure", "errorMessage": "Reached max retries", "resourceIds": ["ip-10-0-0-1"]}


def update(minutes: int, status: str, *errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "VersionUpdate",
        "status": status,
        "createdAt": NOW + timedelta(minutes=minutes),
        "errors": list(errors),
    }


def test_a_failure_of_this_operation_tells_code_cause_and_what_it_met() -> None:
    found = failed_update([update(1, "Successful"), update(2, "Failed", ERROR)], RECORD)
    assert found is not None
    assert found.code == "PodEvictionFailure"
    assert found.cause == "VersionUpdate: PodEvictionFailure Reached max retries (ip-10-0-0-1)"


def test_what_failed_before_or_was_mended_since_does_not_count() -> None:
    assert failed_update([update(-1, "Failed", ERROR)], RECORD) is None
    assert failed_update([update(1, "Failed", ERROR), update(2, "InProgress")], RECORD) is None
    assert failed_update([], RECORD) is None


def test_between_operations_nothing_counts() -> None:
    ended = under(environment(), OperationKind.UPDATE, OperationStatus.FAILED)
    assert failed_update([update(1, "Failed", ERROR)], ended) is None


def test_a_failure_without_a_cause_says_at_least_that() -> None:
    found = failed_update([update(1, "Cancelled")], RECORD)
    assert found is not None
    assert found.code == "Cancelled"
