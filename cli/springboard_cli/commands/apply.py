"""apply, plan, deploy: make an environment as a document says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from springboard_cli import cost, following, session, yaml_document
from springboard_cli.commands import options
from springboard_cli.errors import CommandError, Exit, NotFoundError
from springboard_cli.terminal import Format, counted, names

if TYPE_CHECKING:
    from springboard_cli.api import Answer
    from springboard_cli.session import Session

    type Json = dict[str, Any]


def apply(
    context: typer.Context,
    file: options.File,
    *,
    no_wait: options.NoWait = False,
    timeout: options.Timeout = "2h",
    output: options.Output = Format.TABLE,
) -> None:
    """Create the environment of a file, or change it to what the file says; end with its URL."""
    here = session.of(context)
    limit = options.seconds(timeout)
    document = load(file)
    answer, verb = _send(here, document)
    name = answer.document["metadata"]["name"]
    for warning in answer.document.get("warnings", ()):
        here.terminal.say(f"warning: {warning}", "yellow")
    if answer.status == 200:
        here.terminal.say(f"{name}: nothing differs")
        finish(here, answer.document, output)
    elif no_wait:
        announce(here, answer.document, verb, output)
    else:
        finish(here, following.to_the_end(here, answer, limit), output)


def plan(
    context: typer.Context,
    file: options.File,
    *,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="0: nothing differs, 1: an error, 2: something would change.")
    ] = False,
    output: options.Output = Format.TABLE,
) -> None:
    """Show what apply would do, and do nothing."""
    here = session.of(context)
    try:
        differs = _plan(here, load(file), output)
    except CommandError as err:
        if detailed_exitcode:
            err.code = Exit.FAILED
        raise
    if detailed_exitcode and differs:
        raise typer.Exit(2)


def deploy(
    context: typer.Context,
    name: options.Name,
    image: Annotated[str, typer.Option(help="The new image, with a tag or a digest.", show_default=False)],
    *,
    app: Annotated[str, typer.Option(help="Which application, where there are several.")] = "",
    no_wait: options.NoWait = False,
    timeout: options.Timeout = "1h",
    output: options.Output = Format.TABLE,
) -> None:
    """Run another image: changes one application's image and nothing else."""
    here = session.of(context)
    limit = options.seconds(timeout)
    present = here.api.environment(name)
    apps = _with_image(present.document, image, app)
    answer = here.api.merge(name, {"spec": {"apps": apps}}, present.etag)
    for warning in answer.document.get("warnings", ()):
        here.terminal.say(f"warning: {warning}", "yellow")
    if answer.status == 200:
        here.terminal.say(f"{name}: that image runs already")
        finish(here, answer.document, output)
    elif no_wait:
        announce(here, answer.document, "configured", output)
    else:
        finish(here, following.to_the_end(here, answer, limit), output)


def load(file: str) -> yaml_document.Document:
    """The document of -f, with a name that it can be looked up by."""
    if file == "-":
        document = yaml_document.read(sys.stdin.buffer.read(yaml_document.MAX_BYTES + 1), "stdin")
    else:
        try:
            with Path(file).open("rb") as opened:
                document = yaml_document.read(opened.read(yaml_document.MAX_BYTES + 1), file)
        except OSError as err:
            raise CommandError(f"{file}: {err.strerror}", code=Exit.INVALID) from err
    if isinstance(document.value, dict) and "status" in document.value:
        raise CommandError(
            f"{document.place('status')}: status is the API's to write",
            "remove it, or write a file to apply with `springboard export NAME`",
            code=Exit.INVALID,
        )
    return document


def finish(here: Session, document: Json, output: Format) -> None:
    """The end of a command that has made something: its addresses, or the document."""
    if output in {Format.JSON, Format.YAML}:
        here.terminal.document(document, output)
    elif output is Format.NAME:
        here.terminal.data(names([document])[0])
    else:
        for url in urls(document):
            here.terminal.data(url)
            _local_way(here, url)


def _local_way(here: Session, url: str) -> None:
    """A local cloud's names are in no DNS: the command that reaches its load balancer all the same."""
    host = url.removeprefix("https://")
    for balancer in here.api.local_addresses():
        if host in balancer.get("hosts", ()) and balancer.get("https"):
            here.terminal.say(
                f"curl --cacert {balancer.get('ca')} --connect-to {host}:443:127.0.0.1:{balancer['https']} {url}/"
            )


def announce(here: Session, document: Json, verb: str, output: Format) -> None:
    """The end of a command that does not wait."""
    name = document["metadata"]["name"]
    if output in {Format.JSON, Format.YAML, Format.NAME}:
        finish(here, document, output)
    else:
        here.terminal.data(f"environment/{name} {verb}")
    here.terminal.say(f"`springboard wait {name}` waits until it is ready")


def urls(document: Json) -> list[str]:
    """Where the applications answer."""
    return [str(app["url"]) for app in document["status"].get("apps", ()) if app.get("url")]


def _present(here: Session, document: yaml_document.Document) -> Answer | None:
    if not document.name:
        return None  # the API says what is wrong with it
    try:
        return here.api.environment(document.name)
    except NotFoundError:
        return None


def _send(here: Session, document: yaml_document.Document) -> tuple[Answer, str]:
    present = _present(here, document)
    try:
        if present is not None:
            return here.api.replace(document.name, document.value, present.etag), "configured"
        if document.name:
            _foretell(here, document)
        return _create(here, document)
    except CommandError as err:
        raise document.locate(err) if err.mistakes else err from err


def _create(here: Session, document: yaml_document.Document) -> tuple[Answer, str]:
    try:
        return here.api.create(document.value), "created"
    except CommandError as err:
        present = _present(here, document) if err.code is Exit.CONFLICT else None
        if present is None:
            raise
        # Made between the two looks, as by the same command in another terminal: the file still says what it is to be.
        return here.api.replace(document.name, document.value, present.etag), "configured"


def _foretell(here: Session, document: yaml_document.Document) -> None:
    """Before the first create: what it makes, and what of that is billed."""
    lines = cost.declared(document.value)
    here.terminal.say(f"{document.name} does not exist yet. It will cost, for as long as it stands:")
    here.terminal.note_table(cost.table(lines))
    here.terminal.say(f"  {cost.summary(lines)}")
    here.terminal.say("  network, NAT gateway and functions are the stack's and are there already")
    if here.local:
        here.terminal.say("  this is the local cloud: nothing is billed")


def _plan(here: Session, document: yaml_document.Document, output: Format) -> bool:
    present = _present(here, document)
    try:
        found = here.api.plan(document.name, document.value, present.etag if present else "")
    except CommandError as err:
        raise document.locate(err) if err.mistakes else err from err
    show_plan(here, found, output)
    if found.get("action") == "Create" and output is Format.TABLE:
        lines = cost.declared(document.value)
        here.terminal.data()
        here.terminal.data("It will cost, for as long as it stands:")
        here.terminal.table((), cost.table(lines), indent=2)
        here.terminal.data(f"  {cost.summary(lines)}")
    return bool(found["changes"] or found["unknown"] or found.get("spec"))


def show_plan(here: Session, found: Json, output: Format) -> None:
    """A plan as people read it, or as the API gave it."""
    if output in {Format.JSON, Format.YAML}:
        here.terminal.document(found, output)
        return
    for warning in found.get("warnings", ()):
        here.terminal.say(f"warning: {warning}", "yellow")
    name = found["metadata"]["name"]
    if found["changes"]:
        rows = [(each["action"], each["resource"], _effect(each), each["reason"]) for each in found["changes"]]
        here.terminal.table(("ACTION", "RESOURCE", "EFFECT", "BECAUSE"), rows)
    if found.get("spec"):
        declared = [(each["field"], _shown(each, "from"), _shown(each, "to")) for each in found["spec"]]
        here.terminal.table(("FIELD", "FROM", "TO"), declared)
    for each in found["unknown"]:
        here.terminal.say(f"unknown: {each['component']}: {each['reason']}", "yellow")
    if found["changes"]:
        here.terminal.say(f"{name}: {_made_by_apply(len(found['changes']))}")
    elif found.get("spec"):
        here.terminal.say(f"{name}: the spec differs, and no resource; `springboard apply` records it")
    elif found["unknown"]:
        here.terminal.say(f"{name}: no change is known, but not all components answered")
    else:
        here.terminal.say(f"{name}: nothing differs")


def _made_by_apply(count: int) -> str:
    return f"{counted(count, 'change')}; `springboard apply` makes {'it' if count == 1 else 'them'}"


def _shown(change: Json, side: str) -> str:
    value = change.get(side, "(not shown)")
    return "-" if value is None else str(value)


def _effect(change: Json) -> str:
    effect = str(change.get("effect", "None"))
    return "-" if effect == "None" else effect.lower()


def _with_image(document: Json, image: str, wanted: str) -> list[Json]:
    """The declared applications with one image exchanged."""
    name = document["metadata"]["name"]
    apps: list[Json] = [dict(app) for app in document["spec"]["apps"]]
    known = [str(app.get("name", name)) for app in apps]
    if not wanted and len(apps) > 1:
        raise CommandError(
            f"{name} has several applications", f"choose with --app: {', '.join(known)}", code=Exit.INVALID
        )
    if wanted and wanted not in known:
        raise CommandError(f"{name} has no application {wanted}", f"it has {', '.join(known)}", code=Exit.INVALID)
    apps[known.index(wanted) if wanted else 0]["image"] = image
    return apps
