"""get, describe, events, why, export: read and explain, change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from springboard_cli import description, session, times
from springboard_cli.commands import options  # noqa: TC001 - Typer reads annotations at run time
from springboard_cli.errors import CommandError, Exit, NotFoundError
from springboard_cli.terminal import Format, columns, names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from springboard_cli.session import Session

    type Json = dict[str, Any]

_HEADER = ("NAME", "PHASE", "VERSION", "NODES", "URL", "AGE")
_WIDE = (*_HEADER, "OWNER", "LABELS", "MESSAGE")


def get(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="One environment; all of yours without it.", show_default=False)] = "",
    *,
    output: options.Output = Format.TABLE,
    selector: options.Selector = "",
    phase: Annotated[str, typer.Option(help="Only those in this phase, as Ready or Failed.")] = "",
    watch: options.Watch = False,
) -> None:
    """List environments, or show one."""
    here = session.of(context)
    if name and (selector or phase):
        raise CommandError(
            "one environment is named, and others are selected",
            "leave out the name, or the selection",
            code=Exit.INVALID,
        )
    found = _read(here, name, selector, phase)
    if not name and not found and output in {Format.TABLE, Format.WIDE}:
        here.terminal.say("no environments; `springboard init` writes a file to begin with")
    _print(here, found, output, single=bool(name))
    shown = {each["metadata"]["uid"]: _row(each, wide=True, now=None) for each in found}
    while watch:
        here.pause(None)
        try:
            found = _read(here, name, selector, phase)
        except NotFoundError:
            here.terminal.say(f"{name} is gone")
            return
        rows = {each["metadata"]["uid"]: _row(each, wide=True, now=None) for each in found}
        changed = [each for each in found if shown.get(each["metadata"]["uid"]) != rows[each["metadata"]["uid"]]]
        for each in changed:
            _print(here, [each], output, single=True, header=False)
        shown = rows


def describe(context: typer.Context, name: options.Name) -> None:
    """Show all that is known of an environment: conditions, operation, cluster, applications."""
    here = session.of(context)
    document = here.api.environment(name).document
    for line in description.of(document, here.now()):
        here.terminal.data(line)


def events(
    context: typer.Context,
    name: options.Name,
    *,
    watch: options.Watch = False,
    output: options.Output = Format.TABLE,
) -> None:
    """Show what happened to an environment, oldest first."""
    here = session.of(context)
    after = ""
    header: Sequence[str] = ("TIME", "TYPE", "MESSAGE")
    while True:
        answer = here.api.events(name, after)
        items = answer.document["items"]
        if items:
            _print_events(here, items, header, output)
            header, after = (), str(items[-1]["id"])
        more = bool(items) and answer.retry_after == 0
        if not more and not watch:
            break
        if not more:
            here.pause(answer.retry_after)
    if not after:
        here.terminal.say(f"no events of {name} yet")


def why(context: typer.Context, name: options.Name) -> None:
    """Explain why an environment is not ready: the step, the cause, the remedy, what the pods say."""
    here = session.of(context)
    document = here.api.environment(name).document
    for line in description.explanation(document, here.api.diagnosis(name)):
        here.terminal.data(line)


def export(context: typer.Context, name: options.Name, *, output: options.Output = Format.YAML) -> None:
    """Print the environment as a file that apply takes: what was declared, without what the API added."""
    here = session.of(context)
    document = here.api.environment(name).document
    metadata = {key: value for key, value in document["metadata"].items() if key in {"name", "labels"} and value}
    declared = {key: document[key] for key in ("apiVersion", "kind")} | {"metadata": metadata, "spec": document["spec"]}
    here.terminal.document(declared, Format.JSON if output is Format.JSON else Format.YAML)


def _read(here: Session, name: str, selector: str, phase: str) -> list[Json]:
    return [here.api.environment(name).document] if name else here.api.environments(selector, phase)


def _print(here: Session, found: list[Json], output: Format, *, single: bool, header: bool = True) -> None:
    match output:
        case Format.JSON | Format.YAML:
            listed = {"apiVersion": "springboard/v1beta1", "kind": "EnvironmentList", "items": found}
            here.terminal.document(found[0] if single else listed, output)
        case Format.NAME:
            for name in names(found):
                here.terminal.data(name)
        case _:
            wide = output is Format.WIDE
            rows = [_row(each, wide=wide, now=here.now()) for each in found]
            if rows or single:
                lines = columns(_WIDE if wide else _HEADER, rows)
                for line in lines if header else lines[1:]:
                    here.terminal.out.print(line)


def _row(document: Json, *, wide: bool, now: datetime | None) -> tuple[str, ...]:
    status, metadata = document["status"], document["metadata"]
    row = (
        metadata["name"],
        status["phase"],
        status.get("cluster", {}).get("version") or status.get("resolved", {}).get("version") or "-",
        str(sum(int(group.get("size", 0)) for group in document["spec"].get("nodeGroups", ()))),
        status.get("url") or "-",
        times.age(metadata["creationTimestamp"], now) if now else "",
    )
    if not wide:
        return row
    ready: Json = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
    labels = ",".join(f"{key}={value}" for key, value in sorted(metadata.get("labels", {}).items()))
    return (*row, metadata.get("owner") or "-", labels or "-", ready.get("message") or "-")


def _print_events(here: Session, items: list[Json], header: Sequence[str], output: Format) -> None:
    if output in {Format.JSON, Format.YAML}:
        for item in items:
            here.terminal.document(item, output)
        return
    rows = [(each["time"], each["type"].removeprefix("springboard."), _event_message(each["data"])) for each in items]
    here.terminal.table(header, rows)


def _event_message(data: Json) -> str:
    match data:
        case {"condition": condition, "status": status}:
            return f"{condition} is {status}: {data.get('reason', '')} {data.get('message', '')}".rstrip()
        case {"from": before, "to": after}:
            return f"{before or 'nothing'} -> {after}"
        case {"failure": {"step": step, "cause": cause}}:
            return f"{data.get('kind', '')} failed at {step}: {cause}"
        case {"kind": kind}:
            return f"{kind} {data.get('operation', '')}".rstrip()
        case _:
            return str(data.get("message", ""))
