"""Tells the script to one lane.

python -m tests.local.kubernetes.conformance real [CHAPTER…]      records what the genuine programs answer
python -m tests.local.kubernetes.conformance embedded [CHAPTER…]  prints where the embedded lane differs
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from springboard_local.clock import ScaledClock
from springboard_local.kubernetes.embedded import EmbeddedLane
from springboard_local.kubernetes.real import RealLane
from tests.local.kubernetes.conformance import recording, session

if TYPE_CHECKING:
    from springboard_local.kubernetes.lane import Lane


def main(which: str, *wanted: str) -> None:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        place, clock = Path(folder), ScaledClock(speed=200)
        lane: Lane = RealLane(clock, place / "state") if which == "real" else EmbeddedLane(clock)
        try:
            told = session.run(lane, recording.VERSION, place, wanted)
        finally:
            lane.close()
            clock.close()
    if which == "real":
        recording.save(told)
        return
    found = recording.differences(told)
    listed = recording.known(told)
    for difference, text in found.items():
        sign = "known" if difference in listed else "NEW"
        sys.stdout.write(f"## {difference.step} {'code' if difference.in_code else 'text'} {sign}\n{text}\n\n")
    for difference in sorted(listed - set(found), key=lambda d: d.step):
        sys.stdout.write(f"## {difference.step} differs no longer\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
