"""`springboard doctor` over the stack in the local cloud: all is well, then one part after the other is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from springboard_cli.main import app
from springboard_cli.surroundings import Surroundings
from springboard_local.cloud import DEVELOPER_ACCESS_KEY, DEVELOPER_SECRET_KEY, REGION
from springboard_local.pipeline import Rule
from springboard_local.services import service_quotas
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Springboard

MINUTE = 60


@pytest.fixture
def well(springboard: Springboard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Springboard]:
    """The stack, swept of late, and a shell that has the developer's credentials."""
    for name, value in {
        "AWS_ENDPOINT_URL": springboard.cloud.endpoint,
        "AWS_ACCESS_KEY_ID": DEVELOPER_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": DEVELOPER_SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    springboard.clock.advance(20 * MINUTE)
    [(state, check, what, _)] = wrong()
    assert (state, check, what) == ("warn", "topic", "nobody hears the alarms: the topic has no subscriber")
    sqs, sns = springboard.client("sqs"), springboard.client("sns")
    queue = sqs.create_queue(QueueName="operators")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    told = {"TopicArn": springboard.outputs["TopicArn"], "Protocol": "sqs", "Endpoint": arn}
    subscription = sns.subscribe(**told, ReturnSubscriptionArn=True)["SubscriptionArn"]
    assert wrong() == []
    yield springboard
    assert wrong() == [], "the test has mended what it broke"
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)


def examined() -> tuple[int, list[dict[str, str]]]:
    """Exit code and findings of the real command."""
    around = Surroundings(home=Path("/nonexistent"), find=lambda name: f"/usr/bin/{name}", interactive=lambda: False)
    ended = CliRunner().invoke(app, ["doctor", "-o", "json"], obj=around)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.output
    found: list[dict[str, str]] = json.loads(ended.stdout)["findings"]
    return ended.exit_code, found


def wrong() -> list[tuple[str, str, str, str]]:
    """State, check, cause and remedy of what is not ok; the exit code says whether one of them is a failure."""
    code, found = examined()
    told = [(each["state"], each["check"], each["what"], each["remedy"]) for each in found if each["state"] != "ok"]
    assert code == (1 if any(state == "fail" for state, *_ in told) else 0)
    return told


def in_use(found: list[dict[str, str]]) -> dict[str, int]:
    """How much of each quota is taken; but of roles, as AWS makes service-linked ones when a service is first used."""
    quotas = [each["what"].rpartition(": ") for each in found if each["check"] == "quotas"]
    return {what: int(counted.partition(" of ")[0]) for what, _, counted in quotas if what != "IAM roles"}


def only(state: str, check: str, cause: str, remedy: str) -> None:
    [told] = wrong()
    assert told[:2] == (state, check)
    assert cause in told[2]
    assert remedy in told[3]


@pytest.mark.slow
def test_doctor_looks_at_each_part_of_a_sound_stack(well: Springboard) -> None:
    code, found = examined()
    assert code == 0
    told = {each["check"]: each["what"] for each in found}
    assert told["functions"] == f"{len(well.functions)} functions are active"
    assert told["machines"] == "2 state machines are active"
    assert told["locks"].startswith("0 environments")
    assert told["keys"] == "2 keys are enabled"
    assert {each["what"] for each in found if each["check"] == "triggers"} == {
        "2 rules are enabled",
        "1 stream is read",
        "0 schedules of environments are enabled",
    }
    quotas = [each["what"] for each in found if each["check"] == "quotas"]
    assert "EKS clusters: 0 of 100 in use" in quotas
    assert len(quotas) == 6
    roles = len(well.client("iam").list_roles()["Roles"])
    assert f"IAM roles: {roles} of 1000 in use" in quotas
    assert told["concurrency"] == "Lambda may run 1000 at once"
    assert told["subnets"] == "6 subnets have free addresses"


@pytest.mark.slow
def test_doctor_counts_what_an_environment_takes(well: Springboard) -> None:
    """Two nodes of two vCPUs, a cluster with one group, a load balancer, and the schedule of its drift check."""
    before = in_use(examined()[1])
    well.apply(document("counted", ttlHours=9))
    found = examined()[1]
    taken = {what: count - before[what] for what, count in in_use(found).items()}
    assert taken == {
        "vCPUs of On-Demand standard instances": 4,
        "Elastic IP addresses, one per NAT gateway": 0,
        "EKS clusters": 1,
        "managed node groups of one cluster": 1,
        "Application Load Balancers": 1,
    }
    told = [each["what"] for each in found]
    assert {"2 schedules of environments are enabled", "1 environment that you see is looked after"} <= set(told)
    each_schedule_that_is_gone_is_told_and_made_again(well, "counted")
    well.delete("counted")
    assert in_use(examined()[1]) == before


def each_schedule_that_is_gone_is_told_and_made_again(well: Springboard, name: str) -> None:
    """Nobody else notices: drift is looked for by a schedule, and an end of life comes by one."""
    scheduler = well.client("scheduler")
    names = [each["Name"] for each in scheduler.list_schedules(GroupName="springboard")["Schedules"]]
    for schedule in names:
        scheduler.delete_schedule(GroupName="springboard", Name=schedule)
    lacks = [(check, cause) for _, check, cause, _ in wrong()]
    assert lacks == [
        ("schedules", f"{name} lacks the schedule that ends it"),
        ("schedules", f"{name} lacks the schedule that looks for drift in it"),
    ]
    assert all("springboard apply -f FILE" in remedy for *_, remedy in wrong())
    well.apply(document(name, ttlHours=9))
    assert wrong() == []


@pytest.mark.slow
def test_each_part_that_is_gone_is_told_with_its_remedy(well: Springboard) -> None:
    """What somebody deleted by hand; the others are looked at all the same."""
    lost = "runbooks.md#putting-the-stack-right"

    alarms, alarm = well.client("cloudwatch"), "springboard-sweep-silent"
    alarms.disable_alarm_actions(AlarmNames=[alarm])
    only("fail", "alarms", f"{alarm} tells nobody", f"aws cloudwatch enable-alarm-actions --alarm-names {alarm}")
    alarms.enable_alarm_actions(AlarmNames=[alarm])
    [before] = alarms.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    alarms.delete_alarms(AlarmNames=[alarm])
    only("fail", "alarms", f"the alarm {alarm} is gone", lost)
    takes = alarms.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    alarms.put_metric_alarm(**{key: value for key, value in before.items() if key in takes})
    well.clock.advance(2 * MINUTE)

    states, arn = well.client("stepfunctions"), well.outputs["TeardownMachineArn"]
    machine = states.describe_state_machine(stateMachineArn=arn)
    states.delete_state_machine(stateMachineArn=arn)
    only("fail", "machines", "the state machine springboard-teardown is gone", lost)
    states.create_state_machine(**{key: machine[key] for key in ("name", "definition", "roleArn")})

    events = well.client("events")
    events.delete_event_bus(Name="springboard")
    only("fail", "bus", "the event bus springboard is gone", lost)
    events.create_event_bus(Name="springboard")

    [rule] = [each for each in events.list_rules()["Rules"] if "EventPattern" in each]
    targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    events.remove_targets(Rule=rule["Name"], Ids=[each["Id"] for each in targets])
    events.delete_rule(Name=rule["Name"])
    only("fail", "triggers", f"the rule {rule['Name']} is gone", lost)
    events.put_rule(Name=rule["Name"], EventPattern=rule["EventPattern"])
    events.put_targets(Rule=rule["Name"], Targets=targets)

    logs, group = well.client("logs"), "/springboard/springboard/operations"
    logs.delete_log_group(logGroupName=group)
    only("fail", "logs", f"the log group {group} is gone", lost)
    logs.create_log_group(logGroupName=group)


@pytest.mark.slow
def test_each_part_that_is_broken_is_told_with_its_remedy(well: Springboard) -> None:
    functions, events = well.client("lambda"), well.client("events")

    functions.put_function_concurrency(FunctionName="springboard-sweep", ReservedConcurrentExecutions=0)
    only("fail", "functions", "springboard-sweep is stopped", "aws lambda delete-function-concurrency")
    functions.delete_function_concurrency(FunctionName="springboard-sweep")

    [rule] = [each["Name"] for each in events.list_rules()["Rules"] if "ScheduleExpression" in each]
    events.disable_rule(Name=rule)
    only("fail", "triggers", f"the rule {rule} is disabled", f"aws events enable-rule --name {rule}")
    events.enable_rule(Name=rule)

    [mapping] = functions.list_event_source_mappings()["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    only("fail", "triggers", "reads no stream", f"--uuid {mapping['UUID']} --enabled")
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    keys = well.client("kms")
    resource = well.client("cloudformation").describe_stack_resource(
        StackName="springboard", LogicalResourceId="SecretsKey"
    )
    key = resource["StackResourceDetail"]["PhysicalResourceId"]
    keys.disable_key(KeyId=key)
    only("fail", "keys", "the key SecretsKey is disabled", f"aws kms enable-key --key-id {key}")
    keys.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    only("fail", "keys", "the key SecretsKey will be deleted on", "aws kms cancel-key-deletion")
    keys.cancel_key_deletion(KeyId=key)
    keys.enable_key(KeyId=key)

    service_quotas.change("L-1194D53C", 0)
    only("fail", "quotas", "EKS clusters: 0 of 0 in use, an environment needs 1", "eks L-1194D53C")
    service_quotas.change("L-1194D53C", 100)

    service_quotas.change("L-B99A9384", 10)
    only("fail", "concurrency", "Lambda may run 10 at once; one plan", "lambda L-B99A9384")
    service_quotas.change("L-B99A9384", 1_000)

    denied = Rule("kms", "error", operation="DescribeKey", probability=1.0, code="AccessDeniedException", status=400)
    fault = well.cloud.pipeline.inject(denied)
    only("warn", "keys", "not allowed to look", "ask for that permission")
    well.cloud.pipeline.clear_faults(fault.number)


@pytest.mark.slow
def test_a_dead_letter_and_the_alarm_on_it_are_told(well: Springboard) -> None:
    sqs, url = well.client("sqs"), well.outputs["DeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="lost")
    well.clock.advance(2 * MINUTE)
    letters = "runbook docs/guide/runbooks.md#springboard-dead-letters"
    assert [(state, check, remedy.rpartition(", ")[2]) for state, check, _, remedy in wrong()] == [
        ("fail", "alarms", letters),
        ("fail", "letters", letters),
    ]
    sqs.purge_queue(QueueUrl=url)
    well.clock.advance(2 * MINUTE)


@pytest.mark.sweep
def test_a_lock_that_nobody_frees_is_told(well: Springboard) -> None:
    reply: Any = well.call("POST", "/environments", document("stale"))
    assert reply.status == 202
    well.clock.advance(MINUTE)
    [told] = [each["what"] for each in examined()[1] if each["check"] == "locks"]
    assert told.startswith("1 environment is being worked on")
    events = well.client("events")
    rules = [each["Name"] for each in events.list_rules()["Rules"]]
    for rule in rules:
        events.disable_rule(Name=rule)
    well.client("stepfunctions").stop_execution(executionArn=well.execution(reply.document["status"]["operation"]))
    well.clock.advance(16 * MINUTE)
    [stale] = [each for each in wrong() if each[1] == "locks"]
    assert "but its execution is ABORTED" in stale[2]
    for rule in rules:
        events.enable_rule(Name=rule)
    well.delete("stale")
    well.clock.advance(10 * MINUTE)
