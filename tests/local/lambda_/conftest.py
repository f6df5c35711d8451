"""Functions in worker processes and in this process."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local import cloud as local_cloud
from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKER_PYTHON = Path(__file__).parents[3] / ".tools/worker/bin/python"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def package(**files: str) -> bytes:
    """A zip file with Python modules; `__` in a name is a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name.replace('__', '/')}.py", text)
    return buffer.getvalue()


class Account:
    """Makes functions and invokes them."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.clock: ManualClock = cloud.clock  # type: ignore[assignment]
        self.client = cloud.client("lambda")
        self.handlers: dict[str, Callable[[Any, Any], Any]] = cloud.settings.extra["handlers"]
        iam = cloud.client("iam")
        self.role = f"arn:aws:iam::{local_cloud.ACCOUNT}:role/function"
        if not iam.list_roles()["Roles"]:
            iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(_TRUST))
        self._functions: list[str] = []

    def function(self, name: str, source: str | Callable[[Any, Any], Any] = "", **options: Any) -> str:
        """A function from the text of its module app, or from a handler in this process; its ARN."""
        if callable(source):
            self.handlers[name] = source
        code = source if isinstance(source, str) else ""
        made = self.client.create_function(
            **{
                "FunctionName": name,
                "Runtime": "python3.13",
                "Role": self.role,
                "Handler": "app.handler",
                "Code": {"ZipFile": package(app=code)},
                **options,
            }
        )
        self._functions.append(name)
        return str(made["FunctionArn"])

    def invoke(self, name: str, event: Any = None, **options: Any) -> tuple[Any, str | None]:
        """The function's answer, and the kind of error."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event), **options)
        payload = answer["Payload"].read()
        return json.loads(payload) if payload else None, answer.get("FunctionError")

    def queue(self, name: str) -> tuple[str, str]:
        """URL and ARN of a queue."""
        url = self.cloud.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        return url, f"arn:aws:sqs:{local_cloud.REGION}:{local_cloud.ACCOUNT}:{name}"

    def messages(self, url: str) -> list[dict[str, Any]]:
        """What a queue holds."""
        answer = self.cloud.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return list(answer.get("Messages", []))

    def log(self, group: str) -> list[str]:
        """All lines of a log group, in order."""
        logs = self.cloud.client("logs")
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    def clean(self) -> None:
        """Leave no function and no worker for the next test."""
        for name in self._functions:
            self.client.delete_function(FunctionName=name)
        self.handlers.clear()
        importlib.import_module("springboard_local.services.lambda_").reset(self.cloud)


def _cloud(state: Path, worker_python: Path | None) -> Iterator[LocalCloud]:
    settings = Settings(state, worker_python=worker_python, enforce_iam=False, extra={"handlers": {}, "max_workers": 3})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_cloud, "SERVICES", ("iam", "lambda_"))
        with LocalCloud(settings, ManualClock()) as running:
            yield running


@pytest.fixture(scope="module")
def in_process_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    yield from _cloud(tmp_path_factory.mktemp("state"), None)


@pytest.fixture(scope="module")
def worker_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    if not WORKER_PYTHON.exists():
        pytest.fail(f"there is no worker interpreter at {WORKER_PYTHON}: run `make test`, which sets it up")
    yield from _cloud(tmp_path_factory.mktemp("state"), WORKER_PYTHON)


@pytest.fixture
def account(in_process_cloud: LocalCloud) -> Iterator[Account]:
    made = Account(in_process_cloud)
    yield made
    made.clean()


@pytest.fixture
def workers(worker_cloud: LocalCloud) -> Iterator[Account]:
    made = Account(worker_cloud)
    yield made
    made.clean()
