"""Springboard itself is ill: the right alarm rings, tells the operators, and ends. Nothing else rings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.services import eks
from tests.steps.flow import invariants
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Springboard

MINUTE = 60


def ringing(springboard: Springboard) -> set[str]:
    """The stack's own alarms that are in ALARM."""
    found = springboard.client("cloudwatch").describe_alarms(StateValue="ALARM")["MetricAlarms"]
    return {each["AlarmName"] for each in found}


@pytest.fixture
def operators(springboard: Springboard) -> Iterator[str]:
    """A queue that hears the stack's topic; all alarms are quiet at first."""
    sqs, topic = springboard.client("sqs"), springboard.outputs["TopicArn"]
    url = sqs.create_queue(QueueName="operators")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    subscription = springboard.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    springboard.clock.advance(10 * MINUTE)
    assert ringing(springboard) == set()
    yield url
    springboard.client("sns").unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=url)


def told(springboard: Springboard, url: str) -> list[tuple[str, str]]:
    """The alarms that the operators were told of, with the runbook that each names."""
    sqs = springboard.client("sqs")
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
            message: dict[str, Any] = json.loads(json.loads(each["Body"])["Message"])
            if "AlarmName" in message:
                found.append((message["AlarmName"], message["AlarmDescription"].rpartition("#")[2]))
    return sorted(found)


@pytest.mark.sweep
def test_an_execution_that_fails_rings(springboard: Springboard, operators: str) -> None:
    eks.fail_next("cluster", "springboard-ill", "InsufficientFreeAddresses", "No free address in subnet-1.")
    reply = springboard.apply(document("ill"))
    assert reply.phase == "Failed"
    springboard.clock.advance(2 * MINUTE)
    assert ringing(springboard) == {"springboard-provision-failed"}
    springboard.clock.advance(6 * MINUTE)
    assert ringing(springboard) == set()
    assert told(springboard, operators) == [("springboard-provision-failed", "springboard-provision-failed")]
    springboard.delete("ill")


@pytest.mark.slow
def test_a_dead_letter_rings_until_the_queue_is_empty(springboard: Springboard, operators: str) -> None:
    function = springboard.client("lambda")
    function.invoke(FunctionName="springboard-ttl-reached", InvocationType="Event", Payload=b'"nonsense"')
    springboard.clock.advance(15 * MINUTE)  # after its retries
    assert ringing(springboard) == {"springboard-dead-letters"}
    assert told(springboard, operators) == [("springboard-dead-letters", "springboard-dead-letters")]
    sqs = springboard.client("sqs")
    [url] = [each for each in sqs.list_queues()["QueueUrls"] if "dead" in each]
    sqs.purge_queue(QueueUrl=url)
    springboard.clock.advance(2 * MINUTE)
    assert ringing(springboard) == set()


@pytest.mark.sweep
def test_f13_a_lock_that_only_the_sweep_frees_rings(springboard: Springboard, operators: str) -> None:
    reply = springboard.call("POST", "/environments", document("lost"))
    assert reply.status == 202
    springboard.clock.advance(MINUTE)
    events = springboard.client("events")
    [rule] = [each["Name"] for each in events.list_rules()["Rules"] if "EventPattern" in each]
    events.disable_rule(Name=rule)
    running = springboard.execution(reply.document["status"]["operation"])
    springboard.client("stepfunctions").stop_execution(executionArn=running)
    springboard.clock.advance(11 * MINUTE)
    events.enable_rule(Name=rule)
    assert told(springboard, operators) == [("springboard-stale-locks", "springboard-stale-locks")]
    invariants.check(springboard, "lost")
    springboard.clock.advance(10 * MINUTE)
    assert ringing(springboard) == set()
    springboard.delete("lost")
