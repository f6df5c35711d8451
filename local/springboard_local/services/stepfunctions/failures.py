"""Errors of running states, and which of them a Retry or Catch may match."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNTIME = "States.Runtime"
DATA_LIMIT = "States.DataLimitExceeded"
TIMEOUT = "States.Timeout"
TASK_FAILED = "States.TaskFailed"
QUERY = "States.QueryEvaluationError"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"

_ALL = "States.ALL"


class StateFailure(Exception):  # noqa: N818 - what Step Functions calls an error is this value
    """An error with its name and cause, on its way to a Retry, a Catch or the end of the execution."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def matches(self, names: Sequence[str]) -> bool:
        """Whether one of ErrorEquals stands for this error."""
        if self.error == RUNTIME:
            return False  # always ends the execution
        if self.error in names:
            return True
        if self.error == HEARTBEAT_TIMEOUT and TIMEOUT in names:
            return True
        if self.error == DATA_LIMIT:
            return False  # no wildcard matches it
        if TASK_FAILED in names and self.error not in {TIMEOUT, HEARTBEAT_TIMEOUT}:
            return True
        return _ALL in names

    def output(self) -> dict[str, str]:
        """As a Catch sees it."""
        return {"Error": self.error, "Cause": self.cause}


class EvaluationFailure(StateFailure):
    """A JSONata expression that did not evaluate; the history has an event of its own for it."""

    def __init__(self, cause: str, field: str) -> None:
        super().__init__(QUERY, cause)
        self.field = field
