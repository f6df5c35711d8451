"""RecordReady: everything of this generation is there, or, after a teardown, nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.flow import outcome
from springboard.runtime import flow_handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.flow.step import Task
    from springboard.runtime import World


def record_ready(world: World, task: Task, _event: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of this generation is there, or, after a teardown, nothing is."""
    return {**outcome.ready(world, task)}


handler = flow_handler("RecordReady", record_ready)
