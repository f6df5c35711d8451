"""Every five minutes: settle what neither a machine's end nor its status event has settled."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from springboard.errors import UnavailableError
from springboard.flow import settle
from springboard.record import moment
from springboard.runtime import trigger_handler

if TYPE_CHECKING:
    from springboard.runtime import World

# Younger locks may belong to a request that is about to start its execution.
GRACE = timedelta(minutes=2)


def sweep(world: World, event: dict[str, Any]) -> dict[str, Any]:
    """Sweep at the time that the schedule names, and count what was found: an alarm watches that number.

    UnavailableError, after all others were settled, names those that could not be: Lambda tries again, then it rings.
    """
    now = moment(event["time"])
    found = settle.sweep(world, now, GRACE)
    stuck = [uid for uid, done in found if done == settle.NOT_SETTLED]
    sys.stdout.write(json.dumps(stale_locks(len(found) - len(stuck), world.site.stack_name, now)) + "\n")
    if stuck:
        raise UnavailableError(f"not settled: {', '.join(stuck)}")
    return {"settled": found}


def stale_locks(count: int, stack: str, now: datetime) -> dict[str, Any]:
    """The metric Springboard/StaleLocks of a stack, in CloudWatch's embedded metric format."""
    metric = {
        "Namespace": "Springboard",
        "Dimensions": [["Stack"]],
        "Metrics": [{"Name": "StaleLocks", "Unit": "Count"}],
    }
    stamp = int(now.timestamp() * 1000)
    return {"_aws": {"Timestamp": stamp, "CloudWatchMetrics": [metric]}, "Stack": stack, "StaleLocks": count}


handler = trigger_handler("Sweep", sweep)
