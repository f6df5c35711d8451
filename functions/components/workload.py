"""EnsureWorkload and RemoveWorkload of the state machines, what a plan asks, and what pods say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.components import workload
from springboard.errors import NotFoundError
from springboard.runtime import Handler, component_handler

if TYPE_CHECKING:
    from springboard.runtime import World

_step = component_handler(workload)


def step_or_diagnosis(world: World, event: dict[str, Any]) -> dict[str, Any]:
    """A step, or {diagnose: true}: reports of the pods as they are now, for the reader and never for the record."""
    if not event.get("diagnose"):
        return _step.run(world, event)
    environment = world.store.by_uid(event["environment"])
    if environment is None:
        raise NotFoundError(f"there is no record of {event['environment']}")
    return {"reports": workload.diagnose(world, environment)}


handler = Handler(step_or_diagnosis)
