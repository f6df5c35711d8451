"""Waiting for accepted work in front of a person: Ctrl-C detaches, a failure says what stands and is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard_cli import cost, progress, times
from springboard_cli.errors import CommandError, Exit, NotFoundError

if TYPE_CHECKING:
    from springboard_cli.api import Answer
    from springboard_cli.session import Session

    type Json = dict[str, Any]


def to_the_end(here: Session, accepted: Answer, timeout: float, *, deletion: bool = False) -> Json:
    """Follow accepted work until it has ended, and say how it ended: the environment then."""
    name = accepted.document["metadata"]["name"]
    try:
        document = progress.follow(here, accepted, timeout)
    except KeyboardInterrupt:
        condition = " --for=delete" if deletion else ""
        here.terminal.say(
            f"\nDetached; the work on {name} goes on. `springboard wait {name}{condition}` comes back to it."
        )
        if not deletion:
            here.terminal.say(f"`springboard cancel {name}` stops it, `springboard delete {name}` removes what exists.")
        raise
    except CommandError as err:
        if err.code is not Exit.TIMED_OUT:
            billable(here, name)
        raise
    took = _took(here, document)
    verb = "is gone" if deletion else f"is {document['status']['phase']}"
    here.terminal.say(f"{name} {verb}{f' after {took}' if took else ''}", "bold green")
    return document


def billable(here: Session, name: str) -> None:
    """What stands after a failure, and goes on to cost."""
    try:
        lines = cost.existing(here.api.environment(name).document)
    except (NotFoundError, CommandError):
        return  # the failure itself is what the reader needs
    if lines:
        here.terminal.say("What exists stays, so that a retry goes on from it. Meanwhile it costs:")
        here.terminal.note_table(cost.table(lines))
        here.terminal.say(f"  {cost.summary(lines)}; `springboard delete {name}` removes all of it")


def _took(here: Session, document: Json) -> str:
    operation = document["status"].get("operation", {})
    if not operation.get("requestedAt"):
        return ""
    # What is gone can't say when it went.
    end = times.moment(operation["endedAt"]) if operation.get("endedAt") else here.now()
    return times.span((end - times.moment(operation["requestedAt"])).total_seconds())
