"""kubeconfig: let kubectl reach an environment's cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from springboard_cli import cluster_access, session
from springboard_cli.commands import options  # noqa: TC001 - Typer reads annotations at run time
from springboard_cli.terminal import Format

if TYPE_CHECKING:
    from springboard_cli.session import Session

    type Json = dict[str, Any]


def kubeconfig(
    context: typer.Context,
    name: options.Name,
    *,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of merging it.")] = False,
) -> None:
    """Merge a context for the environment into your kubeconfig and make it the current one; no secret is written."""
    here = session.of(context)
    document = here.api.environment(name).document
    entry = cluster_access.entry(here, document)
    if stdout:
        here.terminal.document(entry, Format.YAML)
    else:
        path = _path(here)
        cluster_access.merge_into(path, entry)
        here.terminal.say(f"{path}: context {name} is the current one; try `kubectl get pods`")
    _reach(here, document)


def _path(here: Session) -> Path:
    """As kubectl does: the first of $KUBECONFIG, or ~/.kube/config."""
    given = [part for part in here.surroundings.environ.get("KUBECONFIG", "").split(":") if part]
    return Path(given[0]) if given else here.surroundings.home / ".kube" / "config"


def _reach(here: Session, document: Json) -> None:
    """How to reach an endpoint that is private."""
    if document["spec"].get("cluster", {}).get("apiAccess", {}).get("publicCidrs"):
        return
    if here.local:
        here.terminal.say("The endpoint is private; this machine counts as inside the local cloud's VPC.")
        return
    vpc = document["status"]["cluster"].get("vpcId", "its VPC")
    here.terminal.say(
        f"The cluster's endpoint is private: it answers inside {vpc} alone. Reach it by a VPN or a peered"
    )
    here.terminal.say(
        "network, from CloudShell in that VPC, or by Session Manager port forwarding; or name your public"
    )
    here.terminal.say("addresses in spec.cluster.apiAccess.publicCidrs and apply.")
