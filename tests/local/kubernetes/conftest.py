"""Clusters of either lane; on the embedded one, with a clock that only the test moves."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from springboard_local.clock import ManualClock, ScaledClock
from springboard_local.kubernetes.embedded import EmbeddedLane
from tests.local.kubernetes.cluster import POD_START, Cluster, deny, node, review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from springboard_local.kubernetes.lane import Lane

# A pod's start takes one real second: long enough to be looked at, short enough to be waited for.
_REAL_SPEED = 20.0


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The lane: embedded, unless a module asks for both by `cluster.BOTH_LANES`."""
    return str(getattr(request, "param", "embedded"))


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """Moves the embedded lane."""
    clock = ManualClock()
    yield clock
    clock.close()


@pytest.fixture
def running_clock() -> Iterator[ScaledClock]:
    """Moves by itself, as other programs do."""
    clock = ScaledClock(_REAL_SPEED)
    yield clock
    clock.close()


@pytest.fixture
def lane(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lane]:
    """The lane, with no cluster in it."""
    lane: Lane
    if kind == "real":
        from springboard_local.kubernetes.real import RealLane  # noqa: PLC0415 - only where it is asked for

        lane = RealLane(request.getfixturevalue("running_clock"), tmp_path)
    else:
        lane = EmbeddedLane(request.getfixturevalue("clock"))
    yield lane
    lane.close()


@pytest.fixture
def bare(kind: str, lane: Lane, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster without nodes."""
    plane = lane.start("test", "1.35", review=review, allow=deny, pod_start=lambda: POD_START)
    if kind == "real":
        running = request.getfixturevalue("running_clock")
        cluster = Cluster(plane, lambda: None, partial(running.sleep, 1.0))
    else:
        clock = request.getfixturevalue("clock")
        clock.settle()
        cluster = Cluster(plane, clock.settle, partial(clock.advance, 1.0))
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(bare: Cluster) -> Cluster:
    """A cluster with three nodes in three zones."""
    for number in (1, 2, 3):
        bare.plane.add_node(node(number), ready=True)
    bare.until(lambda: not any(each["spec"].get("taints") for each in bare.plane.nodes()))
    return bare
