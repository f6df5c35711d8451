"""Events that reach their targets, by permission, by retry, or as dead letters; rules on schedules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services import metrics
from tests.local.iam.conftest import allow, document

if TYPE_CHECKING:
    from tests.local.iam.conftest import Account

RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/ready"


def rule(account: Account, *targets: dict[str, Any], pattern: dict[str, Any] | None = None, **more: Any) -> None:
    events = account.client("events")
    if pattern is not None:
        more["EventPattern"] = json.dumps(pattern)
    events.put_rule(Name="ready", **more)
    events.put_targets(Rule="ready", Targets=[{"Id": str(n), **target} for n, target in enumerate(targets)])


def put(account: Account, **detail: Any) -> None:
    entry = {"Source": "springboard", "DetailType": "Transition", "Detail": json.dumps(detail)}
    assert account.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    account.clock.settle()


def open_queue(account: Account, name: str) -> str:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": RULE}},
    }
    account.queue(name, Policy=document(statement))
    return arn


def bodies(account: Account, name: str) -> list[Any]:
    return [json.loads(each["Body"]) for each in account.messages(f"{account.cloud.endpoint}/{ACCOUNT}/{name}")]


def test_a_matching_event_reaches_its_target(account: Account) -> None:
    rule(
        account, {"Arn": open_queue(account, "q")}, pattern={"source": ["springboard"], "detail": {"phase": ["Ready"]}}
    )
    put(account, phase="Failed")
    put(account, phase="Ready")
    (event,) = bodies(account, "q")
    assert event["detail"] == {"phase": "Ready"}
    assert event["detail-type"] == "Transition"
    assert event["time"] == f"{account.clock.now():%Y-%m-%dT%H:%M:%SZ}"


def test_a_target_without_permission_gets_nothing_and_the_letter_says_why(account: Account) -> None:
    function = account.function(allow("logs:*"))
    target = {"Arn": function, "DeadLetterConfig": {"Arn": open_queue(account, "letters")}}
    rule(account, target, pattern={"source": ["springboard"]})
    put(account, phase="Ready")
    assert account.seen() == []
    (letter,) = account.messages(f"{account.cloud.endpoint}/{ACCOUNT}/letters")
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    assert letter["MessageAttributes"]["RULE_ARN"]["StringValue"] == RULE
    measured = {name for namespace, name, _ in metrics.present().metrics() if namespace == "AWS/Events"}
    assert measured == {"FailedInvocations", "InvocationsSentToDlq"}
    account.client("lambda").add_permission(
        FunctionName="seen",
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=RULE,
    )
    put(account, phase="Ready")
    assert [event["detail"] for event in account.seen()] == [{"phase": "Ready"}]


def test_a_rule_on_a_schedule_runs_on_time_and_matches_no_event(account: Account) -> None:
    rule(account, {"Arn": open_queue(account, "q")}, ScheduleExpression="rate(5 minutes)")
    put(account, phase="Ready")
    assert bodies(account, "q") == []
    account.clock.advance(600)
    assert [event["detail-type"] for event in bodies(account, "q")] == ["Scheduled Event"] * 2
    account.client("events").disable_rule(Name="ready")
    account.clock.advance(600)
    assert bodies(account, "q") == []


@pytest.mark.parametrize(
    "expression", ["rate(1 minutes)", "rate(5 minute)", "cron(nonsense)", "at(2026-11-23T09:00:00)"]
)
def test_nonsense_is_refused(account: Account, expression: str) -> None:
    client = account.client("events")
    with pytest.raises(client.exceptions.ClientError, match="ScheduleExpression is not valid"):
        client.put_rule(Name="ready", ScheduleExpression=expression)


def test_events_of_aws_are_put_by_aws_alone(account: Account) -> None:
    from springboard_local.services import events  # noqa: PLC0415 - after moto has its account

    rule(account, {"Arn": open_queue(account, "q")}, pattern={"source": ["aws.states"]})
    entry = {"Source": "aws.states", "DetailType": "x", "Detail": "{}"}
    answer = account.client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    events.put_aws_event("aws.states", "Step Functions Execution Status Change", ["arn:x"], {"status": "FAILED"})
    account.clock.settle()
    assert [event["detail"] for event in bodies(account, "q")] == [{"status": "FAILED"}]


def test_an_event_goes_from_bus_to_bus(account: Account) -> None:
    client = account.client("events")
    bus = client.create_event_bus(Name="ours")["EventBusArn"]
    rule(account, {"Arn": bus}, pattern={"source": ["springboard"]})
    client.put_rule(Name="inner", EventBusName="ours", EventPattern='{"source": ["springboard"]}')
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
    who = {"Service": "events.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": who, "Action": "sqs:SendMessage", "Resource": arn}
    account.queue("q", Policy=document(statement))
    client.put_targets(Rule="inner", EventBusName="ours", Targets=[{"Id": "1", "Arn": arn}])
    put(account, phase="Ready")
    assert [event["detail"] for event in bodies(account, "q")] == [{"phase": "Ready"}]
