"""A schedule asks whether an environment still is what it was made to be."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from springboard.flow import drift, work
from springboard.identifiers import ulid
from springboard.record import Operation, OperationKind, OperationStatus, moment
from springboard.runtime import trigger_handler
from springboard.store.codec import environment_to_json

if TYPE_CHECKING:
    from springboard.runtime import World

SECONDS = 45  # for all component functions together; the function itself has 60


def drift_check(world: World, event: dict[str, Any]) -> dict[str, Any]:
    """Report what differs; with `drift: Repair`, start an operation that mends what can be mended."""
    now = moment(event["time"])
    environment = world.store.by_uid(event["environment"])
    if environment is None or not drift.comparable(environment):
        return {"drift": "nothing to compare"}
    question = {"observe": True, "environment": environment.uid, "document": environment_to_json(environment)}
    answers = world.functions.ask(world.settings.functions, question, SECONDS)
    found = drift.found(answers)
    world.store.record_drift(environment, drift.condition(environment, found, now), found)
    changes = [change for change in found if "action" in change]
    if not changes or environment.spec.drift == "Report":
        return {"drift": len(changes)}
    operation = Operation(
        id=ulid(now, sha256(f"drift/{environment.uid}/{event['time']}".encode()).digest()),  # again: the same operation
        kind=OperationKind.REPAIR,
        status=OperationStatus.PENDING,
        generation=environment.generation,
        requested_at=now,
        requested_by="springboard: drift",
    )
    current = world.store.by_uid(environment.uid) or environment
    if current.generation != environment.generation:
        return {"drift": "changed meanwhile"}  # an operation of the former generation would be fenced, and Degraded
    world.store.request_operation(current, operation)
    work.start(world, current, operation)
    return {"drift": len(changes), "operation": operation.id}


handler = trigger_handler("DriftCheck", drift_check, lambda event: {"environment": event["environment"]})
