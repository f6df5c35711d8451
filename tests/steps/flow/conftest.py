"""Springboard's stack in this process, on a clock that the test moves; one for each test module."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, override

import pytest

from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings
from springboard_local.latency import LatencyModel
from tests.steps.flow import stack
from tests.steps.flow.springboard import Springboard

if TYPE_CHECKING:
    from collections.abc import Iterator


class Latencies(LatencyModel):
    """Medians, but for what a test has slowed down."""

    def __init__(self) -> None:
        super().__init__(spread=False)
        self.slow: dict[str, float] = {}

    @override
    def seconds(self, operation: str) -> float:
        return self.slow.get(operation) or super().seconds(operation)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Springboard]:
    """The stack, for all tests of the module: each has an environment of its own name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        clock = ManualClock()
        settings = Settings(tmp_path_factory.mktemp("cloud"), extra={"handlers": {}})
        with LocalCloud(settings, clock, Latencies()) as cloud:
            yield Springboard(cloud, clock, stack.deploy(cloud, clock))
        clock.close()


@pytest.fixture
def springboard(deployed: Springboard) -> Iterator[Springboard]:
    """The stack; what a test has made go wrong is mended after it."""
    yield deployed
    assert isinstance(deployed.cloud.latency, Latencies)
    deployed.cloud.latency.slow.clear()
    deployed.cloud.pipeline.clear_faults()
    deployed.kubernetes.clear()
    gc.collect()  # what functions that were killed have left open shows here, and not in another test
