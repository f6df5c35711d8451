"""What happens to the environment by itself: its end by TTL, and the look for drift.

Schedules carry no tags: they are ours by their exact names, in the stack's own group. They come first of all
components, so that an environment with a TTL ends even if everything after them fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import Absent, Action, Change, Observation, Ready, Verdict, Waiting
from springboard.record import OperationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_DRIFT_EVERY = "rate(6 hours)"
_DRIFT_MINUTES = 60  # of flexibility, so that environments made together are not looked at together
_RETRIES = 8
_MAX_AGE = 3600  # seconds


@dataclass(frozen=True)
class Schedule:
    """One schedule, by what we set of it."""

    name: str
    expression: str
    function_arn: str
    role_arn: str
    dlq_arn: str
    state: str  # what the target is given
    flexible_minutes: int = 0
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Desired:
    """The environment's schedules, and the group they stand in."""

    group: str
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True)
class Observed(Observation):
    """The schedules that exist, by name."""

    group: str
    schedules: Mapping[str, Schedule]


@dataclass(frozen=True, kw_only=True)
class PutSchedule(Change):
    """CreateSchedule or UpdateSchedule."""

    group: str
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class DeleteSchedule(Change):
    """DeleteSchedule."""

    group: str
    name: str


def desired(environment: Environment, site: Site) -> Desired:
    """A look for drift always; the end only where the spec sets one."""
    names = _names(environment, site)
    state = json.dumps({"environment": environment.uid, "time": "<aws.scheduler.scheduled-time>"})
    drift = Schedule(
        names["drift"],
        _DRIFT_EVERY,
        site.drift_function_arn,
        site.schedule_role_arn,
        site.schedule_dlq_arn,
        state,
        _DRIFT_MINUTES,
    )
    if environment.expires_at is None:
        return Desired(site.schedule_group, (drift,))
    end = Schedule(
        names["ttl"],
        f"at({environment.expires_at:%Y-%m-%dT%H:%M:%S})",
        site.ttl_function_arn,
        site.schedule_role_arn,
        site.schedule_dlq_arn,
        state,
    )
    return Desired(site.schedule_group, (end, drift))


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """Every schedule put that differs, every other one deleted."""
    return tuple(_changes(() if isinstance(desired, Absent) else desired.schedules, observed))


def _changes(wanted: tuple[Schedule, ...], observed: Observed) -> Iterator[Change]:
    for schedule in wanted:
        found = observed.schedules.get(schedule.name)
        if found is None:
            yield PutSchedule(
                Action.CREATE,
                f"schedule {schedule.name}",
                "it does not exist",
                group=observed.group,
                schedule=schedule,
            )
        elif found != schedule:
            yield PutSchedule(
                Action.UPDATE,
                f"schedule {schedule.name}",
                f"it should be {schedule.expression}"
                if found.expression != schedule.expression
                else "its target, window or time zone differs",
                group=observed.group,
                schedule=schedule,
            )
    for name in sorted(set(observed.schedules) - {schedule.name for schedule in wanted}):
        yield DeleteSchedule(Action.DELETE, f"schedule {name}", "nothing asks for it", group=observed.group, name=name)


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when there is nothing to change."""
    left = changes(desired, observed)
    return Waiting("schedules", f"{left[0].resource}: {left[0].reason}") if left else Ready()


def observe(world: World, environment: Environment) -> Observed:
    """One call per schedule that is asked for or known; in an operation after the first, per possible one.

    One that a killed step of an earlier operation made stands in no record, and its spec may be history.
    """
    group = world.site.schedule_group
    names = {schedule.name for schedule in desired(environment, world.site).schedules}
    names |= set(environment.facts.get("schedules", {}).get("schedules", {}))
    later = environment.lock is not None and not environment.under(OperationKind.CREATE)
    if later or environment.under(OperationKind.DELETE):
        names |= set(_names(environment, world.site).values())
    found = (_found(world.scheduler.schedule(group, name)) for name in sorted(names))
    return Observed(group, {schedule.name: schedule for schedule in found if schedule is not None})


def apply(world: World, environment: Environment, change: Change) -> None:  # noqa: ARG001 - the components' signature
    """Put or delete one schedule."""
    match change:
        case PutSchedule():
            world.scheduler.put(change.group, change.schedule.name, **_request(change.schedule))
        case DeleteSchedule():
            world.scheduler.delete(change.group, change.name)
        case _:
            raise TypeError(f"not a change of schedules: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """What runs by itself."""
    return {"schedules": {schedule.name: schedule.expression for schedule in observed.schedules.values()}}


def _names(environment: Environment, site: Site) -> dict[str, str]:
    return {
        "ttl": naming.ttl_schedule(site.prefix, environment.name, environment.uid),
        "drift": naming.drift_schedule(site.prefix, environment.name, environment.uid),
    }


def _request(schedule: Schedule) -> dict[str, Any]:
    window: dict[str, Any] = {"Mode": "OFF"}
    if schedule.flexible_minutes:
        window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": schedule.flexible_minutes}
    return {
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.time_zone,
        "FlexibleTimeWindow": window,
        "State": "ENABLED",
        "Target": {
            "Arn": schedule.function_arn,
            "RoleArn": schedule.role_arn,
            "Input": schedule.state,
            "DeadLetterConfig": {"Arn": schedule.dlq_arn},
            "RetryPolicy": {"MaximumRetryAttempts": _RETRIES, "MaximumEventAgeInSeconds": _MAX_AGE},
        },
    }


def _found(answer: Mapping[str, Any] | None) -> Schedule | None:
    if answer is None:
        return None
    target = answer["Target"]
    enabled = answer.get("State", "ENABLED") == "ENABLED"
    return Schedule(
        name=answer["Name"],
        expression=answer["ScheduleExpression"] if enabled else "disabled",
        function_arn=target["Arn"],
        role_arn=target["RoleArn"],
        dlq_arn=target.get("DeadLetterConfig", {}).get("Arn", ""),
        state=target.get("Input", ""),
        flexible_minutes=answer.get("FlexibleTimeWindow", {}).get("MaximumWindowInMinutes", 0),
        time_zone=answer.get("ScheduleExpressionTimezone", "UTC"),
    )
