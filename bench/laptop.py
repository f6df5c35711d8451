"""What somebody waits for on a laptop: the local cloud, and the demo. Seconds of this machine, so a coarse figure."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.budgets import Figure
from springboard_local import process

_ROOT = Path(__file__).parents[1]
_SAID = re.compile(r"(\d+) s from deploy to Ready; (\d+) s in all")


def start() -> list[Figure]:
    """From `springboard local up` to its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        started = process.up(state=Path(folder) / "cloud", port=0)
        taken = time.perf_counter() - begun
        process.down(Path(started.state))
    return [Figure("local cloud answers", "s", round(taken, 1), "one start, until it answers")]


def demo() -> list[Figure]:
    """`make demo`, whose last line says how long it took; the cloud is ended after it."""
    done = subprocess.run(
        [sys.executable, "-m", "springboard_local.demo"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    process.down()
    said = _SAID.search(done.stdout)
    if said is None:
        message = f"the demo did not end: {(done.stdout + done.stderr)[-800:]}"
        raise RuntimeError(message)
    return [
        Figure("environment Ready after deploy at speed 60", "s", float(said[1]), "one demo"),
        Figure("demo", "s", float(said[2]), "one demo, everything set up before"),
    ]
