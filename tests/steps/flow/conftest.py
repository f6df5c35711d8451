"""Springboard's stack in this process, on a clock that the test moves; one for each test module."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, override

import pytest

from springboard_local.latency import LatencyModel
from tests.steps.flow.springboard import in_process
from tests.template import grants

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.steps.flow.springboard import Springboard
    from tests.template.grants import Grant


PASSED = pytest.StashKey[bool]()


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
        with in_process(tmp_path_factory.mktemp("cloud"), Latencies(), without()) as springboard:
            yield springboard


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether the test itself has passed."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


def without() -> Grant | None:
    """`SPRINGBOARD_WITHOUT="ClusterFunctionRole eks:DescribeCluster on cluster/*"`: a grant to leave out.

    As a grant calls itself; for test_removed.py.
    """
    said = os.environ.get("SPRINGBOARD_WITHOUT")
    return next(each for each in grants.needs().tests if str(each) == said) if said else None


@pytest.fixture(autouse=True)
def _needed(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that `permissions.yaml` names asks for what it is named for, and would be refused without."""
    if "deployed" not in request.fixturenames:
        yield
        return
    springboard: Springboard = request.getfixturevalue("deployed")
    from tests.steps.flow import needed  # noqa: PLC0415 - imports moto, which the cloud has to prepare first

    since = needed.number()
    yield
    if not request.node.stash.get(PASSED, False):
        return  # what else a failed test would have asked for is of no interest
    test = request.node.nodeid.partition("[")[0]
    made = needed.made(springboard.deployment, since)
    assert list(needed.findings(grants.needs().of(test), made)) == []


@pytest.fixture
def springboard(deployed: Springboard) -> Iterator[Springboard]:
    """The stack; what a test has made go wrong is mended after it."""
    yield deployed
    assert isinstance(deployed.cloud.latency, Latencies)
    deployed.cloud.latency.slow.clear()
    deployed.cloud.pipeline.clear_faults()
    deployed.kubernetes.clear()
    gc.collect()  # what functions that were killed have left open shows here, and not in another test
