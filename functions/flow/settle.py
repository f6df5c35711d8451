"""Settle: the lock is freed, or handed to the operation that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.flow.settle import settle
from springboard.runtime import flow_handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.flow.step import Task
    from springboard.runtime import World


def settle_operation(world: World, task: Task, _event: Mapping[str, Any]) -> dict[str, Any]:
    """The lock is freed, or handed to the operation that waits."""
    return {"settled": settle(world, task.environment, task.operation, task.now, ended=True)}


handler = flow_handler("Settle", settle_operation)
