"""Machines and functions have the rights of their roles, and only roles that trust the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local import cloud as local_cloud
from springboard_local.clock import ManualClock
from springboard_local.cloud import LocalCloud, Settings

from .conftest import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Arguments": {"FunctionName": "fine"},
    "End": True,
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    settings = Settings(tmp_path_factory.mktemp("state"), enforce_iam=True, extra={"handlers": {}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_cloud, "SERVICES", ("iam", "lambda_", "events", "stepfunctions"))
        with LocalCloud(settings, ManualClock()) as running:
            yield running


def role(cloud: LocalCloud, name: str, service: str) -> str:
    """A role for a service."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    made = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def test_a_machine_may_invoke_what_its_role_may(guarded: LocalCloud) -> None:
    shop = Workshop(guarded)
    arn = shop.function("fine", lambda _event, _context: "fine")
    denied = shop.run({"Call": CALL})
    assert denied["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in denied["cause"]
    allow = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    guarded.client("iam").put_role_policy(RoleName="worker", PolicyName="invoke", PolicyDocument=document)
    assert shop.run({"Call": CALL})["status"] == "SUCCEEDED"


def test_a_role_that_trusts_somebody_else_is_refused(guarded: LocalCloud) -> None:
    shop = Workshop(guarded)
    shop.role = role(guarded, "for-ec2", "ec2.amazonaws.com")
    with pytest.raises(shop.states.exceptions.ClientError, match="authorized to assume the provided role"):
        shop.machine({"Call": CALL})
    with pytest.raises(guarded.client("lambda").exceptions.InvalidParameterValueException, match="cannot be assumed"):
        shop.function("untrusted", _nothing)


def _nothing(_event: Any, _context: Any) -> None: ...
