"""A lane starts control planes, and lets go of those that were stopped."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springboard_local.kubernetes.lane import ControlPlane, Lane


def start(lane: Lane, name: str) -> ControlPlane:
    return lane.start(name, "1.35", review=lambda _: None, allow=lambda *_: False, pod_start=lambda: 1.0)


def test_a_control_plane_that_was_stopped_is_forgotten_with_all_its_objects(lane: Lane) -> None:
    first = start(lane, "first")
    before = weakref.ref(first)
    first.stop()
    second = start(lane, "second")
    del first
    gc.collect()
    assert before() is None
    assert second.nodes() == []
