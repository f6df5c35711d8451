"""delete, retry, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from springboard_cli import following, session
from springboard_cli.commands import apply, options
from springboard_cli.errors import CommandError, Exit
from springboard_cli.terminal import Format

if TYPE_CHECKING:
    from springboard_cli.api import Answer
    from springboard_cli.session import Session


def delete(
    context: typer.Context,
    name: options.Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nothing of it is left.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and do nothing.")] = False,
    timeout: options.Timeout = "2h",
) -> None:
    """Remove an environment and all that was made for it."""
    here = session.of(context)
    limit = options.seconds(timeout)
    if dry_run:
        apply.show_plan(here, here.api.plan_deletion(name), Format.TABLE)
        return
    present = here.api.environment(name)
    if not yes:
        _confirm(here, present)
    answer = here.api.delete(name, present.etag)
    if wait:
        following.to_the_end(here, answer, limit, deletion=True)
        return
    here.terminal.data(f"environment/{name} deleting")
    here.terminal.say(f"`springboard wait {name} --for=delete` waits until nothing of it is left")


def retry(
    context: typer.Context,
    name: options.Name,
    *,
    no_wait: options.NoWait = False,
    timeout: options.Timeout = "2h",
    output: options.Output = Format.TABLE,
) -> None:
    """Go on with a failed or cancelled operation from what exists."""
    here = session.of(context)
    limit = options.seconds(timeout)
    answer = here.api.act(name, "retry")
    deletion = answer.document["status"].get("operation", {}).get("kind") == "Delete"
    if no_wait:
        apply.announce(here, answer.document, "retrying", output)
        return
    document = following.to_the_end(here, answer, limit, deletion=deletion)
    if not deletion:
        apply.finish(here, document, output)


def cancel(context: typer.Context, name: options.Name) -> None:
    """Stop the operation that runs; what exists stays, and retry goes on from it."""
    here = session.of(context)
    here.api.act(name, "cancel")
    here.terminal.data(f"environment/{name} cancelling")
    here.terminal.say(f"`springboard retry {name}` goes on from what exists, `springboard delete {name}` removes it")


def _confirm(here: Session, present: Answer) -> None:
    name = present.document["metadata"]["name"]
    if not here.surroundings.interactive():
        raise CommandError("nobody can be asked here", "pass --yes to delete without a question", code=Exit.INVALID)
    for url in apply.urls(present.document):
        here.terminal.say(f"{url} will stop to answer.")
    given = here.surroundings.ask(f"Delete environment {name} and all that was made for it? [y/N] ")
    if given.lower() not in {"y", "yes"}:
        raise CommandError("nothing was deleted", code=Exit.FAILED)
