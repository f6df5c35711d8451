"""How an operation begins and ends in the record: phases and the conditions for the whole environment."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from springboard.components.table import ROWS
from springboard.errors import AccessDeniedError, remedy_of_denial
from springboard.flow.step import fenced
from springboard.record import Condition, Failure, OperationKind, Phase, transition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from springboard.flow.step import Task
    from springboard.record import Environment
    from springboard.runtime import World

PHASES: Mapping[OperationKind, Phase] = {
    OperationKind.CREATE: Phase.PROVISIONING,
    OperationKind.RETRY: Phase.PROVISIONING,
    OperationKind.UPDATE: Phase.UPDATING,
    OperationKind.REPAIR: Phase.UPDATING,
    OperationKind.DELETE: Phase.DELETING,
    OperationKind.UPGRADE: Phase.UPGRADING,
}

IN_FLIGHT = 60  # seconds; the longest time-out of a function that makes or changes anything
# Seconds after which EC2's reads know of what was done. "… increasing gradually up to five minutes of wait time":
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html, read 2026-11-26.
KNOWN_AFTER = 300

SETTLING = "Settling"  # the reason of Progressing while a deletion waits for these

# How a handler's error begins: with the name of its state.
_NAMED = re.compile(r"(?P<step>[A-Z][A-Za-z]+): (?P<said>.*)", re.DOTALL)
# What `springboard retry` can be asked for whatever failed.
_RETRY = "`springboard retry` goes on from what exists; `springboard delete` removes all of it"


def begin(world: World, task: Task) -> dict[str, Any]:
    """The operation runs from now on; FencedError if it no longer holds the lock.

    `settle` is what a deletion lets pass before its first look, in seconds.
    """
    environment = fenced(world, task)
    kind = environment.operation.kind if environment.operation else OperationKind.CREATE
    settle = settling(environment, task.now)
    conditions = beginning(environment, kind, task.now, settle)
    world.store.begin(task.environment, task.operation, PHASES[kind], conditions, task.now)
    return {"phase": PHASES[kind].value, "kind": kind.value, "settle": settle}


def settling(environment: Environment, now: datetime) -> int:
    """Seconds until what an earlier operation has made is known to every read of AWS.

    A handler of an operation that was stopped may still be at work, and what it makes in the end is unknown for some
    minutes more: a deletion that looked before would leave it behind. Where the last operation came to its end, all
    has been seen; and a deletion, of which this is the retry, made nothing. Killed after it has begun, a deletion takes
    itself for what it stopped: then it waits longer than it would have to.
    """
    progressing = environment.conditions.get("Progressing")
    retry = environment.operation is not None and environment.operation.attempt > 1
    if progressing is None or environment.holds("Ready") or retry:
        return IN_FLIGHT
    stopped_at = now if progressing.true else progressing.last_transition_time
    return max(IN_FLIGHT, IN_FLIGHT + KNOWN_AFTER - int((now - stopped_at).total_seconds()))


def beginning(environment: Environment, kind: OperationKind, now: datetime, settle: int) -> dict[str, Condition]:
    """Progressing is true, and says where a deletion has to wait for minutes; Ready is false from the start."""
    serving = environment.conditions.get("Available")
    deleting = kind is OperationKind.DELETE
    reason, message = kind.value, f"operation {environment.operation.id if environment.operation else ''}"
    if deleting and settle > IN_FLIGHT:
        reason = SETTLING
        message = f"its first step comes in {settle} s: AWS may not show before what was being made a moment ago"
    conditions = [("Ready", "False", kind.value, ""), ("Progressing", "True", reason, message)]
    if serving is None or deleting:
        conditions.append(("Available", "False", kind.value, ""))
    return {
        name: _stated(environment, name, status, reason, message, now=now)
        for name, status, reason, message in conditions
    }


def ready(world: World, task: Task) -> dict[str, str]:
    """Everything of this generation is there; after a teardown, nothing is."""
    environment = fenced(world, task)
    if environment.under(OperationKind.DELETE):
        if environment.phase is not Phase.DELETED:  # else a retry of what was killed after that: the name is free
            world.store.record_deleted(environment, task.now)
        return {"phase": Phase.DELETED.value}
    wrong = [row.condition for row in ROWS if not _holds(environment, row.condition)]
    if wrong:
        raise AssertionError(f"recorded as ready while {', '.join(wrong)} do not hold")
    conditions = {
        name: _stated(environment, name, status, "AsDeclared", "", now=task.now)
        for name, status in (("Ready", "True"), ("Available", "True"), ("Progressing", "False"))
    }
    world.store.record_ready(environment, conditions)
    return {"phase": Phase.READY.value}


def failed(world: World, task: Task, error: str, cause: str) -> dict[str, str]:
    """The operation failed: which step, why, and what to do next. What exists is kept."""
    environment = fenced(world, task)
    failure = failure_of(environment, error, cause)
    phase = stopped(world, environment, failure, None, task.now)
    return {"phase": phase.value, "step": failure.step}


def stopped(world: World, environment: Environment, failure: Failure, phase: Phase | None, now: datetime) -> Phase:
    """Write a failure into phase and conditions; an environment that still serves is Degraded, not Failed."""
    message = f"{failure.step}: {failure.cause}. Remedy: {failure.remedy}"
    serves = environment.holds("Available")
    deleting = environment.under(OperationKind.DELETE)
    phase = phase or (Phase.DEGRADED if serves and not deleting else Phase.FAILED)
    conditions = {
        "Ready": _stated(environment, "Ready", "False", "OperationFailed", message, now=now),
        "Progressing": _stated(environment, "Progressing", "False", "OperationFailed", message, now=now),
    }
    world.store.record_failure(environment, failure, phase, conditions)
    return phase


def failure_of(environment: Environment, error: str, cause: str) -> Failure:
    """The step that failed, from the steps' own notes; a killed handler is a step that began and never ended.

    A step that could not note its error, the record itself being out of its reach, is named by the error's text.
    """
    noted = noted_failure(environment)
    if noted is not None:
        return noted
    told = _told(cause)
    remedy = (remedy_of_denial(told) if error == AccessDeniedError.__name__ else "") or _RETRY
    named = _NAMED.match(told)
    if named:
        return Failure(named["step"], _short(f"{error}: {named['said']}"), remedy)
    return Failure(reached(environment), _short(f"{error}: {told}".strip(": ")), remedy)


def reached(environment: Environment) -> str:
    """How far the latest operation came, where nothing else tells: its step that began last and has not ended.

    Branches have open steps side by side, most of them waiting, and the record's map of steps keeps no order: the time
    decides, and between two of the same instant the name. "BeginOperation" before any, "Operation" between two.
    """
    steps = list(environment.operation.steps.values()) if environment.operation else []
    open_ = [step for step in steps if step.ended_at is None]
    if open_:
        return max(open_, key=lambda step: (step.started_at, step.name)).name
    return "Operation" if steps else "BeginOperation"


def noted_failure(environment: Environment) -> Failure | None:
    """The last error that a step of the latest operation has noted; None where none has."""
    steps = list(environment.operation.steps.values()) if environment.operation else []
    noted = [step for step in steps if step.error]
    if not noted:
        return None
    last = max(noted, key=lambda step: step.ended_at or step.started_at)
    return Failure(last.name, last.error, last.remedy or _RETRY)


def _told(cause: str) -> str:
    """The message of an error as Lambda gives it to Step Functions: JSON with a stack trace that nobody needs here."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, TypeError, KeyError):
        return cause


def _short(cause: str) -> str:
    return cause if len(cause) <= 500 else f"{cause[:497]}..."


def _holds(environment: Environment, name: str) -> bool:
    condition = environment.conditions.get(name)
    return condition is not None and condition.true and condition.observed_generation == environment.generation


def _stated(environment: Environment, name: str, status: str, reason: str, message: str, *, now: datetime) -> Condition:
    before = environment.conditions.get(name)
    return Condition(
        type=name,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=transition(before, status, now),
        observed_generation=environment.generation,
    )
