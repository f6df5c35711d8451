"""wait: until a condition holds, or the environment is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from springboard_cli import following, progress, session
from springboard_cli.commands import options
from springboard_cli.errors import CommandError, Exit, NotFoundError

if TYPE_CHECKING:
    from springboard_cli.api import Answer
    from springboard_cli.session import Session

    type Json = dict[str, Any]


def wait(
    context: typer.Context,
    name: options.Name,
    *,
    awaited: Annotated[
        str, typer.Option("--for", help="condition=TYPE, condition=TYPE=STATUS, or delete.")
    ] = "condition=Ready",
    timeout: options.Timeout = "1h",
) -> None:
    """Wait until a condition holds (exit code 0), the work fails (1), or the time is up (3)."""
    here = session.of(context)
    limit = options.seconds(timeout)
    try:
        if awaited == "delete":
            _for_deletion(here, name, limit)
        else:
            _for_condition(here, name, *_condition(awaited), limit)
    except KeyboardInterrupt:
        again = f"springboard wait {name} --for={awaited}"
        here.terminal.say(f"\nDetached; what is at work on {name} goes on. `{again}` comes back to it.")
        raise


def _condition(text: str) -> tuple[str, str]:
    parts = text.split("=")
    if parts[0] != "condition" or len(parts) not in {2, 3} or not all(parts):
        raise CommandError(
            f"--for={text}", "write condition=Ready, condition=Drifted=False, or delete", code=Exit.INVALID
        )
    return parts[1], parts[2] if len(parts) == 3 else "True"


def _for_deletion(here: Session, name: str, limit: float) -> None:
    try:
        first = here.api.environment(name)
    except NotFoundError:
        here.terminal.say(f"{name} is gone")
        return
    for document in _until(here, name, first, limit):
        if document is not None and _stopped(document):
            status = document["status"]
            kind = status.get("operation", {}).get("kind", "")
            if kind == "Delete":
                following.billable(here, name)
                raise progress.failure(document, status["operation"]["status"])
            if not status.get("intent"):
                raise CommandError(f"nobody is deleting {name}", f"`springboard delete {name} --wait` does both")
    here.terminal.say(f"{name} is gone")


def _for_condition(here: Session, name: str, condition: str, wanted: str, limit: float) -> None:
    first = here.api.environment(name)
    for document in _until(here, name, first, limit):
        if document is None:
            raise NotFoundError(f"{name} is gone")
        if _status(document, condition).lower() == wanted.lower():
            here.terminal.data(f"environment/{name} condition met")
            return
        status = document["status"]
        if _stopped(document) and status["operation"]["status"] != "Succeeded" and condition in {"Ready", "Available"}:
            following.billable(here, name)
            raise progress.failure(document, status["operation"]["status"])


def _until(here: Session, name: str, first: Answer, limit: float) -> Any:  # noqa: ANN401 - an iterator of documents
    """The environment again and again until it is gone; CommandError with code 3 once the time is up."""
    deadline = here.surroundings.clock.now().timestamp() + limit
    with progress.view(here) as shown:
        at_work = not _stopped(first.document)
        for document in progress.looks(here, name, first.document["metadata"]["uid"], first):
            if document is not None and at_work:
                shown.show(document)
            yield document
            if document is None:
                return
            if here.surroundings.clock.now().timestamp() >= deadline:
                raise progress.still_at_work(name, "the time is up")


def _status(document: Json, condition: str) -> str:
    for each in document["status"].get("conditions", ()):
        if each["type"].lower() == condition.lower():
            return str(each["status"])
    known = ", ".join(each["type"] for each in document["status"].get("conditions", ()))
    raise CommandError(f"there is no condition {condition}", f"known: {known}", code=Exit.INVALID)


def _stopped(document: Json) -> bool:
    """Whether nothing is at work, and nothing waits for its turn."""
    status = document["status"]
    return status.get("operation", {}).get("status") in progress.ENDED and not status.get("intent")
