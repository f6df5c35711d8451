"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from springboard_cli import session, times
from springboard_cli.errors import CommandError, Exit
from springboard_cli.surroundings import Surroundings
from springboard_cli.terminal import Format


def complete(context: typer.Context, incomplete: str) -> list[str]:
    """Names of environments, for the shell; none where they can't be read quickly and quietly."""
    given = context.find_root().params
    here = session.Session(
        Surroundings(), given.get("stack") or session.DEFAULT_STACK, given.get("profile"), given.get("region")
    )
    try:
        found = [document["metadata"]["name"] for document in here.api.environments()]
    except CommandError:
        return []
    return [name for name in found if name.startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="Name of the environment.", show_default=False, autocompletion=complete)]
File = Annotated[str, typer.Option("--file", "-f", help="The environment's file; - for stdin.", show_default=False)]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]
Selector = Annotated[str, typer.Option("--selector", "-l", help="Labels, as team=checkout,ring!=canary.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on printing what changes, until Ctrl-C.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the work is accepted.")]
Timeout = Annotated[str, typer.Option(help="Wait at most so long: 90s, 45m, 1h30m.")]


def seconds(timeout: str) -> float:
    """A --timeout."""
    try:
        return times.seconds(timeout)
    except ValueError as err:
        raise CommandError(f"--timeout: {err}", code=Exit.INVALID) from err
