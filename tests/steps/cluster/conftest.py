"""The local cloud in this process, on a clock that the test moves, with a stack's network and roles in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings
from tests.steps.cluster.driver import CountedWorld, Driver, environment, make_site, role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from springboard.site import Site


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        settings = Settings(tmp_path_factory.mktemp("cloud"), enforce_iam=False, spread=False)
        with LocalCloud(settings, ManualClock()) as started:
            yield started


@pytest.fixture(scope="module")
def site(cloud: LocalCloud) -> Site:
    role(cloud, "creator")
    return make_site(cloud)


@pytest.fixture
def driver(cloud: LocalCloud, site: Site, request: pytest.FixtureRequest) -> Driver:
    """An environment of its own for each test, in the one account."""
    number = sum(ord(letter) for letter in request.node.name) % 10_000
    record = environment(f"shop{number}", number, site.hosted_zone_id)
    record = replace(record, created_at=cloud.clock.now())
    return Driver(cloud, CountedWorld(cloud, site), record, cloud.clock)  # type: ignore[arg-type]
