"""Springboard itself is ill: the right alarm rings, tells the operators, and ends. Nothing else rings."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.pipeline import Rule
from springboard_local.services import eks, metrics
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document
from tests.steps.flow.test_changes import page
from tests.steps.flow.test_fault_cluster import Rights
from tests.template import source

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
    told(springboard, url)  # that the sweep of a new stack had not run yet
    yield url
    tend(springboard)
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


@pytest.mark.slow
@pytest.mark.usefixtures("operators")
def test_a_new_stack_rings_once_that_it_has_not_been_swept(springboard: Springboard) -> None:
    asked = {"AlarmName": "springboard-sweep-silent", "HistoryItemType": "StateUpdate", "ScanBy": "TimestampAscending"}
    items = springboard.client("cloudwatch").describe_alarm_history(**asked)["AlarmHistoryItems"]
    assert [each["HistorySummary"] for each in items][:2] == [
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to OK",
    ]


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
    tend(springboard)
    springboard.clock.advance(2 * MINUTE)
    assert ringing(springboard) == set()


@pytest.mark.sweep
def test_f7_an_end_of_life_that_may_not_begin_is_a_dead_letter_rings_and_is_brought_about_by_hand(
    springboard: Springboard, operators: str
) -> None:
    """Its schedule fires once. Lambda tries three times, then puts into the queue what the runbook reads."""
    before, name = inventory(springboard.client), "outlives"
    assert springboard.apply(document(name, ttlHours=1)).phase == "Ready"
    status = springboard.get(name)
    rights = Rights(springboard, {"ttl-reached": "dynamodb:PutItem"})
    springboard.forget_calls()
    end = datetime.fromisoformat(status.document["status"]["expiresAt"]) - springboard.clock.now()
    springboard.clock.advance(end.total_seconds() + 15 * MINUTE)
    rights.give_back("ttl-reached")
    assert told(springboard, operators) == [("springboard-dead-letters", "springboard-dead-letters")]
    denied = [each for each in springboard.recorded() if each.principal.endswith("/springboard-ttl-reached")]
    assert [each.status for each in denied if each.operation == "TransactWriteItems"] == [400] * 3
    [letter] = dead_letters(springboard)
    assert letter["requestContext"]["functionArn"].removesuffix(":$LATEST").endswith("-ttl-reached")
    assert letter["requestPayload"]["environment"] == status.uid
    assert "not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:" in json.dumps(letter)
    # Nothing has begun, nothing is locked; it serves on until somebody does as the runbook says.
    assert (springboard.get(name).phase, springboard.get(name).operation["kind"]) == ("Ready", "Create")
    invariants.check(springboard, name)
    assert "`springboard delete NAME`" in runbook("springboard-dead-letters", "… `ttl-reached`")
    invariants.deleted(springboard, name, before)
    assert ringing(springboard) == {"springboard-dead-letters"}  # until the queue is empty
    tend(springboard)
    quiet(springboard)


def dead_letters(springboard: Springboard) -> list[dict[str, Any]]:
    """What is in the queue; it stays there."""
    sqs, url = springboard.client("sqs"), springboard.outputs["DeadLetterQueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", ())
    return [json.loads(each["Body"]) for each in messages]


def runbook(alarm: str, row: str) -> str:
    """The row of a table in an alarm's runbook."""
    _, _, after = source.text("docs/guide/runbooks.md").partition(f"\n## {alarm}\n")
    return next(line for line in after.partition("\n## ")[0].splitlines() if line.startswith(f"| {row}"))


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


def rings(springboard: Springboard, url: str, *names: str, minutes: int = 2) -> None:
    """These alarms ring within some minutes, no other does, and the operators are told where to read on."""
    springboard.clock.advance(minutes * MINUTE)
    assert ringing(springboard) == set(names)
    assert told(springboard, url) == sorted((name, name) for name in names)


def quiet(springboard: Springboard, minutes: int = 7) -> None:
    """All is mended: nothing rings after the longest window."""
    springboard.clock.advance(minutes * MINUTE)
    assert ringing(springboard) == set()


def tend(springboard: Springboard) -> None:
    """Take all messages out of the dead-letter queue."""
    sqs, url = springboard.client("sqs"), springboard.outputs["DeadLetterQueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["provision", "teardown"])
def test_an_execution_that_runs_out_of_time_rings(springboard: Springboard, operators: str, machine: str) -> None:
    states = springboard.client("stepfunctions")
    arn = springboard.outputs[f"{machine.title()}MachineArn"]
    before = states.describe_state_machine(stateMachineArn=arn)["definition"]
    stuck = {
        "StartAt": "Stuck",
        "TimeoutSeconds": 30,
        "States": {"Stuck": {"Type": "Wait", "Seconds": 60, "End": True}},
    }
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps({"QueryLanguage": "JSONata", **stuck}))
    states.start_execution(stateMachineArn=arn, input=json.dumps(NOBODY))
    rings(springboard, operators, f"springboard-{machine}-timed-out")
    states.update_state_machine(stateMachineArn=arn, definition=before)
    quiet(springboard)


NOBODY = {"environment": "0" * 32, "operation": "01K00000000000000000000000", "generation": 1}


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["provision", "teardown"])
def test_an_execution_that_fails_at_once_rings(springboard: Springboard, operators: str, machine: str) -> None:
    states = springboard.client("stepfunctions")
    arn = springboard.outputs[f"{machine.title()}MachineArn"]
    states.start_execution(stateMachineArn=arn, input=json.dumps(NOBODY))
    rings(springboard, operators, f"springboard-{machine}-failed")
    quiet(springboard)


@pytest.mark.slow
def test_an_aborted_execution_does_not_ring(springboard: Springboard, operators: str) -> None:
    """Delete and cancel stop executions."""
    states = springboard.client("stepfunctions")
    arn = springboard.outputs["ProvisionMachineArn"]
    before = states.describe_state_machine(stateMachineArn=arn)["definition"]
    waits = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps({"QueryLanguage": "JSONata", **waits}))
    running = states.start_execution(stateMachineArn=arn, input=json.dumps(NOBODY))["executionArn"]
    states.stop_execution(executionArn=running)
    rings(springboard, operators)
    states.update_state_machine(stateMachineArn=arn, definition=before)


@pytest.mark.slow
def test_throttled_state_transitions_ring(springboard: Springboard, operators: str) -> None:
    """The local cloud's Step Functions never throttles a transition: the number is put in its place."""
    metrics.count("AWS/States", "ExecutionThrottled", StateMachineArn=springboard.outputs["TeardownMachineArn"])
    rings(springboard, operators, "springboard-executions-throttled")
    quiet(springboard)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "times", "alarm"),
    [
        ("dns", 6, "address-errors"),
        ("settle", 6, "cluster-errors"),
        ("drift-check", 6, "trigger-errors"),
        ("publish-events", 3, "events-failed"),
    ],
)
def test_a_broken_function_rings(
    springboard: Springboard, operators: str, function: str, times: int, alarm: str
) -> None:
    """Once is no illness: a step function repeats what failed for a passing reason."""
    name = f"springboard-{function}"
    for number in range(times):
        if number == times - 1:
            rings(springboard, operators, minutes=1)
        assert "FunctionError" in springboard.client("lambda").invoke(FunctionName=name, Payload=b'"nonsense"')
    rings(springboard, operators, f"springboard-{alarm}", minutes=1)
    quiet(springboard)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "alarm"),
    [("firewall", "address-throttles"), ("node-groups", "cluster-throttles"), ("ttl-reached", "trigger-throttles")],
)
def test_a_throttled_function_rings(springboard: Springboard, operators: str, function: str, alarm: str) -> None:
    client = springboard.client("lambda")
    name = f"springboard-{function}"
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName=name, Payload=b"{}")
    rings(springboard, operators, f"springboard-{alarm}")
    client.delete_function_concurrency(FunctionName=name)
    quiet(springboard)


@pytest.mark.slow
def test_an_api_that_cannot_answer_rings(springboard: Springboard, operators: str) -> None:
    client = springboard.client("lambda")
    client.put_function_concurrency(FunctionName="springboard-api", ReservedConcurrentExecutions=0)
    assert springboard.call("GET", "/environments").status >= 500
    rings(springboard, operators, "springboard-api-errors", "springboard-api-throttles")
    client.delete_function_concurrency(FunctionName="springboard-api")
    assert springboard.call("GET", "/environments").status == 200
    quiet(springboard)


@pytest.mark.slow
def test_a_rule_that_may_not_call_its_function_rings(springboard: Springboard, operators: str) -> None:
    client, name = springboard.client("lambda"), "springboard-sweep"
    [statement] = json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]
    client.remove_permission(FunctionName=name, StatementId=statement["Sid"])
    rings(springboard, operators, "springboard-schedules-failed", "springboard-dead-letters", minutes=6)
    client.add_permission(
        FunctionName=name,
        StatementId=statement["Sid"],
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
    )
    tend(springboard)
    quiet(springboard)


@pytest.mark.slow
def test_a_sweep_that_does_not_run_rings(springboard: Springboard, operators: str) -> None:
    events = springboard.client("events")
    [rule] = [each["Name"] for each in events.list_rules()["Rules"] if "ScheduleExpression" in each]
    events.disable_rule(Name=rule)
    rings(springboard, operators, "springboard-sweep-silent", minutes=20)
    events.enable_rule(Name=rule)
    quiet(springboard)


@pytest.mark.slow
def test_a_dead_letter_that_is_lost_rings(springboard: Springboard, operators: str) -> None:
    sqs, url = springboard.client("sqs"), springboard.outputs["DeadLetterQueueUrl"]
    asked = {"QueueUrl": url, "AttributeNames": ["Policy", "QueueArn"]}
    before = sqs.get_queue_attributes(**asked)["Attributes"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": before["QueueArn"]}
    closed = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": closed})
    function = springboard.client("lambda")
    function.invoke(FunctionName="springboard-ttl-reached", InvocationType="Event", Payload=b'"nonsense"')
    springboard.clock.advance(5 * MINUTE)  # after its retries
    assert "springboard-dead-letters-lost" in {name for name, _ in told(springboard, operators)}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": before["Policy"]})
    quiet(springboard, 10)


@pytest.mark.sweep
def test_a_dead_letter_that_nobody_tends_rings_again(springboard: Springboard, operators: str) -> None:
    sqs, url = springboard.client("sqs"), springboard.outputs["DeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="lost")
    rings(springboard, operators, "springboard-dead-letters")
    springboard.clock.advance(24 * 60 * MINUTE)
    assert told(springboard, operators) == [("springboard-dead-letters-old", "springboard-dead-letters-old")]
    tend(springboard)
    quiet(springboard)


@pytest.mark.sweep
def test_events_that_cannot_be_published_ring(springboard: Springboard, operators: str) -> None:
    """That they fail, that later ones are late, and that some were given up."""
    fault = springboard.cloud.pipeline.inject(Rule("events", "error", operation="PutEvents", probability=1.0))
    assert springboard.call("POST", "/environments", document("unheard")).status == 202
    springboard.clock.advance(10 * MINUTE)
    names = {f"springboard-{each}" for each in ("dead-letters", "events-failed", "events-late")}
    assert {name for name, _ in told(springboard, operators)} == names
    springboard.cloud.pipeline.clear_faults(fault.number)
    springboard.delete("unheard")
    tend(springboard)
    quiet(springboard)


@pytest.mark.sweep
def test_an_environment_that_does_not_serve_rings(springboard: Springboard, operators: str) -> None:
    """Its targets are unhealthy, and the load balancer itself answers 503; both end when the application is back."""
    assert springboard.apply(document("ailing")).phase == "Ready"
    springboard.clock.advance(10 * MINUTE)
    told(springboard, operators)
    plane = eks.control_plane("springboard-ailing")
    assert plane is not None
    plane.inject({"kind": "Image", "match": "*shop*", "reason": "NotReady"})
    springboard.until(lambda: page(springboard, "ailing.dev.example.com")[0] == 503)
    for _ in range(12):  # the probes take some minutes to give a target up, the alarm five more
        assert [page(springboard, "ailing.dev.example.com")[0] for _ in range(11)] == [503] * 11
        springboard.clock.advance(MINUTE)
    assert {runbook for _, runbook in told(springboard, operators)} == {"environment-errors", "environment-unhealthy"}
    assert len(ringing(springboard)) == 2
    plane.inject({"kind": "Image", "match": "*shop*", "reason": ""})
    quiet(springboard, 10)
    springboard.delete("ailing")


@pytest.mark.sweep
def test_events_that_wait_for_their_function_ring(springboard: Springboard, operators: str) -> None:
    """A throttled function is tried until its records are a day old: nothing is lost meanwhile, but all is late."""
    client, name = springboard.client("lambda"), "springboard-publish-events"
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert springboard.call("POST", "/environments", document("waiting")).status == 202
    springboard.clock.advance(7 * MINUTE)
    names = {f"springboard-{each}" for each in ("events-late", "trigger-throttles")}
    assert {name for name, _ in told(springboard, operators)} == names
    client.delete_function_concurrency(FunctionName=name)
    springboard.delete("waiting")
    quiet(springboard)
