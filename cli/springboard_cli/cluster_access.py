"""A kubeconfig for an environment's cluster: whose token comes from `aws eks get-token`, so that it holds no secret."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import yaml

from springboard_cli import aws
from springboard_cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from pathlib import Path

    from springboard_cli.session import Session

    type Json = dict[str, Any]

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_LISTS = ("clusters", "users", "contexts")


def entry(here: Session, document: Json) -> Json:
    """A kubeconfig with the one context, named after the environment."""
    name = document["metadata"]["name"]
    cluster = document["status"].get("cluster", {})
    missing = [key for key in ("name", "endpoint", "certificateAuthority") if not cluster.get(key)]
    if missing:
        raise CommandError(
            f"the cluster of {name} is not there yet", f"`springboard wait {name} --for=condition=ClusterReady`"
        )
    found = here.surroundings.find("aws")
    if found is None:
        raise CommandError(
            "the AWS CLI is not installed", "kubectl gets its tokens by `aws eks get-token`: install awscli"
        )
    unique = str(cluster.get("arn") or cluster["name"])
    region = str(document["status"].get("region") or here.account.region)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": unique,
                "cluster": {
                    "server": cluster["endpoint"],
                    "certificate-authority-data": cluster["certificateAuthority"],
                },
            }
        ],
        "users": [{"name": unique, "user": {"exec": _exec(here, found, str(cluster["name"]), region)}}],
        "contexts": [{"name": name, "context": {"cluster": unique, "user": unique, "namespace": name}}],
        "current-context": name,
    }


def _exec(here: Session, command: str, cluster: str, region: str) -> Json:
    environ = here.surroundings.environ
    endpoint = environ.get("AWS_ENDPOINT_URL", "")
    variables = {"AWS_PROFILE": here.profile or "", "AWS_ENDPOINT_URL": endpoint}
    if endpoint and aws.is_loopback(endpoint):
        # The local cloud's keys are constants that open nothing else; keys of AWS are never written.
        variables |= {key: environ.get(key, "") for key in _KEYS}
    return {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": command,
        "args": ["--region", region, "eks", "get-token", "--cluster-name", cluster, "--output", "json"],
        "env": [{"name": key, "value": value} for key, value in variables.items() if value] or None,
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
    }


def merge(present: Json, added: Json) -> Json:
    """The present kubeconfig with the added entries in it; all others stay as they are."""
    merged = {"apiVersion": "v1", "kind": "Config", **present}
    for key in _LISTS:
        fresh = {item["name"] for item in added[key]}
        kept = [item for item in present.get(key) or () if item.get("name") not in fresh]
        merged[key] = kept + added[key]
    merged["current-context"] = added["current-context"]
    return merged


def merge_into(path: Path, added: Json) -> None:
    """Merge into a file that others use too: readable by its owner alone, and never half-written."""
    target = path.resolve()  # a link stays a link
    present = _read(target)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(target, merge(present, added))


def write(path: Path, content: Json) -> None:
    """Replace the file at once."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        os.replace(partial, path)  # noqa: PTH105 - of a path that mkstemp gave as text
    except BaseException:
        os.unlink(partial)  # noqa: PTH108 - as above
        raise


def _read(path: Path) -> Json:
    try:
        present = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise CommandError(
            f"{path} can't be read: {err}", "mend it, or set KUBECONFIG to another", code=Exit.FAILED
        ) from err
    if present is None:
        return {}
    if not isinstance(present, dict) or not all(isinstance(present.get(key) or [], list) for key in _LISTS):
        raise CommandError(f"{path} is no kubeconfig", "mend it, or set KUBECONFIG to another file")
    return present
