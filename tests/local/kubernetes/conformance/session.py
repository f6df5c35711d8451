"""Runs the conformance script's chapters against one control plane, whichever lane serves it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import kubernetes
import yaml
from kubernetes.client.exceptions import ApiException

from springboard_local.kubernetes.lane import User
from tests.local.kubernetes.cluster import deny, kubeconfig, node
from tests.local.kubernetes.conformance.normal import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from springboard_local.kubernetes.lane import ControlPlane, Lane

FOLDER = Path(__file__).parent
_KUBECTL = str(Path(sys.executable).parent / "kubectl")
_PATIENCE = 30.0  # seconds for one command
_UNTIL = 8.0  # seconds that `until` is waited for
_JSON = "application/json"

ADMIN, DEVELOPER, STRANGER = "admin", "developer", "stranger"
_TOKENS = {ADMIN: "admin-token", DEVELOPER: "developer-token", STRANGER: "stranger-token"}
_USERS = {
    _TOKENS[ADMIN]: User("admin", ("system:masters",), "admin"),
    _TOKENS[DEVELOPER]: User("developer", ("developers",)),
}


def review(token: str) -> User | None:
    """The script's principals: an administrator, a developer without rights; a stranger is nobody."""
    return _USERS.get(token)


@dataclass(frozen=True)
class Step:
    """One command or client call. All but `run` is optional in the script.

    run: `kubectl …` or `GET /path` (any HTTP verb, sent through the official client's ApiClient)
    stdin: what kubectl reads; body, type, accept: what a call sends
    principal: admin (default), developer, stranger
    until: a pattern; the step is repeated until it is in the output
    keep: all (default) | sorted (lines in any order) | last (the last line only) | code (the exit code only)
    only: keep just the output's lines in which the pattern is found
    """

    run: str
    stdin: str | None = None
    body: Any = None
    type: str = _JSON
    accept: str = _JSON
    principal: str = ADMIN
    until: str = ""
    keep: str = "all"
    only: str = ""
    store: str = ""  # "name=regex": what the first group matches is {name} in later steps

    @classmethod
    def read(cls, value: Any) -> Step:
        """A step of the script: the bare command, or a mapping."""
        return cls(value) if isinstance(value, str) else cls(**value)


@dataclass(frozen=True)
class Chapter:
    """A story in a namespace of its own. Those that touch nodes run alone, before the others."""

    name: str
    steps: tuple[Step, ...]
    alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a step ended with, normalised."""

    run: str
    code: str  # exit code or HTTP status
    out: str
    err: str

    def text(self) -> str:
        """As in a recorded transcript."""
        lines = [f"$ {self.run}"]
        lines += [f"  {line}".rstrip() for line in self.out.splitlines()]
        lines += [f"! {line}".rstrip() for line in self.err.splitlines()]
        return "\n".join([*lines, f"= {self.code}", ""])


def chapters() -> list[Chapter]:
    """The whole script."""
    found = []
    for path in sorted((FOLDER / "script").glob("*.yaml")):
        data = yaml.safe_load(path.read_text())
        steps = tuple(Step.read(value) for value in data["steps"])
        found.append(Chapter(path.stem, steps, data.get("alone", False)))
    return found


def run(lane: Lane, version: str, folder: Path, wanted: Sequence[str] = ()) -> dict[str, list[Outcome]]:
    """Every chapter's outcomes on a new control plane with three nodes; `wanted` picks some by name."""
    plane = lane.start("conformance", version, review=review, allow=deny, pod_start=lambda: 10.0)
    try:
        for number in (1, 2, 3):
            plane.add_node(node(number), ready=True)
        story = [c for c in chapters() if not wanted or c.name in wanted]
        told = {c.name: _tell(plane, c, folder) for c in story if c.alone}
        together = [c for c in story if not c.alone]
        with ThreadPoolExecutor(4) as pool:
            outcomes = pool.map(lambda c: _tell(plane, c, folder), together)
            told.update(zip((c.name for c in together), outcomes, strict=True))
        return {chapter.name: told[chapter.name] for chapter in story}
    finally:
        plane.stop()


def _tell(plane: ControlPlane, chapter: Chapter, folder: Path) -> list[Outcome]:
    with Teller(plane, chapter.name, folder) as teller:
        return [teller.take(step) for step in chapter.steps]


class Teller:
    """Takes the steps of one chapter, in its namespace `c-CHAPTER`."""

    def __init__(self, plane: ControlPlane, chapter: str, folder: Path) -> None:
        self._namespace = f"c-{chapter}"
        self._words = {"namespace": self._namespace, "node": node(1).name, "node2": node(2).name}
        self._cache = folder / "cache"
        self._cwd = folder / chapter
        self._cwd.mkdir(parents=True, exist_ok=True)
        self._configs: dict[str, Path] = {}
        self._clients: dict[str, kubernetes.client.ApiClient] = {}
        for principal, token in _TOKENS.items():
            path = self._configs[principal] = folder / f"{chapter}-{principal}.json"
            config = json.loads(kubeconfig(plane, token))
            config["contexts"][0]["context"]["namespace"] = self._namespace
            path.write_text(json.dumps(config))
            self._clients[principal] = kubernetes.config.new_client_from_config(str(path))

    def __enter__(self) -> Self:
        self._kubectl(Step(f"kubectl create namespace {self._namespace}"))
        self._kubectl(Step("kubectl wait --for=create serviceaccount/default configmap/kube-root-ca.crt --timeout=20s"))
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self._clients.values():
            client.close()

    def take(self, step: Step) -> Outcome:
        """Do it, again and again where it waits for something, and keep what is worth comparing."""
        deadline = time.monotonic() + _UNTIL
        while True:
            code, out, err = self._once(step)
            if not step.until or re.search(step.until, out + err) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if step.store:
            name, _, pattern = step.store.partition("=")
            found = re.search(pattern, out)
            self._words[name] = found[1] if found else "NOTHING-FOUND"
        kept, said = _keep(step, normalise(out), step.only), _keep(step, normalise(err), "")
        shown = f"{step.run}" + ("" if step.principal == ADMIN else f"  # as {step.principal}")
        return Outcome(shown, code, kept, said)

    def _once(self, step: Step) -> tuple[str, str, str]:
        return self._kubectl(step) if step.run.startswith("kubectl ") else self._call(step)

    def _filled(self, text: str) -> str:
        for name, value in self._words.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _kubectl(self, step: Step) -> tuple[str, str, str]:
        words = [self._filled(word) for word in shlex.split(step.run)[1:]]
        base = [_KUBECTL, f"--kubeconfig={self._configs[step.principal]}", f"--cache-dir={self._cache}"]
        try:
            done = subprocess.run(  # noqa: S603 - the script is ours
                [*base, *words],
                input=self._filled(step.stdin) if step.stdin else None,
                stdin=None if step.stdin else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE,
                cwd=self._cwd,
                env={**os.environ, "KUBECTL_EXTERNAL_DIFF": "diff -u -N"},
            )
        except subprocess.TimeoutExpired:
            return "timeout", "", ""
        return str(done.returncode), done.stdout, done.stderr

    def _call(self, step: Step) -> tuple[str, str, str]:
        method, _, target = step.run.partition(" ")
        path, _, query = self._filled(target).partition("?")
        pairs = [tuple(p.partition("=")[::2]) for p in query.split("&") if p]
        body = json.loads(self._filled(json.dumps(step.body))) if step.body is not None else None
        headers = {"Accept": step.accept, "Content-Type": step.type}
        try:
            data, status, answered = self._clients[step.principal].call_api(
                path,
                method,
                query_params=pairs,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=_PATIENCE,
            )
            text, warned = data.data.decode(), answered.get("Warning", "")
        except ApiException as error:
            status, text, warned = (
                error.status,
                error.body or str(error.reason),
                (error.headers or {}).get("Warning", ""),
            )
            text = text.decode() if isinstance(text, bytes) else text
        return str(status), _pretty(text), warned


def _pretty(text: str) -> str:
    """JSON documents, one per line as a watch sends them, in YAML without order."""
    try:
        documents = [json.loads(line) for line in text.splitlines() if line]
    except ValueError:
        return text
    return "---\n".join(yaml.safe_dump(each, width=1000) for each in documents)


def _keep(step: Step, text: str, only: str) -> str:
    lines = [line for line in text.splitlines() if re.search(only, line)]
    match step.keep:
        case "code":
            lines = []
        case "last":
            lines = lines[-1:]
        case "sorted":
            lines = sorted(lines)
    return "\n".join(lines)
