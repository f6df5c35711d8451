"""What the world is told: one event per transition of the record.

The record's stream is the outbox: two images of STATUS become events here (pure), the stream's own event id
makes each unique, and whoever gets one twice can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE = "springboard"


def between(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events that lead from one image of STATUS to the next: {type, message, …}."""
    subject = {key: new[key] for key in ("name", "uid", "generation") if key in new}
    operation = new.get("operation") or {}
    if operation:
        subject["operation"] = operation.get("id")
    if old.get("phase") != new.get("phase"):
        yield {"type": "PhaseChanged", **subject, "from": old.get("phase"), "to": new.get("phase")}
    before = old.get("operation") or {}
    if operation and (before.get("id"), before.get("status")) != (operation.get("id"), operation.get("status")):
        yield {
            "type": f"Operation{operation.get('status')}",
            **subject,
            "kind": operation.get("kind"),
            **({"failure": operation["failure"]} if operation.get("failure") else {}),
        }
    conditions = old.get("conditions") or {}
    for name, condition in (new.get("conditions") or {}).items():
        was = conditions.get(name) or {}
        if (was.get("status"), was.get("reason")) != (condition["status"], condition["reason"]):
            yield {
                "type": "ConditionChanged",
                **subject,
                "condition": name,
                "status": condition["status"],
                "reason": condition["reason"],
                "message": condition.get("message", ""),
            }


def cloud_event(event_id: str, at: str, stack: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """The event in CloudEvents' shape; `at` as the stream says, RFC 3339."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": f"{SOURCE}/{stack}",
        "type": f"springboard.{event['type']}",
        "subject": event.get("name", ""),
        "time": at,
        "datacontenttype": "application/json",
        "data": dict(event),
    }
