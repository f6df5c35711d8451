"""RecordFailure: the operation failed: step, cause and remedy go into the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.flow import outcome
from springboard.runtime import flow_handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.flow.step import Task
    from springboard.runtime import World


def record_failure(world: World, task: Task, event: Mapping[str, Any]) -> dict[str, Any]:
    """The operation failed: step, cause and remedy go into the record."""
    return {**outcome.failed(world, task, str(event.get("error", "")), str(event.get("cause", "")))}


handler = flow_handler("RecordFailure", record_failure)
