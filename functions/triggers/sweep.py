"""Every five minutes: settle what neither a machine's end nor its status event has settled."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from springboard.flow import settle
from springboard.record import moment
from springboard.runtime import Handler

if TYPE_CHECKING:
    from springboard.runtime import World

# Younger locks may belong to a request that is about to start its execution.
GRACE = timedelta(minutes=2)


def sweep(world: World, event: dict[str, Any]) -> dict[str, Any]:
    """Sweep at the time that the schedule names."""
    return {"settled": settle.sweep(world, moment(event["time"]), GRACE)}


handler = Handler(sweep)
