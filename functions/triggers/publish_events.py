"""The record's stream: changes of STATUS become events on the bus, on the topic and in the history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from springboard import events
from springboard.errors import SpringboardError
from springboard.record import text
from springboard.runtime import trigger_handler

if TYPE_CHECKING:
    from springboard.runtime import World


def publish_events(world: World, batch: dict[str, Any]) -> dict[str, Any]:
    """Publish in order; the first record that fails is given again, with all that follow it.

    A batch of which nothing could be published ends in error: Lambda counts that, and an alarm watches the number.
    """
    for position, record in enumerate(batch["Records"]):
        try:
            publish(world, record)
        except SpringboardError:
            if position == 0:
                raise
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def publish(world: World, record: dict[str, Any]) -> None:
    """Publish the events of one stream record; the same record again gives the same ids."""
    change = record["dynamodb"]
    store = world.store
    old, new = (store.from_stream(change.get(image, {})) for image in ("OldImage", "NewImage"))
    if not new:
        return
    at = datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC)
    for number, event in enumerate(events.between(old, new)):
        event_id = f"{change['SequenceNumber']:>030}-{number:02}"
        published = events.cloud_event(event_id, text(at), world.site.stack_name, event)
        store.save_event(new["uid"], event_id, published, at)
        world.bus.publish(published)


def about(batch: dict[str, Any]) -> dict[str, str]:
    """The environment of the first record, at which a batch ends in error."""
    key = batch["Records"][0]["dynamodb"]["Keys"]["pk"]["S"]
    return {"environment": key.removeprefix("ENV#")}


handler = trigger_handler("PublishEvents", publish_events, about)
