"""State machines on a manual clock, with functions that are plain Python."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local import cloud as local_cloud
from springboard_local.clock import ManualClock
from springboard_local.cloud import ACCOUNT, LocalCloud, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["states.amazonaws.com", "lambda.amazonaws.com"]},
            "Action": "sts:AssumeRole",
        }
    ],
}


class Workshop:
    """Makes functions and machines, and runs executions to their ends."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.clock: ManualClock = cloud.clock  # type: ignore[assignment]
        self.states = cloud.client("stepfunctions")
        self._iam = cloud.client("iam")
        self._lambda = cloud.client("lambda")
        self.role = f"arn:aws:iam::{ACCOUNT}:role/worker"
        if not self._iam.list_roles()["Roles"]:
            self._iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(_TRUST))
        self._machines = 0
        self._functions: list[str] = []

    def function(self, name: str, handler: Callable[[Any, Any], Any], **options: Any) -> str:
        """A Lambda function; its ARN."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app.py", "")
        self.cloud.settings.extra["handlers"][name] = handler
        made = self._lambda.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=self.role,
            Handler="app.handler",
            Code={"ZipFile": buffer.getvalue()},
            **options,
        )
        self._functions.append(name)
        return str(made["FunctionArn"])

    def clean(self) -> None:
        """Leave nothing for the next test; a reset of the whole account would cost it most of a second."""
        for name in self._functions:
            self._lambda.delete_function(FunctionName=name)
        self.cloud.settings.extra["handlers"].clear()
        importlib.import_module("springboard_local.services.stepfunctions").reset(self.cloud)

    def machine(self, states: dict[str, Any], *, kind: str = "STANDARD", **top: Any) -> str:
        """A state machine that starts at the first of its states; its ARN."""
        self._machines += 1
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **top}
        made = self.states.create_state_machine(
            name=f"machine-{self._machines}", definition=json.dumps(definition), roleArn=self.role, type=kind
        )
        return str(made["stateMachineArn"])

    def start(self, machine: str, value: Any = None, name: str | None = None) -> str:
        """Start an execution and let it run as far as it can without time passing."""
        named = {"name": name} if name else {}
        arn = self.states.start_execution(stateMachineArn=machine, input=json.dumps(value or {}), **named)
        self.clock.settle()
        return str(arn["executionArn"])

    def describe(self, execution: str) -> dict[str, Any]:
        """The execution, with its output parsed."""
        described: dict[str, Any] = self.states.describe_execution(executionArn=execution)
        if "output" in described:
            described["output"] = json.loads(described["output"])
        return described

    def run(self, states: dict[str, Any], value: Any = None, **top: Any) -> dict[str, Any]:
        """Run a machine to its end."""
        execution = self.start(self.machine(states, **top), value)
        self.clock.run_until(lambda: self.describe(execution)["status"] != "RUNNING")
        return self.describe(execution)

    def events(self, execution: str) -> list[dict[str, Any]]:
        """The whole history."""
        found: list[dict[str, Any]] = []
        for page in self.states.get_paginator("get_execution_history").paginate(executionArn=execution):
            found += page["events"]
        return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    settings = Settings(tmp_path_factory.mktemp("state"), enforce_iam=False, extra={"handlers": {}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_cloud, "SERVICES", ("iam", "lambda_", "events", "stepfunctions"))
        with LocalCloud(settings, ManualClock()) as running:
            yield running


@pytest.fixture
def workshop(cloud: LocalCloud) -> Iterator[Workshop]:
    shop = Workshop(cloud)
    yield shop
    shop.clean()
