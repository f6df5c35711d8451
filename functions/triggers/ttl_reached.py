"""An environment's ttlHours are over: delete it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from springboard.flow import work
from springboard.identifiers import ulid
from springboard.record import Operation, OperationKind, OperationStatus, moment
from springboard.runtime import trigger_handler

if TYPE_CHECKING:
    from springboard.runtime import World


def ttl_reached(world: World, event: dict[str, Any]) -> dict[str, Any]:
    """Delete the environment that the schedule names, if its time is really over."""
    now = moment(event["time"])
    environment = world.store.by_uid(event["environment"])
    if environment is None or environment.deleted_at is not None:
        return {"deletion": "gone already"}
    if environment.expires_at is None or now < environment.expires_at:
        return {"deletion": "not due"}
    operation = Operation(
        id=ulid(now, sha256(f"ttl/{environment.uid}/{event['time']}".encode()).digest()),  # again: the same operation
        kind=OperationKind.DELETE,
        status=OperationStatus.PENDING,
        generation=environment.generation,
        requested_at=now,
        requested_by="springboard: ttlHours are over",
    )
    after = work.remove(world, environment, operation)
    return {"deletion": after.operation.id if after.operation else ""}


handler = trigger_handler("TtlReached", ttl_reached, lambda event: {"environment": event["environment"]})
