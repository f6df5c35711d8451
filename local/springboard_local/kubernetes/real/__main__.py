"""`make kubernetes`: build the real control plane unless it is there, and say what it does and how long it took."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

from springboard_local.kubernetes.real import toolchain


def main() -> int:
    """Build what is not there, and say so."""
    try:
        say(f"The real Kubernetes control plane is built: {toolchain.find().folder}")
    except toolchain.NotBuiltError:
        pass
    else:
        return 0
    go = shutil.which("go")
    if go is None:
        say("There is no Go toolchain on PATH; `make kubernetes` gets one from PyPI.")
        return 1
    say(f"Building Kubernetes {toolchain.kubernetes()} (API server, controller manager, scheduler) and etcd")
    say("from their Go modules, once: 1 GB of modules, 3 GB of Go's build cache, about 8 minutes on 2 cores.")
    began = time.monotonic()
    try:
        built = toolchain.build(go)
    except subprocess.CalledProcessError as error:
        say(f"go install ended with {error.returncode}")
        return 1
    size = sum(each.stat().st_size for each in built.folder.iterdir()) / 1e6
    say(f"Built in {time.monotonic() - began:.0f} s, {size:.0f} MB: {built.folder}")
    return 0


def say(line: str) -> None:
    """One line for people."""
    print(line, flush=True)  # noqa: T201 - this program talks


if __name__ == "__main__":
    sys.exit(main())
