"""EventBridge Scheduler: schedules fire on the cloud's clock, with the permissions of their roles.

moto keeps schedules, groups and tags. Expressions, time zones, windows, targets and validation are here.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.scheduler import models
from moto.scheduler.exceptions import ScheduleGroupNotFound, ValidationException

from springboard_local.clock import iso
from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.pipeline import ApiError, operation
from springboard_local.services import cron, iam
from springboard_local.services.delivery import Carrier, Parcel
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard_local.clock import Timer
    from springboard_local.cloud import Cloud
    from springboard_local.pipeline import Call

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
_mending = Mending()


class _Running:
    """What belongs to one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.carrier = Carrier(cloud, "scheduler")
        self.timers: dict[str, Timer] = {}
        self.bases: dict[str, datetime] = {}  # what the rate of a schedule counts from, by ARN
        self.lock = threading.Lock()

    def close(self) -> None:
        with self.lock:
            for timer in self.timers.values():
                timer.cancel()
            self.timers.clear()
        self.carrier.close()


_running: _Running | None = None


def install(cloud: Cloud) -> None:
    """Let moto's schedules fire."""
    global _running  # noqa: PLW0603 - one cloud per process, as moto's backends are
    _running = _Running(cloud)
    _mending.undo()
    backend = models.EventBridgeSchedulerBackend
    _mending.replace(
        backend,
        create_schedule=_creating(backend.create_schedule),
        delete_schedule=_deleting(backend.delete_schedule),
        delete_schedule_group=_deleting_group(backend.delete_schedule_group),
    )


def reset(cloud: Cloud) -> None:
    """Forget what was to fire."""
    global _running  # noqa: PLW0603 - see install
    if _running:
        _running.close()
    _running = _Running(cloud)


def close(_: Cloud) -> None:
    """Let nothing fire any more, and give moto its own methods back."""
    global _running  # noqa: PLW0603 - see install
    if _running:
        _running.close()
    _running = None
    _mending.undo()


def _now() -> _Running:
    if _running is None:
        raise RuntimeError("EventBridge Scheduler has not been installed")
    return _running


def fire(name: str, group: str | None = None, *, region: str = REGION) -> None:
    """Let a schedule's target run at once, whatever its expression says.

    Without `group` it is looked for in all of them. KeyError if there is no such schedule.
    """
    groups = models.scheduler_backends[ACCOUNT][region].schedule_groups
    found = [each.schedules[name] for key, each in groups.items() if group in {None, key} and name in each.schedules]
    if not found:
        raise KeyError(name)
    _send(found[0], _now().cloud.clock.now())


# moto's operations


def _creating(original: Any) -> Any:
    def create_schedule(self: Any, **named: Any) -> Any:
        group = named.get("group_name") or "default"
        if group not in self.schedule_groups:
            raise ScheduleGroupNotFound(group)
        if not _NAME.fullmatch(str(named.get("name") or "")):
            raise ValidationException(_constraint("name", named.get("name"), _NAME.pattern))
        _validate(named)
        schedule = original(self, **{**named, "start_date": None})
        schedule.start_date = named.get("start_date")
        schedule.creation_date = schedule.last_modified_date = _now().cloud.clock.now().timestamp()
        schedule.action_after_completion = named.get("action_after_completion") or "NONE"
        _arm(schedule, first=True)
        return schedule

    return create_schedule


def _deleting(original: Any) -> Any:
    def delete_schedule(self: Any, group_name: str | None, name: str) -> None:
        schedule = self.get_schedule(group_name, name)
        original(self, group_name, name)
        _disarm(schedule.arn)

    return delete_schedule


def _deleting_group(original: Any) -> Any:
    def delete_schedule_group(self: Any, name: str | None) -> None:
        if not name or name == "default":
            raise ValidationException("The default schedule group cannot be deleted.")
        group = self.get_schedule_group(name)
        for schedule in list(group.schedules.values()):
            _disarm(schedule.arn)
        original(self, name)

    return delete_schedule_group


@operation("scheduler", "UpdateSchedule")
def update_schedule(call: Call) -> Mapping[str, Any]:
    """Replace a schedule; what the request leaves out goes back to its default, as on AWS."""
    given = call.parameters
    groups = models.scheduler_backends[ACCOUNT][call.region].schedule_groups
    name, group = given["Name"], given.get("GroupName") or "default"
    if group not in groups:
        raise ApiError("ResourceNotFoundException", f"Schedule group {group} does not exist.", 404)
    schedule = groups[group].schedules.get(name)
    if schedule is None:
        raise ApiError("ResourceNotFoundException", f"Schedule {name} does not exist.", 404)
    named: dict[str, Any] = {
        "schedule_expression": given.get("ScheduleExpression"),
        "schedule_expression_timezone": given.get("ScheduleExpressionTimezone"),
        "flexible_time_window": given.get("FlexibleTimeWindow"),
        "target": given.get("Target"),
        "state": given.get("State"),
        "start_date": _seconds(given.get("StartDate")),
        "end_date": _seconds(given.get("EndDate")),
    }
    try:
        _validate(named)
    except ValidationException as error:
        raise ApiError("ValidationException", error.message) from error
    schedule.schedule_expression = named["schedule_expression"]
    schedule.schedule_expression_timezone = named["schedule_expression_timezone"] or "UTC"
    schedule.flexible_time_window = named["flexible_time_window"]
    schedule.target = models.Schedule.validate_target(dict(named["target"]))
    schedule.state = named["state"] or "ENABLED"
    schedule.start_date, schedule.end_date = named["start_date"], named["end_date"]
    schedule.description = given.get("Description")
    schedule.kms_key_arn = given.get("KmsKeyArn")
    schedule.action_after_completion = given.get("ActionAfterCompletion") or "NONE"
    schedule.last_modified_date = _now().cloud.clock.now().timestamp()
    _arm(schedule, first=True)
    return {"ScheduleArn": schedule.arn}


# validation


def _constraint(member: str, value: Any, pattern: str) -> str:
    return (
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: ^{pattern}$"
    )


def _validate(named: Mapping[str, Any]) -> None:
    try:
        cron.parse(str(named.get("schedule_expression") or ""))
        cron.zone(named.get("schedule_expression_timezone"))
    except cron.InvalidExpressionError as error:
        raise ValidationException(str(error)) from error
    _validate_window(named.get("flexible_time_window") or {})
    start, end = _moment(named.get("start_date")), _moment(named.get("end_date"))
    if start and end and end <= start:
        raise ValidationException("The EndDate you specify must come after the StartDate.")
    if end and end < _now().cloud.clock.now():
        raise ValidationException("The EndDate you specify cannot be in the past.")
    if named.get("state") not in {None, "ENABLED", "DISABLED"}:
        raise ValidationException(_constraint("state", named.get("state"), "ENABLED|DISABLED"))
    _validate_target(named.get("target") or {})


def _validate_window(window: Mapping[str, Any]) -> None:
    minutes = window.get("MaximumWindowInMinutes")
    match window.get("Mode"):
        case "OFF":
            if minutes is not None:
                raise ValidationException(
                    "MaximumWindowInMinutes must not be set when the flexible time window is OFF."
                )
        case "FLEXIBLE":
            if minutes is None or not 1 <= int(minutes) <= 1_440:
                raise ValidationException("MaximumWindowInMinutes must be between 1 and 1440.")
        case mode:
            raise ValidationException(_constraint("flexibleTimeWindow.mode", mode, "OFF|FLEXIBLE"))


def _validate_target(target: Mapping[str, Any]) -> None:
    arn, role = str(target.get("Arn") or ""), str(target.get("RoleArn") or "")
    if not re.fullmatch(r"arn:aws[a-z-]*:[\w-]+:[\w-]*:\d*:.+", arn):
        raise ValidationException(f"Invalid target Arn {arn}.")
    if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", role):
        raise ValidationException(_constraint("target.roleArn", role, "arn:aws:iam::\\d{12}:role/.+"))
    found = iam.role_named(role)
    if found is None or iam.trust_problem(role, "scheduler.amazonaws.com", _any_schedule()):
        message = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        raise ValidationException(message)
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue and not str(queue).startswith("arn:aws:sqs:"):
        raise ValidationException("The dead-letter queue must be an Amazon SQS queue.")
    if (given := target.get("Input")) is not None and not arn.startswith(("arn:aws:sqs:", "arn:aws:sns:")):
        try:
            json.loads(re.sub(r"<aws\.scheduler\.[\w-]+>", "0", given))
        except ValueError:
            raise ValidationException("Invalid Input: it is not valid JSON.") from None


def _any_schedule() -> str:
    return f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/*/*"


def _moment(value: Any) -> datetime | None:
    if value in (None, ""):
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float) or re.fullmatch(r"\d+(\.\d+)?", str(value)):
        return datetime.fromtimestamp(float(value), UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(value: Any) -> float | None:
    moment = _moment(value)
    return moment.timestamp() if moment else None


# time


def _disarm(arn: str) -> None:
    running = _now()
    with running.lock:
        timer = running.timers.pop(arn, None)
    if timer:
        timer.cancel()


def _due(schedule: Any, now: datetime, *, first: bool) -> datetime | None:
    """The schedule's next moment. A rate begins at once or at its start; a missed `at` is caught up."""
    parsed = cron.parse(schedule.schedule_expression)
    start = _moment(schedule.start_date)
    match parsed:
        case cron.Rate():
            base = start or _now().bases.setdefault(schedule.arn, now)
            after = now - timedelta(microseconds=1) if first else now
            due = cron.next_fire(schedule.schedule_expression, after, "UTC", base)
        case cron.At():
            zone = schedule.schedule_expression_timezone
            due = cron.next_fire(schedule.schedule_expression, now - timedelta(days=36_500), zone)
            due = (max(due, now) if first else None) if due else None
        case _:
            zone = schedule.schedule_expression_timezone
            due = cron.next_fire(schedule.schedule_expression, now, zone, start)
    end = _moment(schedule.end_date)
    return None if due and end and due > end else due


def _arm(schedule: Any, *, first: bool = False) -> None:
    _disarm(schedule.arn)
    if schedule.state != "ENABLED":
        return
    running = _now()
    now = running.cloud.clock.now()
    if first:
        running.bases.pop(schedule.arn, None)
    due = _due(schedule, now, first=first)
    if due is None:
        if not first:
            _completed(schedule)
        return
    seconds = max(0.0, (due - now).total_seconds())
    with running.lock:
        running.timers[schedule.arn] = running.cloud.clock.call_later(seconds, partial(_fire, schedule, due))


def _fire(schedule: Any, due: datetime) -> None:
    running = _now()
    window = schedule.flexible_time_window
    if window.get("Mode") == "FLEXIBLE":
        # One seed gives one run: the delay depends on nothing but schedule and moment.
        chance = random.Random(f"{running.cloud.settings.seed} {schedule.arn} {due.isoformat()}")  # noqa: S311
        running.cloud.clock.call_later(
            chance.uniform(0, 60.0 * int(window["MaximumWindowInMinutes"])), partial(_send_if_there, schedule, due)
        )
    else:
        _send(schedule, due)
    _arm(schedule)


def _send_if_there(schedule: Any, due: datetime) -> None:
    if _running is not None and schedule.state == "ENABLED":
        _send(schedule, due)


def _completed(schedule: Any) -> None:
    """The last moment is over."""
    if schedule.action_after_completion != "DELETE":
        return
    group = models.scheduler_backends[ACCOUNT][schedule.arn.split(":")[3]].schedule_groups.get(schedule.group_name)
    if group and group.schedules.get(schedule.name) is schedule:
        del group.schedules[schedule.name]


def _send(schedule: Any, due: datetime) -> None:
    running = _now()
    target = schedule.target
    policy = target.get("RetryPolicy") or {}
    running.carrier.send(
        Parcel(
            "scheduler.amazonaws.com",
            schedule.arn,
            target,
            _payload(schedule, due),
            running.cloud.clock.now(),
            {"SCHEDULE_ARN": schedule.arn, "SCHEDULED_TIME": iso(due)},
        ),
        attempts=policy.get("MaximumRetryAttempts", 185),
        age=policy.get("MaximumEventAgeInSeconds", 86_400),
    )


def _payload(schedule: Any, due: datetime) -> str:
    attributes = {
        "schedule-arn": schedule.arn,
        "scheduled-time": iso(due),
        "execution-id": str(uuid.uuid4()),
        "attempt-number": "1",
    }
    given = schedule.target.get("Input")
    if given is None:
        region = schedule.arn.split(":")[3]
        event = {
            "version": "0",
            "id": attributes["execution-id"],
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": iso(due),
            "region": region,
            "resources": [schedule.arn],
            "detail": "{}",
        }
        return json.dumps(event)
    for name, value in attributes.items():
        given = given.replace(f"<aws.scheduler.{name}>", value)
    return str(given)
