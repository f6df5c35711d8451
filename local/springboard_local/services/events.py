"""EventBridge: events put on a bus reach the targets of the rules that match, and rules run on schedules.

moto keeps buses, rules and their API; matching, rendering, permissions, retries and time are here.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.events import models
from moto.events.exceptions import ValidationException

from springboard_local.clock import iso
from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services import cron, patterns
from springboard_local.services.delivery import Carrier, Parcel
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from springboard_local.clock import Timer
    from springboard_local.cloud import Cloud

log = logging.getLogger(__name__)

_ENTRY_BYTES = 262_144
_mending = Mending()


class _Running:
    """What belongs to one cloud: deliveries, and the timers of scheduled rules."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.carrier = Carrier(cloud, "events")
        self.timers: dict[str, Timer] = {}
        self.lock = threading.Lock()

    def close(self) -> None:
        with self.lock:
            for timer in self.timers.values():
                timer.cancel()
            self.timers.clear()
        self.carrier.close()


_running: _Running | None = None


def install(cloud: Cloud) -> None:
    """Take events and schedules over from moto."""
    global _running  # noqa: PLW0603 - one cloud per process, as moto's backends are
    _running = _Running(cloud)
    _mending.undo()
    backend = models.EventsBackend
    _mending.replace(
        backend,
        put_events=_put_events,
        put_rule=_wrapped(_put_rule, backend.put_rule),
        delete_rule=_wrapped(_delete_rule, backend.delete_rule),
        enable_rule=_wrapped(_rearmed, backend.enable_rule),
        disable_rule=_wrapped(_rearmed, backend.disable_rule),
    )


def _wrapped(wrapper: Any, original: Any) -> Any:
    """`wrapper(original, self, …)` as a method."""

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return wrapper(original, self, *arguments, **named)

    return method


def reset(cloud: Cloud) -> None:
    """Forget schedules and deliveries."""
    global _running  # noqa: PLW0603 - see install
    if _running:
        _running.close()
    _running = _Running(cloud)


def close(_: Cloud) -> None:
    """End deliveries, and give moto its own methods back."""
    global _running  # noqa: PLW0603 - see install
    if _running:
        _running.close()
    _running = None
    _mending.undo()


def _now() -> _Running:
    if _running is None:
        raise RuntimeError("EventBridge has not been installed")
    return _running


def put_aws_event(
    source: str,
    detail_type: str,
    resources: Sequence[str],
    detail: Mapping[str, Any],
    *,
    region: str = REGION,
) -> str:
    """Put an event of an AWS service ("aws.states") on the default bus; its id."""
    running = _now()
    event = _event(source, detail_type, resources, detail, running.cloud.clock.now(), region)
    _route(models.events_backends[ACCOUNT][region].event_buses["default"], event)
    return str(event["id"])


def _event(
    source: str,
    detail_type: str,
    resources: Sequence[str],
    detail: Mapping[str, Any],
    time: datetime,
    region: str,
) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": iso(time),
        "region": region,
        "resources": list(resources),
        "detail": dict(detail),
    }


# PutEvents


def _put_events(self: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not 1 <= len(events) <= 10:
        message = (
            "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy constraint: "
            f"Member must have length {'less than or equal to 10' if events else 'greater than or equal to 1'}"
        )
        raise ValidationException(message)
    return [_put(self, entry) for entry in events]


def _put(backend: Any, entry: Mapping[str, Any]) -> dict[str, Any]:
    if problem := _problem(entry):
        code, message = problem
        return {"ErrorCode": code, "ErrorMessage": message}
    running = _now()
    name = str(entry.get("EventBusName") or "default").rsplit("/", 1)[-1]
    bus = backend.event_buses.get(name)
    event = _event(
        entry["Source"],
        entry["DetailType"],
        entry.get("Resources") or (),
        json.loads(entry["Detail"]),
        _moment(entry.get("Time")) or running.cloud.clock.now(),
        backend.region_name,
    )
    if bus is not None:  # AWS takes an event for a bus that isn't there, and drops it
        _route(bus, event)
    return {"EventId": event["id"]}


def _problem(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
    if str(entry["Source"]).startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        return "MalformedDetail", "Detail is malformed."
    if not isinstance(detail, dict):
        return "MalformedDetail", "Detail is malformed."
    if len(json.dumps({k: str(v) for k, v in entry.items()}).encode()) > _ENTRY_BYTES:
        return "InvalidArgument", "Total size of the entry is more than 262144 bytes."
    return None


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(str(value))


def _route(bus: Any, event: Mapping[str, Any]) -> None:
    for rule in list(bus.rules.values()):
        if rule.state.startswith("ENABLED") and _matched(rule, event):
            _send(rule, event)


def _matched(rule: Any, event: Mapping[str, Any]) -> bool:
    pattern = rule.event_pattern.get_pattern()
    # A rule with a schedule alone matches no event; moto would let it match all.
    return bool(pattern) and patterns.matches(pattern, event)


def _send(rule: Any, event: Mapping[str, Any]) -> None:
    running = _now()
    reserved = {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        "aws.events.event.json": dict(event),
    }
    for target in list(rule.targets):
        policy = target.get("RetryPolicy") or {}
        parcel = Parcel(
            "events.amazonaws.com",
            rule.arn,
            target if target.get("RoleArn") or not rule.role_arn else {**target, "RoleArn": rule.role_arn},
            patterns.payload(target, event, reserved),
            running.cloud.clock.now(),
            {"RULE_ARN": rule.arn},
        )
        running.carrier.send(
            parcel,
            attempts=policy.get("MaximumRetryAttempts", 185),
            age=policy.get("MaximumEventAgeInSeconds", 86_400),
        )


# scheduled rules


def _put_rule(original: Any, self: Any, name: str, *arguments: Any, **named: Any) -> Any:
    expression = named.get("scheduled_expression")
    if expression:
        try:
            parsed = cron.parse(expression)
        except cron.InvalidExpressionError:
            parsed = None
        singular = expression.startswith("rate(1 ") != expression.rstrip(")").endswith("s")
        if parsed is None or isinstance(parsed, cron.At) or (isinstance(parsed, cron.Rate) and not singular):
            raise ValidationException("Parameter ScheduleExpression is not valid.")
    rule = original(self, name, *arguments, **named)
    _arm(rule)
    return rule


def _delete_rule(original: Any, self: Any, name: str, *arguments: Any, **named: Any) -> Any:
    bus = named.get("event_bus_arn") or (arguments[0] if arguments else None)
    rule = _found(self, name, bus)
    result = original(self, name, *arguments, **named)
    if rule is not None:
        _disarm(rule.arn)
    return result


def _rearmed(original: Any, self: Any, name: str, *arguments: Any, **named: Any) -> Any:
    result = original(self, name, *arguments, **named)
    rule = _found(self, name, named.get("event_bus_arn") or (arguments[0] if arguments else None))
    if rule is not None:
        _arm(rule)
    return result


def _found(backend: Any, name: str, bus: str | None) -> Any:
    held = backend.event_buses.get(str(bus or "default").rsplit("/", 1)[-1])
    return held.rules.get(name) if held else None


def _disarm(arn: str) -> None:
    running = _now()
    with running.lock:
        timer = running.timers.pop(arn, None)
    if timer:
        timer.cancel()


def _arm(rule: Any, base: datetime | None = None) -> None:
    """Set the timer for the rule's next moment; `base` is what a rate counts from."""
    _disarm(rule.arn)
    if not rule.scheduled_expression or not rule.state.startswith("ENABLED"):
        return
    running = _now()
    now = running.cloud.clock.now()
    due = cron.next_fire(rule.scheduled_expression, now, "UTC", base or now)
    if due is None:
        return
    with running.lock:
        seconds = (due - now).total_seconds()
        running.timers[rule.arn] = running.cloud.clock.call_later(seconds, partial(_fire, rule, due))


def _fire(rule: Any, due: datetime) -> None:
    region = rule.region_name
    _send(rule, _event("aws.events", "Scheduled Event", [rule.arn], {}, due, region))
    _arm(rule, due)
