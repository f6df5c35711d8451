"""logs: what the applications write, by kubectl."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from springboard_cli import cluster_access, session
from springboard_cli.commands import options  # noqa: TC001 - Typer reads annotations at run time
from springboard_cli.errors import CommandError, Exit


def logs(
    context: typer.Context,
    name: options.Name,
    *,
    app: Annotated[str, typer.Option(help="Which application; all without it.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the container before its last crash.")] = False,
    tail: Annotated[int, typer.Option(min=-1, help="Lines of each pod; -1 for all.")] = 100,
) -> None:
    """Print the logs of an environment's pods; needs kubectl, and a way to the cluster's endpoint."""
    here = session.of(context)
    document = here.api.environment(name).document
    known = [str(each["name"]) for each in document["status"].get("apps", ())]
    if app and app not in known:
        raise CommandError(f"{name} has no application {app}", f"it has {', '.join(known)}", code=Exit.INVALID)
    kubectl = here.surroundings.find("kubectl")
    if kubectl is None:
        raise CommandError(
            "kubectl is not installed", f"install it; `springboard why {name}` shows the end of a failing pod's log"
        )
    selector = f"app.kubernetes.io/name={app}" if app else f"app.kubernetes.io/name in ({','.join(known)})"
    command = [kubectl, "logs", f"--namespace={name}", f"--selector={selector}", "--prefix", f"--tail={tail}"]
    command += ["--max-log-requests=50"] + (["--follow"] if follow else []) + (["--previous"] if previous else [])
    with tempfile.TemporaryDirectory(prefix="springboard-") as folder:
        config = Path(folder) / "kubeconfig"
        cluster_access.write(config, cluster_access.entry(here, document))
        code = here.surroundings.run(command, {**here.surroundings.environ, "KUBECONFIG": str(config)})
    if code:
        private = not document["spec"].get("cluster", {}).get("apiAccess", {}).get("publicCidrs")
        raise CommandError(
            f"kubectl ended with {code}",
            "the cluster's endpoint is private: `springboard kubeconfig` says how to reach it"
            if private and not here.local
            else f"`springboard why {name}` shows the end of a failing pod's log",
        )
