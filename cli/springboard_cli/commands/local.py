"""local: the local cloud on this machine."""

from __future__ import annotations

import importlib
import os
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from springboard_cli import session
from springboard_cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from springboard_cli.session import Session

app = typer.Typer(
    help="The local cloud: AWS as Springboard needs it, on this machine, for trying and testing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def up(
    context: typer.Context,
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where it answers; 5102, or any free one.", show_default=False)
    ] = None,
    speed: Annotated[float, typer.Option(help="How many seconds pass there in one of ours.", min=0.1, max=10_000)] = 60,
    kubernetes: Annotated[
        str | None,
        typer.Option(
            help="The clusters' control planes: embedded, or real after `make kubernetes`.", show_default="embedded"
        ),
    ] = None,
) -> None:
    """Start it, or find it running."""
    if kubernetes not in {None, "embedded", "real"}:
        raise CommandError(f"--kubernetes {kubernetes}", "write embedded or real", code=Exit.INVALID)
    here = session.of(context)
    found = _guarded(here, lambda process: process.up(port=port, speed=speed, kubernetes=kubernetes))
    here.terminal.data(found.endpoint)
    here.terminal.say('`eval "$(springboard local env)"` points the AWS CLI, SAM, boto3 and springboard at it')


@app.command()
def down(context: typer.Context) -> None:
    """End it; nothing of it is kept."""
    here = session.of(context)
    ended = _guarded(here, lambda process: process.down())
    here.terminal.say("The local cloud has ended." if ended else "No local cloud ran here.")


@app.command()
def reset(context: typer.Context) -> None:
    """Empty its account, and let it run."""
    here = session.of(context)
    found = _guarded(here, lambda process: process.reset())
    here.terminal.say(f"The account at {found.endpoint} is empty.")


@app.command()
def status(context: typer.Context) -> None:
    """Say whether it runs, where, and where its log is; exit code 1 if it does not."""
    here = session.of(context)
    found = _guarded(here, lambda process: process.status())
    if not found.running:
        raise CommandError("no local cloud runs here", "`springboard local up` starts one")
    here.terminal.table(
        (),
        [
            ("endpoint", found.endpoint),
            ("speed", f"{found.speed:g}"),
            ("kubernetes", found.kubernetes),
            ("pid", found.pid),
            ("state", found.state),
            ("log", found.log),
        ],
    )


@app.command()
def env(context: typer.Context) -> None:
    """Print the exports that point AWS tools at it: eval "$(springboard local env)"."""
    here = session.of(context)
    variables = _guarded(here, lambda process: process.env())
    for name, value in variables.items():
        here.terminal.data(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")


def _guarded(here: Session, act: Any) -> Any:  # noqa: ANN401 - the module is there or not
    """Run something of the local cloud's process module; its refusals become errors of ours."""
    process = (here.surroundings.local_cloud or _module)()
    try:
        return act(process)
    except process.NotStartedError as err:
        raise CommandError(str(err)) from err
    except OSError as err:
        raise CommandError(f"{err.strerror or err}: {err.filename or os.fspath(process.default_state())}") from err


def _module() -> Any:  # noqa: ANN401 - as above
    try:
        return importlib.import_module("springboard_local.process")
    except ModuleNotFoundError as err:
        raise CommandError(
            f"the local cloud is not installed here ({err.name} is missing)",
            "it is part of the repository, not of the wheel: clone it and run `make demo`",
        ) from err
