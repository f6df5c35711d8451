"""An execution ended, says Step Functions (best effort): free the lock that it may have left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from springboard.flow.settle import settle
from springboard.record import moment
from springboard.runtime import trigger_handler

if TYPE_CHECKING:
    from springboard.runtime import World


def execution_ended(world: World, event: dict[str, Any]) -> dict[str, Any]:
    """Settle the operation of an EventBridge `Step Functions Execution Status Change`."""
    task = json.loads(event["detail"]["input"])
    return {"settled": settle(world, task["environment"], task["operation"], moment(event["time"]))}


def about(event: dict[str, Any]) -> dict[str, str]:
    """Whose execution it was."""
    task = json.loads(event["detail"]["input"])
    return {"environment": task["environment"], "operation": task["operation"]}


handler = trigger_handler("ExecutionEnded", execution_ended, about)
