"""The programs of the control plane: where they are, and how they are made.

They are built from the Go module beside this file, once for each version of it, into the user's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

# What the module's `tool` lines and our own command install, and what we ask of it.
_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "server", "front")
_SOURCES = ("go.mod", "go.sum", "front/main.go")


class NotBuiltError(ValueError):
    """The control plane's programs are not there; the message says how to get them."""


@dataclass(frozen=True)
class Toolchain:
    """The folder of the programs."""

    folder: Path

    def program(self, name: str) -> Path:
        """The path of one of them."""
        return self.folder / name

    @property
    def etcd(self) -> Path:
        """etcd, which its Go module calls `server`."""
        return self.folder / "server"


def find() -> Toolchain:
    """The programs, or a NotBuiltError."""
    folder = cache() / _key()
    if all((folder / name).exists() for name in _PROGRAMS):
        return Toolchain(folder)
    raise NotBuiltError("the real Kubernetes control plane is not built: run `make kubernetes`")


def cache() -> Path:
    """Where the user's programs of all versions are: below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "springboard" / "kubernetes"


def _source(name: str) -> bytes:
    return files(__package__).joinpath("module", name).read_bytes()


def kubernetes() -> str:
    """The version of Kubernetes that the module names."""
    found = re.search(r"^\tk8s\.io/kubernetes (v[0-9.]+)", _source("go.mod").decode(), re.MULTILINE)
    if found is None:
        raise ValueError("go.mod names no version of k8s.io/kubernetes")
    return found[1]


def _key() -> str:
    """The version of Kubernetes, and a hash of all that the programs are made of."""
    digest = hashlib.sha256(b"\0".join(_source(name) for name in _SOURCES))
    return f"{kubernetes()}-{digest.hexdigest()[:12]}"


def build(go: str) -> Toolchain:
    """Build the programs with the command `go`; CalledProcessError when it fails. Two at once do no harm."""
    version = kubernetes()
    major, minor = version.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"
    # Without these kubectl can make nothing of the server's version.
    flags = f"-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    home = cache()
    home.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".building-", dir=home, ignore_cleanup_errors=True) as made,
        as_file(files(__package__).joinpath("module")) as module,
    ):
        subprocess.run(  # noqa: S603 - the Go command, and a module of our own
            [go, "install", "-trimpath", "-ldflags", flags, "tool", "./front"],
            cwd=module,
            env={**os.environ, "GOBIN": made, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
            check=True,
        )
        Path(made).chmod(0o755)
        with contextlib.suppress(OSError):  # somebody else was faster
            Path(made).rename(home / _key())
    return find()
