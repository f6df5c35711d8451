"""One step of an operation: a component's run between reading the record and writing back what it learned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from springboard.components.contract import Failed, Ready, Waiting
from springboard.components.reconcile import plan, reconcile
from springboard.errors import FencedError, SpringboardError, StepFailedError, UnavailableError
from springboard.record import Condition, Step, transition

if TYPE_CHECKING:
    from datetime import datetime

    from springboard.components.contract import Change, Component, Outcome, Row, Verdict
    from springboard.record import Environment
    from springboard.runtime import World


@dataclass(frozen=True)
class Task:
    """What a state machine tells a handler: all else stands in the record."""

    environment: str  # uid
    operation: str
    generation: int
    now: datetime
    removal: bool = False
    again: bool = False  # look even though the step is done: others may have let go of something meanwhile
    once: bool = False  # the state has no loop of its own: waiting becomes UnavailableError, and Retry waits


def run(world: World, component: Component, row: Row, task: Task) -> dict[str, Any]:
    """Run the component once and write what came of it: {ready, retryAfter}, and what it waits for.

    FencedError when the operation no longer holds the lock, StepFailedError when waiting is of no use.
    """
    environment = fenced(world, task)
    before = environment.operation.steps.get(name(row, task)) if environment.operation else None
    if before is not None and before.ended_at is not None and not before.error and not task.again:
        return _answer(ready=True)  # done in this operation: a loop over several components asks again
    if before is not None and before.not_before is not None and task.now < before.not_before:
        # It was said when the next look comes; this is the retry of a handler that was killed after it had said so.
        return _answer(retry_after=ceil((before.not_before - task.now).total_seconds()))
    step = before or Step(name(row, task), task.now)
    if before is None or before.error:
        step = Step(step.name, step.started_at)
        world.store.start_step(task.environment, task.operation, step, anew=before is not None)
    try:
        outcome = reconcile(component, row, world, environment, task.now, removal=task.removal)
    except SpringboardError as err:
        _note(world, task, step, err)
        raise
    condition = condition_of(row, outcome, environment, task)
    ended = Step(
        step.name,
        step.started_at,
        None if isinstance(outcome.verdict, Waiting) else task.now,
        *((outcome.verdict.cause, outcome.verdict.remedy) if isinstance(outcome.verdict, Failed) else ("", "")),
        _not_before(outcome, task),
    )
    if (ended, condition, dict(outcome.learned)) != (
        before,
        environment.conditions.get(row.condition),
        environment.facts.get(row.name),
    ):
        world.store.write_step(
            task.environment,
            task.operation,
            step=ended,
            condition=condition,
            component=row.name,
            learned=outcome.learned,
        )
    match outcome.verdict:
        case Failed(cause, remedy):
            raise StepFailedError(f"{step.name}: {cause}", remedy)
        case Waiting(on, reason) if task.once:
            raise UnavailableError(f"{step.name} waits for {on}: {reason}")
        case _:
            on = outcome.verdict.on if isinstance(outcome.verdict, Waiting) else ""
            return _answer(ready=outcome.ready, retry_after=outcome.retry_after, waits_for=on)


def _answer(*, ready: bool = False, retry_after: int = 0, waits_for: str = "") -> dict[str, Any]:
    """What the state machine chooses and waits by."""
    return {"ready": ready, "retryAfter": retry_after, "waitsFor": waits_for}


def _not_before(outcome: Outcome, task: Task) -> datetime | None:
    strictly = isinstance(outcome.verdict, Waiting) and outcome.verdict.strictly
    return task.now + timedelta(seconds=outcome.retry_after) if strictly else None


def observe(
    world: World, component: Component, row: Row, environment: Environment, *, removal: bool = False
) -> dict[str, Any]:
    """What a run would change; nothing is written and no lock is needed."""
    planned = plan(component, world, environment, removal=removal)
    return {
        "component": row.name,
        "changes": [change_to_json(change) for change in planned.changes],
        "verdict": verdict_to_json(planned.verdict),
    }


def name(row: Row, task: Task) -> str:
    """EnsureCluster or RemoveCluster, as the state is called."""
    return row.step(removal=task.removal)


def fenced(world: World, task: Task) -> Environment:
    """The record, if the task's operation still holds its lock and its generation; else FencedError."""
    environment = world.store.by_uid(task.environment)
    if environment is None:
        raise FencedError(f"there is no record of {task.environment}")
    holder = environment.lock.operation if environment.lock else "nobody"
    if holder != task.operation or environment.generation != task.generation:
        raise FencedError(
            f"{environment.name} is at generation {environment.generation} under {holder},"
            f" not at {task.generation} under {task.operation}"
        )
    return environment


def condition_of(row: Row, outcome: Outcome, environment: Environment, task: Task) -> Condition:
    """The component's condition after this run; the transition time moves only when the status does."""
    status, reason, message = _stated(outcome.verdict, name(row, task), removal=task.removal)
    before = environment.conditions.get(row.condition)
    return Condition(
        type=row.condition,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=transition(before, status, task.now),
        observed_generation=environment.generation,
    )


def _stated(verdict: Verdict, step: str, *, removal: bool) -> tuple[str, str, str]:
    match verdict:
        case Ready() if removal:
            return "False", "Removed", ""
        case Ready(reason, message):
            return "True", reason, message
        case Waiting(on, reason):
            return "False", "Waiting", f"waits for {on}: {reason}"
        case Failed(cause, remedy, code):
            return "False", code, f"{step}: {cause}. Remedy: {remedy}"


def _note(world: World, task: Task, step: Step, err: SpringboardError) -> None:
    """Note the step's error without hiding it behind one of the record's own."""
    try:
        world.store.end_step(
            task.environment, task.operation, Step(step.name, step.started_at, task.now, err.message, err.remedy)
        )
    except SpringboardError as second:
        err.add_note(f"and the record could not be written: {second.message}")


def change_to_json(change: Change) -> dict[str, Any]:
    """A change as a plan shows it."""
    return {
        "action": change.action.value,
        "resource": change.resource,
        "reason": change.reason,
        "effect": change.effect.value,
    }


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a plan shows it."""
    match verdict:
        case Ready():
            return {"state": "Ready"}
        case Waiting(on, reason):
            return {"state": "Waiting", "on": on, "reason": reason}
        case Failed(cause, remedy, code):
            return {"state": "Failed", "cause": cause, "remedy": remedy, "code": code}
