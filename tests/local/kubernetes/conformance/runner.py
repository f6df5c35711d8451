"""Runs a script of kubectl commands against any cluster, and makes the outputs comparable.

    python -m tests.local.kubernetes.conformance.runner KUBECONFIG > outcome.json

Two outcomes, of two clusters, are compared command by command with `differences`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
_PATIENCE = 60.0
# What differs from run to run and says nothing: put a word in its place.
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "TIME"),
    (re.compile(r"\b(\d+d)?(\d+h)?(\d+m)?\d+s\b"), "AGE"),
    (re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b"), "-HASH-SUFFIX"),
    (re.compile(r"\b(shop|agent)-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b"), r"\1-HASH"),
    (re.compile(r"\b(shop|agent)-[bcdfghjklmnpqrstvwxz2456789]{5}\b"), r"\1-SUFFIX"),
    (re.compile(r"kube-api-access-\w{5}"), "kube-api-access-SUFFIX"),
    (re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"), "ADDRESS"),
    (re.compile(r'resourceVersion: "\d+"'), 'resourceVersion: "N"'),
    (re.compile(r" {2,}"), "  "),
)


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    command: str
    expected: int
    code: int
    out: str
    err: str


def normalise(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text


def commands() -> list[tuple[int, str]]:
    """Expected exit codes and commands of the script."""
    lines = (FOLDER / "script.txt").read_text().splitlines()
    parts = (line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    return [(int(code), command) for code, command in parts]


def run(kubeconfig: Path, kubectl: str = "kubectl") -> list[Outcome]:
    """Run the whole script; the kubeconfig's current namespace changes on the way."""
    with tempfile.TemporaryDirectory() as cache:
        base = [kubectl, f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}"]

        def call(arguments: list[str]) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*base, *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE)  # noqa: S603 - the script is ours

        node = call(["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).stdout
        outcomes = []
        for expected, command in commands():
            words = [
                w.replace("{manifests}", str(FOLDER / "manifests")).replace("{node}", node) for w in command.split()
            ]
            done = call(words)
            outcomes.append(Outcome(command, expected, done.returncode, done.stdout, done.stderr))
        return outcomes


def differences(one: list[Outcome], other: list[Outcome]) -> list[str]:
    """What two clusters answered differently, command by command."""
    found = []
    for mine, theirs in zip(one, other, strict=True):
        for part in ("code", "out", "err"):
            pair = [normalise(str(getattr(outcome, part))) for outcome in (mine, theirs)]
            if pair[0] != pair[1]:
                found.append(f"{mine.command}: {part}: {pair[0]!r} against {pair[1]!r}")
    return found


if __name__ == "__main__":
    json.dump([asdict(outcome) for outcome in run(Path(sys.argv[1]))], sys.stdout, indent=1)
