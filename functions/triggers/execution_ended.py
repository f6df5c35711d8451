"""An execution ended, says Step Functions (best effort): free the lock that it may have left behind."""

from __future__ import annotations

import json
from typing import Any

from springboard.flow.settle import settle
from springboard.record import moment
from springboard.runtime import world


def handler(event: dict[str, Any], _context: object) -> dict[str, str]:
    """Settle the operation of an EventBridge `Step Functions Execution Status Change`."""
    task = json.loads(event["detail"]["input"])
    return {"settled": settle(world(), task["environment"], task["operation"], moment(event["time"]))}
