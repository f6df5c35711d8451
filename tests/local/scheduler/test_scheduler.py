"""Schedules that fire on the cloud's clock, with the rights of their roles."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services import metrics
from tests.local.iam.conftest import allow, trust

if TYPE_CHECKING:
    from tests.local.iam.conftest import Account

OFF = {"Mode": "OFF"}
LETTERS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters"


def schedule(account: Account, expression: str, role: str, **more: Any) -> None:
    target = {
        "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:seen",
        "RoleArn": role,
        "Input": json.dumps({"at": "<aws.scheduler.scheduled-time>", "by": "<aws.scheduler.schedule-arn>"}),
        "DeadLetterConfig": {"Arn": LETTERS},
    }
    given = {"Name": "window", "FlexibleTimeWindow": OFF, "ScheduleExpression": expression, "Target": target}
    account.client("scheduler").create_schedule(**{**given, **more})


@pytest.fixture
def role(account: Account) -> str:
    account.function(allow("logs:*"))
    account.queue("letters")
    may = allow(["lambda:InvokeFunction", "sqs:SendMessage"])
    return account.role("scheduling", may, trusts=trust("scheduler.amazonaws.com"))


def test_a_window_opens_in_its_time_zone(account: Account, role: str) -> None:
    schedule(account, "cron(0 2 ? * TUE *)", role, ScheduleExpressionTimezone="Asia/Seoul")
    account.clock.advance(8 * 86_400)
    moments = [event["at"] for event in account.seen()]
    assert len(moments) in {1, 2}
    assert all(moment.endswith("T17:00:00Z") for moment in moments)
    assert account.client("scheduler").get_schedule(Name="window")["State"] == "ENABLED"


def test_one_time_and_gone(account: Account, role: str) -> None:
    moment = account.clock.now() + timedelta(hours=1)
    schedule(account, f"at({moment:%Y-%m-%dT%H:%M:%S})", role, ActionAfterCompletion="DELETE")
    account.clock.advance(3_500)
    assert account.seen() == []
    account.clock.advance(200)
    assert [event["at"] for event in account.seen()] == [f"{moment:%Y-%m-%dT%H:%M:%SZ}"]
    assert account.client("scheduler").list_schedules()["Schedules"] == []


def test_disabled_updated_deleted(account: Account, role: str) -> None:
    client = account.client("scheduler")
    schedule(account, "rate(1 hour)", role, State="DISABLED")
    account.clock.advance(7_200)
    assert account.seen() == []
    target = client.get_schedule(Name="window")["Target"]
    updated = {"Name": "window", "FlexibleTimeWindow": OFF, "Target": target}
    client.update_schedule(**updated, ScheduleExpression="rate(2 hours)")
    account.clock.advance(4 * 3_600)
    assert len(account.seen()) == 3  # at once, then every two hours
    client.delete_schedule(Name="window")
    account.clock.advance(86_400)
    assert account.seen() == []


def test_a_flexible_window_is_the_same_in_each_run(account: Account, role: str) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30}
    begin = account.clock.now()
    schedule(account, f"at({begin:%Y-%m-%dT%H:%M:%S})", role, FlexibleTimeWindow=window)
    account.clock.run_until(lambda: bool(account.events), limit=1_801)
    assert begin < account.clock.now() <= begin + timedelta(minutes=30)


def test_without_the_right_it_ends_as_a_dead_letter(account: Account, role: str) -> None:
    other = account.role("weak", allow("sqs:SendMessage", LETTERS), trusts=trust("scheduler.amazonaws.com"))
    assert role != other
    begin = account.clock.now()
    schedule(account, f"at({begin:%Y-%m-%dT%H:%M:%S})", other)
    account.clock.advance(1)
    assert account.seen() == []
    letter = account.messages(f"{account.cloud.endpoint}/{ACCOUNT}/letters")[0]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "AccessDeniedException"
    assert "lambda:InvokeFunction" in attributes["ERROR_MESSAGE"]
    measured = [metric for metric in metrics.present().metrics() if metric[0] == "AWS/Scheduler"]
    assert {(name, dict(dimensions)["ScheduleGroup"]) for _, name, dimensions in measured} == {
        ("InvocationAttemptCount", "default"),
        ("TargetErrorCount", "default"),
        ("InvocationDroppedCount", "default"),
        ("InvocationsSentToDeadLetterCount", "default"),
    }


def test_a_universal_target_calls_any_api(account: Account, role: str) -> None:
    call = {"FunctionName": "seen", "InvocationType": "Event", "Payload": '{"x": 1}'}
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke", "RoleArn": role, "Input": json.dumps(call)}
    schedule(account, f"at({account.clock.now():%Y-%m-%dT%H:%M:%S})", role, Target=target)
    account.clock.advance(1)
    assert account.seen() == [{"x": 1}]


def test_the_admin_may_fire_it(account: Account, role: str) -> None:
    from springboard_local.services import scheduler  # noqa: PLC0415 - after moto has its account

    schedule(account, "cron(0 0 1 1 ? 2199)", role)
    scheduler.fire("window")
    assert len(account.seen()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ScheduleExpression": "cron(nonsense)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid timezone"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes"),
        ({"Name": "a b"}, "name"),
    ],
)
def test_nonsense_is_refused(account: Account, role: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said) as raised:
        schedule(account, **{"expression": "rate(1 hour)", "role": role, **changes})
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_the_role_must_trust_the_scheduler(account: Account) -> None:
    stranger = account.role("stranger", allow("*"), trusts=trust("lambda.amazonaws.com"))
    with pytest.raises(ClientError, match="assume the role"):
        schedule(account, "rate(1 hour)", stranger)
