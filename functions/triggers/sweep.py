"""Every five minutes: settle what neither a machine's end nor its status event has settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from springboard.flow.settle import sweep
from springboard.record import moment
from springboard.runtime import world

# Younger locks may belong to a request that is about to start its execution.
GRACE = timedelta(minutes=2)


def handler(event: dict[str, Any], _context: object) -> dict[str, list[tuple[str, str]]]:
    """Sweep at the time that the schedule names."""
    return {"settled": sweep(world(), moment(event["time"]), GRACE)}
