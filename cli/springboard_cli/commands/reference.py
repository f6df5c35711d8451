"""versions, schema: what the API says of Kubernetes and of its documents."""

from __future__ import annotations

import typer  # noqa: TC002 - as options below

from springboard_cli import session
from springboard_cli.commands import options  # noqa: TC001 - Typer reads annotations at run time
from springboard_cli.terminal import Format


def versions(context: typer.Context, *, output: options.Output = Format.TABLE) -> None:
    """List the Kubernetes versions that EKS offers, and until when it supports them."""
    here = session.of(context)
    document = here.api.get("/versions").document
    if output in {Format.JSON, Format.YAML}:
        here.terminal.document(document, output)
        return
    if output is Format.NAME:
        for each in document["items"]:
            here.terminal.data(each["version"])
        return
    rows = [
        (
            each["version"],
            "default" if each.get("default") else "-",
            each.get("patch") or "-",
            each.get("support", "-"),
            each.get("endOfStandardSupport", "-"),
            each.get("endOfExtendedSupport", "-"),
        )
        for each in document["items"]
    ]
    here.terminal.table(("VERSION", "DEFAULT", "PATCH", "SUPPORT", "STANDARD UNTIL", "EXTENDED UNTIL"), rows)


def schema(context: typer.Context) -> None:
    """Print the JSON Schema of the environment's file, for editors."""
    here = session.of(context)
    here.terminal.document(here.api.get("/schema").document, Format.JSON)
