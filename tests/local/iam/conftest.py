"""A local cloud on a manual clock, with roles made of a few words; shared by the tests of events and time."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.clock import ManualClock
from springboard_local.cloud import ACCOUNT, LocalCloud, Settings, _prepare_moto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Modules of the services import moto, which reads its account when it is first imported.
_prepare_moto()


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str] = "*", condition: Any = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def deny(action: str | list[str], resource: str | list[str] = "*") -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource}


def trust(*services: str, aws: str | None = None) -> str:
    principal: dict[str, Any] = {"Service": list(services)} if services else {"AWS": aws or ACCOUNT}
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


@dataclass
class Account:
    """What a test sees of the cloud; functions run in this process."""

    cloud: LocalCloud
    clock: ManualClock
    events: list[Any] = field(default_factory=list)  # what the function `seen` got
    failures: int = 0  # so many of its next invocations fail
    answer: Any = None

    def client(self, service: str, role: str | None = None) -> Any:
        return self.cloud.client(service, role)

    def role(self, name: str, *statements: dict[str, Any], trusts: str | None = None) -> str:
        iam = self.client("iam")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts or trust())["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        return arn

    def function(self, *statements: dict[str, Any]) -> str:
        role = self.role("seen", *statements, trusts=trust("lambda.amazonaws.com"))
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as code:
            code.writestr("seen.py", "")
        arn: str = self.client("lambda").create_function(
            FunctionName="seen",
            Runtime="python3.13",
            Role=role,
            Handler="seen.handler",
            Code={"ZipFile": archive.getvalue()},
        )["FunctionArn"]
        return arn

    def queue(self, name: str, **attributes: str) -> str:
        url: str = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def messages(self, url: str) -> list[dict[str, Any]]:
        """What is in a queue; taken out of it."""
        sqs = self.client("sqs")
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages: list[dict[str, Any]] = found.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def handle(self, event: Any, _: Any) -> Any:
        self.events.append(event)
        if self.failures > 0:
            self.failures -= 1
            raise RuntimeError("told to fail")
        return self.answer

    def seen(self) -> list[Any]:
        """What the function got since the last look."""
        self.clock.settle()
        found, self.events[:] = list(self.events), []
        return found


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCloud, ManualClock, list[Any]]]:
    state: Path = tmp_path_factory.mktemp("cloud")
    clock = ManualClock()
    handler: list[Callable[[Any, Any], Any]] = []

    def seen(event: Any, context: Any) -> Any:
        return handler[0](event, context)  # of the test that runs

    settings = Settings(state, extra={"handlers": {"seen": seen}})
    with LocalCloud(settings, clock) as cloud:
        yield cloud, clock, handler
    clock.close()


@pytest.fixture
def account(_running: tuple[LocalCloud, ManualClock, list[Any]]) -> Iterator[Account]:
    cloud, clock, handler = _running
    made = Account(cloud, clock)
    handler[:] = [made.handle]
    yield made
    clock.settle()
    cloud.reset()
