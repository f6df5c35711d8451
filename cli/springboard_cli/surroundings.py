"""All that the commands need of the machine they run on; tests bring their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from springboard_cli import aws, dns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx


class Clock(Protocol):
    """Time; tests move it by hand."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class RealClock:
    """This machine's."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def find_program(name: str) -> str | None:
    """Its absolute path: on PATH, or beside our own interpreter, where `pip install` puts it."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.exists() else None)
    return str(Path(found).absolute()) if found else None


def run_program(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run it on this terminal; its exit code."""
    return subprocess.run(list(command), env=dict(environ), check=False).returncode  # noqa: S603 - an absolute path


def ask(prompt: str) -> str:
    """A line from the person; the question goes to stderr, so that stdout stays data."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def can_ask() -> bool:
    """Whether a person sits there."""
    return sys.stdin.isatty()


def installed_version() -> str:
    """Of the wheel, or of the workspace that it is developed in."""
    for distribution in ("springboard-cli", "springboard-workspace"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"


@dataclass(frozen=True)
class Surroundings:
    """The machine, AWS, and the network."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    home: Path = field(default_factory=Path.home)
    clock: Clock = field(default_factory=RealClock)
    connect: Callable[..., aws.Account] = aws.Account
    transport: httpx.BaseTransport | None = None
    find: Callable[[str], str | None] = find_program
    run: Callable[[Sequence[str], Mapping[str, str]], int] = run_program
    ask: Callable[[str], str] = ask
    name_servers: Callable[[str], frozenset[str] | None] = dns.name_servers
    interactive: Callable[[], bool] = can_ask
    local_cloud: Callable[[], Any] | None = None  # springboard_local.process, or a stand-in
