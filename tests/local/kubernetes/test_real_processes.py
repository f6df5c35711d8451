"""The real lane's programs end with whoever started them, and its cluster's objects with the cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

_STARTER = """
import sys, time
from pathlib import Path
from springboard_local.clock import ScaledClock
from springboard_local.kubernetes.real import RealLane
lane = RealLane(ScaledClock(20), Path(sys.argv[1]))
lane.start("short", "1.36", review=lambda token: None, allow=lambda attributes: False, pod_start=lambda: 1.0)
print("serves", flush=True)
time.sleep(600)
"""


def processes_of(state: Path) -> list[str]:
    """Command lines that name the folder."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True)  # noqa: S607 - POSIX
    return [line for line in listed.stdout.splitlines() if f"{state}/" in line and "-c" not in line.split()]


def test_nothing_outlives_a_starter_that_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", _STARTER, str(state)], stdout=subprocess.PIPE, text=True) as starter:  # noqa: S603 - ourselves
        try:
            assert starter.stdout is not None
            assert starter.stdout.readline() == "serves\n"
            assert len(processes_of(state)) == 5  # etcd, API server, controllers, scheduler, front
        finally:
            os.kill(starter.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while processes_of(state):
        assert time.monotonic() < deadline, processes_of(state)
