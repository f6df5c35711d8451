"""How a lock is freed: one idempotent `settle`, called by whoever learns first that an operation has ended.

The machine calls it as its last step, the execution's status event after an abort or a time-out, and the
sweep for what both have missed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from springboard import log
from springboard.flow.outcome import noted_failure, reached, stopped
from springboard.record import Failure, Operation, OperationKind, OperationStatus

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from springboard.record import Environment
    from springboard.runtime import World

logger = log.logger("springboard")

NOT_SETTLED = "not-settled"
_ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})


def start(world: World, environment: Environment, operation: Operation) -> str:
    """Start the operation's execution (again: the same execution) and return its ARN."""
    return world.states.start(
        _machine(world, operation),
        operation.id,
        {"environment": environment.uid, "operation": operation.id, "generation": operation.generation},
    )


def execution_arn(world: World, operation: Operation) -> str:
    """The ARN that the operation's execution has, started or not."""
    return f"{_machine(world, operation).replace(':stateMachine:', ':execution:')}:{operation.id}"


def _machine(world: World, operation: Operation) -> str:
    settings = world.settings
    return settings.teardown_arn if operation.kind is OperationKind.DELETE else settings.provision_arn


def settle(world: World, uid: str, operation_id: str, now: datetime, *, ended: bool = False) -> str:
    """Free the lock of an operation that has ended, or hand it to the operation that waits.

    `ended` says that the machine itself calls, as its last act; otherwise the execution's status decides. One that
    never started is started, unless somebody wants it to end: then nothing has to be made to be taken away again, and
    a start that comes too late runs into the fence.
    Answers what was done: "released", "handed-over", "running", "settled" (there was nothing to do).
    """
    environment = world.store.by_uid(uid)
    held = environment.operation if environment is not None and environment.lock is not None else None
    if environment is None or held is None or held.id != operation_id:
        return "settled"
    status = "SUCCEEDED" if ended else world.states.status(execution_arn(world, held))
    if status is None and environment.intent is None:
        start(world, environment, held)  # the record came first, and its writer died before this
        return "running"
    if status is not None and status not in _ENDED:
        return "running"
    how = "the machine ended" if ended else f"the execution ended as {status}"
    finished = _finished(held, how, environment, now)
    following = _following(environment)
    if following is not None:
        if world.store.hand_over(environment, finished, following, now):
            start(world, environment, following)
        return "handed-over"
    _state_failure(world, environment, held, finished)
    if not world.store.release(environment, finished):
        return settle(world, uid, operation_id, now, ended=ended)  # an intent came between
    return "released"


def _following(environment: Environment) -> Operation | None:
    """The operation that waits for the lock; a wish to cancel is none."""
    intent = environment.intent
    if intent is None or intent.kind is OperationKind.CANCEL:
        return None
    return Operation(
        id=intent.operation,
        kind=intent.kind,
        status=OperationStatus.PENDING,
        generation=environment.generation,
        requested_at=intent.at,
        requested_by=intent.by,
    )


def _finished(operation: Operation, how: str, environment: Environment, now: datetime) -> Operation:
    """The operation as it goes into its history."""
    if operation.status in {OperationStatus.SUCCEEDED, OperationStatus.FAILED}:
        return replace(operation, ended_at=now)
    if environment.intent is not None:
        return replace(operation, status=OperationStatus.CANCELLED, ended_at=now)
    failure = noted_failure(environment) or Failure(
        step=reached(environment),
        cause=f"{how} before it could record an outcome",
        remedy="`springboard retry` goes on from what exists",
    )
    return replace(operation, status=OperationStatus.FAILED, ended_at=now, failure=failure)


def _state_failure(world: World, environment: Environment, before: Operation, finished: Operation) -> None:
    """Say in the conditions, too, that an execution ended without a word, or was cancelled."""
    if before.status in {OperationStatus.SUCCEEDED, OperationStatus.FAILED}:
        return
    failure = finished.failure or Failure(
        "Operation", "cancelled on request", "`springboard retry` goes on from what exists"
    )
    stopped(world, environment, failure, None, finished.ended_at or before.requested_at)


def sweep(world: World, now: datetime, grace: timedelta) -> list[tuple[str, str]]:
    """Settle every lock older than `grace`; answers (uid, what was done) of those that were not running.

    One that cannot be settled keeps none of the others: it is logged, and answered as NOT_SETTLED.
    """
    done = []
    for uid, operation in list(world.store.locked()):
        try:
            environment = world.store.by_uid(uid)
            if environment is None or environment.lock is None or now - environment.lock.since < grace:
                continue
            result = settle(world, uid, operation, now)
        except Exception:  # whatever is wrong with one, a record that can't be read included
            logger.exception("a lock was not settled", extra={"environment": uid, "operation": operation})
            result = NOT_SETTLED
        if result != "running":
            done.append((uid, result))
    return done
