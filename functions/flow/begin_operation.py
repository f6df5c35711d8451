"""BeginOperation: the operation runs from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.flow import outcome
from springboard.runtime import flow_handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.flow.step import Task
    from springboard.runtime import World


def begin_operation(world: World, task: Task, _event: Mapping[str, Any]) -> dict[str, Any]:
    """The operation runs from now on."""
    return {**outcome.begin(world, task)}


handler = flow_handler("BeginOperation", begin_operation)
