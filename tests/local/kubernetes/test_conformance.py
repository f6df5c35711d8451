"""One script of kubectl commands and client calls; the embedded lane and the real one are held to the same answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from springboard_local.clock import ScaledClock
from springboard_local.kubernetes.embedded import EmbeddedLane
from springboard_local.kubernetes.real import RealLane
from tests.local.kubernetes.conformance import recording, session
from tests.local.kubernetes.conformance.normal import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# With the gate; the others, 60 ms for each kubectl, with the sweep.
SAMPLE = ("apply", "calls", "edit", "invalid", "lists", "nodes")
ALL = tuple(chapter.name for chapter in session.chapters())


def _compare_embedded(folder: Path, chapters: Sequence[str]) -> None:
    clock = ScaledClock(speed=200)
    lane = EmbeddedLane(clock)
    try:
        told = session.run(lane, recording.VERSION, folder, chapters)
    finally:
        lane.close()
        clock.close()
    found, listed = recording.differences(told), recording.known(chapters)
    new = [f"{each.step}: {text}" for each, text in found.items() if each not in listed]
    assert new == [], "\n\n".join(new)
    mended = sorted(each.step for each in listed - set(found))
    assert mended == [], f"these are in differences.yaml, and differ no longer (or in code, or in text alone): {mended}"


@pytest.mark.slow
def test_the_embedded_lane_answers_as_the_genuine_programs_did(tmp_path: Path) -> None:
    _compare_embedded(tmp_path, SAMPLE)


@pytest.mark.sweep
def test_the_embedded_lane_answers_so_in_every_other_chapter(tmp_path: Path) -> None:
    _compare_embedded(tmp_path, [name for name in ALL if name not in SAMPLE])


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_genuine_programs_answer_as_recorded(tmp_path: Path) -> None:
    clock = ScaledClock(speed=200)
    lane = RealLane(clock, tmp_path / "state")
    try:
        told = session.run(lane, recording.VERSION, tmp_path)
    finally:
        lane.close()
        clock.close()
    assert list(recording.differences(told).values()) == []


def test_what_is_volatile_is_left_out() -> None:
    assert normalise("pod/shop-7d5f8b6c5d-x2x4z  3m5s   10.0.0.1") == "pod/shop-HASH-SUFFIX  AGE  ADDRESS"
    assert (
        normalise('resourceVersion: "17"\nuid: 0f3c2b1a-0000-4000-8000-0123456789ab') == "resourceVersion: N\nuid: UID"
    )


def test_every_step_is_recorded() -> None:
    for chapter in session.chapters():
        assert len(recording.recorded(chapter.name)) == len(chapter.steps), chapter.name
