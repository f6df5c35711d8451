"""Following an operation: what each component does, until all is done or the person leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

from springboard_cli import times
from springboard_cli.errors import CommandError, Exit, NotFoundError
from springboard_cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType

    from springboard_cli.api import Answer
    from springboard_cli.session import Session

    type Json = dict[str, Any]

SUMMARY = frozenset({"Ready", "Available", "Progressing", "Drifted"})
ENDED = frozenset({"Succeeded", "Failed", "Cancelled"})
_DURATION = re.compile(r"\b(\d+h)?(\d+m)?\d+s\b")  # a back-off that grows is no news
_SHOWN = 200
_MARKS = {"Ready": ("✓", "green"), "Gone": ("✓", "green"), "Failed": ("✗", "red"), "Pending": ("·", "dim")}


@dataclass(frozen=True)
class Component:
    """How one component stands in an operation."""

    name: str
    state: str  # Pending, Working, Ready, Gone, Failed
    message: str
    started: datetime | None = None
    ended: datetime | None = None

    def took(self, now: datetime) -> str:
        """How long it has been at work, or was."""
        return times.span(((self.ended or now) - self.started).total_seconds()) if self.started else ""


def words(name: str) -> str:
    """NodeGroupsReady, EnsureNodeGroups, RemoveNodeGroups → node groups"""
    bare = re.sub(r"^(Ensure|Remove)(?=[A-Z])|(?<=[a-z])Ready$", "", name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare).lower()


def shorten(text: str) -> str:
    """A message on a line; `springboard describe` has all of it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}\N{HORIZONTAL ELLIPSIS}"


def components(document: Json) -> list[Component]:
    """Every component of an environment, in the API's order."""
    status = document["status"]
    generation = document["metadata"].get("generation", 0)
    steps = {words(step["name"]): step for step in status.get("operation", {}).get("steps", ())}
    return [
        _component(condition, steps.get(words(condition["type"])), generation)
        for condition in status.get("conditions", ())
        if condition["type"] not in SUMMARY
    ]


def settling(document: Json) -> str:
    """Why an operation has not begun with its first step yet; "" if it has, or says nothing."""
    status = document["status"]
    said: Json = next((each for each in status.get("conditions", ()) if each["type"] == "Progressing"), {})
    begun = status.get("operation", {}).get("steps")
    return str(said["message"]) if said.get("reason") == "Settling" and not begun else ""


def _component(condition: Json, step: Json | None, generation: int) -> Component:
    started = times.moment(step["startedAt"]) if step else None
    ended = times.moment(step["endedAt"]) if step and step.get("endedAt") else None
    message = str(condition.get("message", ""))
    current = condition.get("observedGeneration") == generation
    if step and step.get("error"):
        state, message = "Failed", str(step["error"])
    elif condition.get("reason") == "Removed":
        state = "Gone"
    elif condition["status"] == "True" and (ended or (current and not started)):
        state = "Ready"
    elif started:
        # A condition that still holds speaks of before.
        state, message = "Working", "" if condition["status"] == "True" else message
    else:
        state, message = "Pending", ""
    return Component(words(condition["type"]), state, message, started, ended)


class Plain:
    """One line for each transition, for logs and pipes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: dict[str, tuple[str, str]] = {}
        self._settling = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def show(self, document: Json) -> None:
        """Say what has changed since the last look."""
        now = self._session.now()
        told, self._settling = self._settling, settling(document)
        if self._settling and not told:
            self._session.terminal.say(f"{_since(document, now):>7}  {shorten(self._settling)}")
        for component in components(document):
            state = (component.state, _DURATION.sub("", component.message))
            before = self._shown.get(component.name)
            self._shown[component.name] = state
            # What this operation has not begun with is no transition of it.
            if before == state or (before is None and component.started is None):
                continue
            if component.state == "Working" and not component.message:
                continue  # what it waits for, or that it has ended, comes with the next look
            took = component.took(now) if component.ended else ""
            message = shorten(component.message)
            parts = (f"{component.name:<14}", f"{component.state:<7}", f"{took:<7}", message)
            self._session.terminal.say(f"{_since(document, now):>7}  {'  '.join(parts).rstrip()}")


def _since(document: Json, now: datetime) -> str:
    """How long ago the operation was asked for."""
    asked = document["status"].get("operation", {}).get("requestedAt")
    return times.age(asked, now) if asked else ""


class LiveTable:
    """A table that stays in place, for terminals."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._document: Json | None = None
        self._live = Live(
            console=session.terminal.err, get_renderable=self._table, refresh_per_second=2, vertical_overflow="visible"
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, document: Json) -> None:
        """Draw it as it is now."""
        self._document = document
        self._live.refresh()

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        if self._document is None:
            return table
        now = self._session.now()
        if waits := settling(self._document):
            table.add_row(Text("→", "cyan"), Text("waits"), "", "", Text(clean(waits), "dim"))
        for component in components(self._document):
            mark, style = _MARKS.get(component.state, ("→", "cyan"))
            table.add_row(
                Text(mark, style),
                Text(component.name),
                Text(component.state, style),
                Text(component.took(now), justify="right"),
                Text(clean(component.message), "dim", overflow="ellipsis", no_wrap=True),
            )
        return table


def view(session: Session) -> Plain | LiveTable:
    """What suits where stderr goes."""
    return LiveTable(session) if session.terminal.err.is_terminal else Plain(session)


def awaited(document: Json) -> str:
    """The operation that carries out what was asked for: the one that waits for its turn, or the latest."""
    status = document["status"]
    return str(status.get("intent", {}).get("operation") or status.get("operation", {}).get("id", ""))


def follow(session: Session, accepted: Answer, timeout: float | None = None) -> Json:
    """Show an accepted operation until it has ended: the environment then.

    A CommandError says why it failed; after a deletion the document is the last one that was seen.
    """
    name, uid = accepted.document["metadata"]["name"], accepted.document["metadata"]["uid"]
    operation = awaited(accepted.document)
    deadline = _deadline(session, timeout)
    document = accepted.document
    with view(session) as shown:
        for found in looks(session, name, uid, accepted):
            if found is None:
                return document
            document = found
            shown.show(document)
            ended = _ended(session, document, operation)
            if ended:
                break
            if deadline is not None and session.surroundings.clock.now().timestamp() >= deadline:
                raise still_at_work(name, "the time is up")
    if ended == "Succeeded":
        return document
    raise failure(document, ended)


def _deadline(session: Session, timeout: float | None) -> float | None:
    return None if timeout is None else session.surroundings.clock.now().timestamp() + timeout


def looks(session: Session, name: str, uid: str, first: Answer | None = None) -> Iterator[Json | None]:
    """The environment again and again, at the pace that the API asks for; None once it is gone."""
    answer = first
    while True:
        if answer is not None:
            gone = answer.document["metadata"]["uid"] != uid or answer.document["status"]["phase"] == "Deleted"
            yield None if gone else answer.document
            session.pause(answer.retry_after)
        try:
            answer = session.api.environment(name)
        except NotFoundError:
            yield None
            return


def _ended(session: Session, document: Json, operation: str) -> str:
    """The status of an operation that has ended; empty while it goes on or waits for its turn."""
    status = document["status"]
    latest = status.get("operation", {})
    if latest.get("id") == operation:
        return str(latest["status"]) if latest["status"] in ENDED else ""
    if status.get("intent", {}).get("operation") == operation:
        return ""
    # Another operation came after it.
    found = session.api.operation(document["metadata"]["name"], operation)
    return str(found["status"]) if found["status"] in ENDED else ""


def failure(document: Json, ended: str) -> CommandError:
    """Why the operation ended as it did: step, cause, remedy."""
    name = document["metadata"]["name"]
    operation = document["status"].get("operation", {})
    kind = str(operation.get("kind", "operation")).lower()
    if ended == "Cancelled":
        return CommandError(f"{kind} of {name} was cancelled", f"`springboard retry {name}` goes on from what exists")
    found = operation.get("failure", {})
    step, cause = found.get("step", ""), found.get("cause", "the cause was not recorded")
    return CommandError(
        f"{kind} of {name} failed at {step}: {cause}" if step else f"{kind} of {name} failed: {cause}",
        found.get("remedy") or f"`springboard why {name}` looks for the cause",
    )


def still_at_work(name: str, why: str) -> CommandError:
    """The wait is over, the work is not."""
    return CommandError(
        f"{why}; the work on {name} goes on",
        f"`springboard wait {name}` comes back to it, `springboard why {name}` says what it waits for",
        code=Exit.TIMED_OUT,
    )
