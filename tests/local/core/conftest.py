"""A local cloud on a manual clock, emptied before each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.clock import ManualClock
from springboard_local.cloud import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, LocalCloud, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

type Client = Callable[[str], Any]

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    clock = ManualClock()
    cloud = LocalCloud(Settings(tmp_path_factory.mktemp("cloud"), spread=False), clock)
    with cloud:
        yield cloud
    clock.close()


@pytest.fixture
def cloud(started: LocalCloud) -> LocalCloud:
    started.reset()
    return started


@pytest.fixture
def clock(cloud: LocalCloud) -> ManualClock:
    assert isinstance(cloud.clock, ManualClock)
    return cloud.clock


@pytest.fixture
def aws(cloud: LocalCloud) -> Iterator[Client]:
    """Clients as a user has them: faults strike their calls, unlike the cloud's own."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = cloud._new_client(service, (ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, None), internal=False)
        return made[service]

    yield client
    for each in made.values():
        each.close()


@pytest.fixture
def role(aws: Client) -> Callable[..., str]:
    """Makes a role that may do what the statements allow; its ARN."""

    def make(name: str, *statements: dict[str, Any]) -> str:
        arn = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            aws("iam").put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
        return str(arn)

    return make
