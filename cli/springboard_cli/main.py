"""`springboard`: the application, its global options, and how errors end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from springboard_cli import session
from springboard_cli.commands import (
    act,
    apply,
    doctor,
    init,
    kubeconfig,
    local,
    logs,
    look,
    reference,
    wait,
)
from springboard_cli.errors import CommandError, Exit
from springboard_cli.surroundings import Surroundings, installed_version
from springboard_cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

_GLOBAL = ("--profile", "--region", "--stack")
_EPILOG = (
    "--profile, --region and --stack may stand after the command too. Exit codes: 0 ok, 1 failed, 2 usage or"
    " validation, 3 wait timed out while the work goes on, 4 not authorised, 5 not found, 6 conflict, 130 Ctrl-C."
)


def first_globals(arguments: list[str]) -> list[str]:
    """The arguments with the global options in front, wherever they stood; what follows `--` stays."""
    options: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if argument == "--":
            rest += arguments[position:]
            break
        if argument in _GLOBAL and position + 1 < len(arguments):
            options += arguments[position : position + 2]
            position += 1
        elif argument.startswith(tuple(f"{name}=" for name in _GLOBAL)):
            options.append(argument)
        else:
            rest.append(argument)
        position += 1
    return options + rest


class Commands(TyperGroup):
    """The root of all commands: takes global options anywhere, and tells people why a command ended."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own context type is private
        """Move global options to where they are understood."""
        return super().parse_args(ctx, first_globals(args))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Run the command; an error becomes words on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except CommandError as err:
            tell(Terminal(), err)
            raise typer.Exit(err.code) from err
        except KeyboardInterrupt as err:
            raise typer.Exit(Exit.INTERRUPTED) from err
        except BrokenPipeError:
            raise  # whoever read has seen enough: Typer ends quietly
        except OSError as err:  # a disk that is full, a folder that may not be written
            told = f"{err.filename or 'the output'}: {err.strerror or err}"
            tell(Terminal(), CommandError(told))
            raise typer.Exit(Exit.FAILED) from err


def tell(terminal: Terminal, err: CommandError) -> None:
    """An error as people read it: what, each mistake with its place, what to do."""
    terminal.say(f"error: {err.message}", "bold red")
    for mistake in err.mistakes:
        value = f" (you wrote {mistake.value})" if mistake.value else ""
        where = ": ".join(part for part in (mistake.place, mistake.field) if part)
        terminal.say(f"  {where}: {mistake.message}{value}" if where else f"  {mistake.message}{value}")
        if mistake.remedy:
            terminal.say(f"      {mistake.remedy}", "dim")
    if err.remedy:
        terminal.say(f"  {err.remedy}")


def _version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if asked:
        typer.echo(f"springboard {installed_version()}")
        raise typer.Exit


app = typer.Typer(
    name="springboard",
    cls=Commands,
    help="Complete Spring environments on Amazon EKS from one request.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    context: typer.Context,
    profile: Annotated[str | None, typer.Option(envvar="AWS_PROFILE", help="AWS profile.")] = None,
    region: Annotated[str | None, typer.Option(help="AWS region of the stack.")] = None,
    stack: Annotated[
        str, typer.Option(envvar="SPRINGBOARD_STACK", help="Name of the Springboard stack.")
    ] = session.DEFAULT_STACK,
    _version: Annotated[  # noqa: FBT002 - an option of the command line, not an argument of a caller
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Complete Spring environments on Amazon EKS from one request."""
    surroundings = context.obj if isinstance(context.obj, Surroundings) else Surroundings()
    here = context.obj = session.Session(surroundings, stack, profile, region)
    context.call_on_close(here.close)


def _register(*commands: Callable[..., None]) -> None:
    for command in commands:
        app.command(command.__name__.rstrip("_"))(command)


_register(init.init, apply.apply, apply.plan, apply.deploy)
_register(look.get, look.describe, look.events, look.why, logs.logs, wait.wait)
_register(act.delete, act.retry, act.cancel, kubeconfig.kubeconfig, look.export)
_register(reference.versions, reference.schema, doctor.doctor)
app.add_typer(local.app, name="local")
