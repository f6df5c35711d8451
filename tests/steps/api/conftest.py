"""A world in memory and a client, new for each test."""

from __future__ import annotations

import pytest

from tests.steps.api.fakes import Client, FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def call(world: FakeWorld) -> Client:
    return Client(world)
