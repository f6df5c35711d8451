"""How long an execution's history can become, and how long the execution, if every patience is used up.

Step Functions ends an execution at 25,000 events, in the middle of whatever it does. Loops are bounded by the
patience of the components in them, and by the wait before each next look, which grows with what was waited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard.components.reconcile import SHORTEST_WAIT, aimed_look, next_look
from springboard.components.table import ROWS
from springboard.flow import outcome
from tests.template import asl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.components.contract import Pace, Row

# Entered, scheduled, started, succeeded, exited; a retry adds scheduled, started and failed.
EVENTS = {"Task": 5, "Choice": 2, "Wait": 2, "Parallel": 4, "Succeed": 2, "Fail": 1}
EVENTS_OF_A_RETRY = 3
EVENTS_OF_AN_EXECUTION = 2

# The longest wait that is answered where a state waits for what a function says.
_LONGEST = {"{% $settle %}": outcome.IN_FLIGHT + outcome.KNOWN_AFTER}

ROWS_BY_TITLE = {row.title: row for row in ROWS}


@dataclass(frozen=True)
class Worst:
    """Upper bounds over all executions of a machine."""

    events: int
    seconds: int


def worst(machine: Mapping[str, Any], *, throttled: bool = False) -> Worst:
    """With every state entered, and every component waiting out its patience.

    `throttled`: and every call, each time, retried as often as makes the history longest.
    """
    whole = _scope(asl.top(machine), throttled=throttled)
    return Worst(whole.events + EVENTS_OF_AN_EXECUTION, whole.seconds)


def _scope(scope: asl.Scope, *, throttled: bool) -> Worst:
    events = seconds = 0
    for state in scope.members():
        inside = [_scope(branch, throttled=throttled) for branch in state.branches()]
        events += EVENTS[state.type] + sum(each.events for each in inside)
        if throttled:
            events += EVENTS_OF_A_RETRY * len(_delays(state))
        seconds += max((each.seconds for each in inside), default=0)
        if state.type == "Wait":
            loop = _loop(state, throttled=throttled)
            events += loop.events
            seconds += loop.seconds
    return Worst(events, seconds)


def _loop(wait: asl.State, *, throttled: bool) -> Worst:
    """What comes of the loop that the wait closes; all its components begin to wait in its first round."""
    round_ = list(cycle(wait))
    tasks = [state for state in round_ if state.type == "Task"]
    if not tasks:
        return Worst(0, _LONGEST.get(wait.body["Seconds"]) or int(wait.body["Seconds"]))
    patience = max(_patience(task) for task in tasks)
    paces = [_row(task).pace for task in tasks if not task.name.startswith("Remove")]
    delays = _delays(tasks[0]) if throttled else []
    once = sum(EVENTS[state.type] for state in round_)
    # A retry adds events but takes time as well: the worst number of them is somewhere between none and all.
    events = max(
        looks(patience, sum(delays[:retries]), paces) * (once + EVENTS_OF_A_RETRY * retries * len(tasks))
        for retries in range(len(delays) + 1)
    )
    return Worst(events, patience)


def looks(patience: int, retrying: float = 0, paces: Sequence[Pace] = ()) -> int:
    """How often a component is looked at before its patience ends, if it always asks for the shortest wait.

    What one of `paces` is aimed at may ask for less than others of that age, once it is due.
    """
    number, waited = 1, 0.0
    while waited <= patience:
        number += 1
        aimed = [aimed_look(pace, int(waited), started=False) for pace in paces]
        waited += min([next_look(SHORTEST_WAIT, int(waited)), *aimed]) + retrying
    return number


def _patience(task: asl.State) -> int:
    row = _row(task)
    return row.removal_patience if task.name.startswith("Remove") else row.patience


def _row(task: asl.State) -> Row:
    return ROWS_BY_TITLE[task.function().removesuffix("FunctionArn")]


def _delays(state: asl.State) -> list[float]:
    """The mean delay before each retry: jitter is full, so half of what the rule says."""
    return [
        min(rule.get("IntervalSeconds", 1) * rule["BackoffRate"] ** attempt, rule["MaxDelaySeconds"]) / 2
        for rule in state.body.get("Retry", ())
        for attempt in range(rule["MaxAttempts"])
    ]


def cycle(wait: asl.State) -> Iterator[asl.State]:
    """The states from one wait to the next; none if the wait does not come again."""
    members = {state.name: state for state in wait.scope.members()}
    passed = [wait.name]
    while True:
        body = members[passed[-1]].body
        target = body.get("Default") or body.get("Next")
        if target == wait.name:
            yield from (members[name] for name in passed)
            return
        if target is None or target in passed:
            return
        passed.append(target)
