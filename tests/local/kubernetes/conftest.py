"""Clusters on a clock that only the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from springboard_local.clock import ManualClock
from springboard_local.kubernetes.embedded import EmbeddedLane
from tests.local.kubernetes.cluster import POD_START, Cluster, deny, node, review

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    clock = ManualClock()
    yield clock
    clock.close()


@pytest.fixture
def lane(clock: ManualClock) -> Iterator[EmbeddedLane]:
    lane = EmbeddedLane(clock)
    yield lane
    lane.close()


@pytest.fixture
def bare(lane: EmbeddedLane, clock: ManualClock) -> Iterator[Cluster]:
    """A cluster without nodes."""
    plane = lane.start("test", "1.35", review=review, allow=deny, pod_start=lambda: POD_START)
    clock.settle()
    cluster = Cluster(plane, clock.settle)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(bare: Cluster) -> Cluster:
    """A cluster with three nodes in three zones."""
    for number in (1, 2, 3):
        bare.plane.add_node(node(number), ready=True)
    bare.settle()
    return bare
