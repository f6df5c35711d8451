"""One run of one component: observe, decide, act, observe again, and say how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard.components.contract import ABSENT, Action, Failed, Outcome, Pace, Ready, Waiting
from springboard.errors import AccessDeniedError, NotOursError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from springboard.components.contract import Change, Component, Row, Verdict
    from springboard.record import Environment
    from springboard.runtime import World

SHORTEST_WAIT = 5  # seconds
DELETED = "deleted"  # among a component's facts: what this operation has removed, until its step is done
# The longer something takes, the more rarely it is looked at: a twenty-fifth of the wait so far is hardly noticed,
# and bounds the number of looks, and with it an execution's history, whatever a component asks for.
_SELDOM = 25


@dataclass(frozen=True)
class Plan:
    """What a run would do, without doing it."""

    changes: tuple[Change, ...]
    verdict: Verdict


def plan(component: Component, world: World, environment: Environment, *, removal: bool = False) -> Plan:
    """Observe and decide; nothing is changed. NotOursError becomes a Failed verdict."""
    observed = component.observe(world, environment)
    desired = _desired(component, world, environment, removal=removal)
    try:
        changes = tuple(component.changes(desired, observed))
    except NotOursError as err:
        return Plan((), Failed(err.message, err.remedy, "NotOurs"))
    return Plan(changes, component.condition(desired, observed))


def reconcile(
    component: Component, row: Row, world: World, environment: Environment, now: datetime, *, removal: bool = False
) -> Outcome:
    """Observe, apply what can be applied now, observe again if anything was; never waits.

    What AWS refuses, and what belongs to somebody else, is a Failed verdict; all other errors propagate, so
    that the state machine retries or records them.
    """
    desired = _desired(component, world, environment, removal=removal)
    observed = component.observe(world, environment)
    applied: list[Change] = []
    deleted = frozenset(environment.facts.get(row.name, {}).get(DELETED, ()))
    try:
        for change in _possible(component.changes(desired, observed)):
            try:
                told = component.apply(world, environment, change)
            except AccessDeniedError:
                # A right that hangs on the owner's tag is not given on what has no tags any more because somebody else
                # has removed it since: that is what was wanted. A look tells it from a right that is missing. What an
                # earlier look of this operation has removed is gone, though AWS's reads may show it for minutes.
                observed = component.observe(world, environment)
                if change in component.changes(desired, observed) and change.resource not in deleted:
                    raise
                continue
            if told:
                environment = environment.with_facts(row.name, {**environment.facts.get(row.name, {}), **told})
            applied.append(change)
        if applied:
            observed = component.observe(world, environment)
        verdict = component.condition(desired, observed)
    except NotOursError as err:
        verdict = Failed(err.message, err.remedy, "NotOurs")
    except RefusedError as err:
        verdict = Failed(err.message, err.remedy or row.remedy, err.code or "Refused")
    waited = int((now - _waiting_since(environment, row, now, removal=removal)).total_seconds())
    if isinstance(verdict, Waiting):
        verdict = _patient(verdict, row, waited, removal=removal)
    ready = isinstance(verdict, Ready)
    return Outcome(
        ready=ready,
        retry_after=_retry_after(verdict, row, waited, started=bool(applied)),
        verdict=verdict,
        changes=tuple(applied),
        learned={**component.learned(observed), **({} if ready and not removal else _deleted(deleted, applied))},
        at=now,
    )


def _desired(component: Component, world: World, environment: Environment, *, removal: bool) -> Any:  # noqa: ANN401 - each component has its own type
    return ABSENT if removal else component.desired(environment, world.site)


def _possible(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.possible]


def _deleted(before: frozenset[str], applied: Sequence[Change]) -> Mapping[str, Any]:
    """The fact of what is gone by now; what was made again is there."""
    gone = set(before)
    for change in applied:
        if change.action is Action.DELETE:
            gone.add(change.resource)
        else:
            gone.discard(change.resource)
    return {DELETED: sorted(gone)} if gone else {}


def _waiting_since(environment: Environment, row: Row, now: datetime, *, removal: bool) -> datetime:
    """When this operation began to wait for it: a retry, and a step that comes late, start with new patience."""
    before = environment.conditions.get(row.condition)
    step = environment.operation.steps.get(row.step(removal=removal)) if environment.operation else None
    if before is None or before.true or step is None:
        return now
    return max(before.last_transition_time, step.started_at)


def _patient(waiting: Waiting, row: Row, waited: int, *, removal: bool) -> Waiting | Failed:
    """Waiting, until the component's patience ends."""
    patience = row.removal_patience if removal else row.patience
    if waited <= patience:
        return waiting
    return Failed(f"waited {patience} s for {waiting.on}: {waiting.reason}", waiting.remedy or row.remedy, "TimedOut")


def _retry_after(verdict: Verdict, row: Row, waited: int, *, started: bool) -> int:
    if not isinstance(verdict, Waiting):
        return 0
    match verdict.after:
        case Pace() as own:
            return aimed_look(own, waited, started=started)
        case 0 if verdict.aimed:
            return aimed_look(row.pace, waited, started=started)
        case 0:
            return next_look(row.pace.first if started else row.pace.poll, waited)
        case seconds:
            return next_look(seconds, waited)


def aimed_look(pace: Pace, waited: int, *, started: bool) -> int:
    """Seconds until the next look at what `pace` tells the duration of, after so many seconds of waiting.

    Nothing is expected before `first`, whoever looks meanwhile; then looks are `poll` apart, and come more rarely the
    longer it is overdue.
    """
    wanted = pace.first if started else max(pace.first - waited, pace.poll)
    return max(wanted, SHORTEST_WAIT, (waited - pace.first) // min(pace.share, _SELDOM))


def next_look(wanted: int, waited: int) -> int:
    """Seconds until the next look, after so many seconds of waiting: as asked, but not in ever so short steps."""
    return max(wanted, SHORTEST_WAIT, waited // _SELDOM)
