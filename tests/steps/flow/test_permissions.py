"""Stories of the permissions that only faults ask for; `permissions.yaml` names them.

Locks are handed on by whoever sees the end of an operation first, and what nobody waits for goes to the dead letters.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from springboard_local.pipeline import Rule
from tests.steps.flow import stack
from tests.steps.flow.conftest import Latencies
from tests.steps.flow.invariants import lock_lives, nothing_left
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from tests.steps.flow.springboard import Springboard

pytestmark = pytest.mark.sweep


def failing(springboard: Springboard, operation: str, *functions: str) -> None:
    """Let calls of Step Functions fail for some functions, until they are mended."""
    for function in functions:
        pattern = f"*-{function}FunctionRole-*"
        springboard.cloud.pipeline.inject(Rule("states", "error", operation, pattern, probability=1.0))


def ends(springboard: Springboard, name: str, before: frozenset[str]) -> None:
    """Once mended, the environment goes by itself and leaves nothing."""
    springboard.cloud.pipeline.clear_faults()
    springboard.until(lambda: springboard.call("GET", f"/environments/{name}").status == 404, 8 * 3600)
    springboard.clock.advance(900)  # network interfaces of a load balancer linger
    nothing_left(springboard, name, before)


def deleted_in_the_middle(springboard: Springboard, name: str, *deaf: str, seconds: float) -> None:
    """DELETE in the middle of a create, while some functions can't learn how the stopped execution ended."""
    before = inventory(springboard.client)
    assert springboard.send(document(name)).status == 202
    springboard.clock.advance(60)
    failing(springboard, "DescribeExecution", *deaf)
    assert springboard.call("DELETE", f"/environments/{name}").status == 202
    springboard.clock.advance(seconds)
    status = springboard.get(name)
    assert (status.operation["kind"], status.operation["status"]) == ("Delete", "Running")
    lock_lives(springboard, status.uid)
    ends(springboard, name, before)


def test_a_delete_in_the_middle_is_handed_the_lock_at_once(springboard: Springboard) -> None:
    deleted_in_the_middle(springboard, "by-api", seconds=30)


def test_where_the_api_cannot_hand_it_on_the_status_event_does(springboard: Springboard) -> None:
    deleted_in_the_middle(springboard, "by-event", "Api", seconds=30)


def test_where_the_status_event_cannot_either_the_sweep_does(springboard: Springboard) -> None:
    deleted_in_the_middle(springboard, "by-sweep", "Api", "ExecutionEnded", seconds=900)


def test_a_delete_that_cannot_stop_the_machine_waits_for_its_end(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    assert springboard.send(document("unstopped")).status == 202
    springboard.clock.advance(60)
    failing(springboard, "StopExecution", "Api", "Sweep", "ExecutionEnded")
    assert springboard.call("DELETE", "/environments/unstopped").status == 202
    ends(springboard, "unstopped", before)


def test_a_deletion_that_may_not_or_is_stopped_says_so_and_frees_its_lock(springboard: Springboard) -> None:
    """What fails is recorded by the machine; a machine that is stopped can't, and its status event frees the lock."""
    before = inventory(springboard.client)
    assert springboard.send(document("unfinished")).status == 202
    springboard.clock.advance(60)
    refused = Rule("scheduler", "error", "GetSchedule", probability=1.0, code="AccessDeniedException", status=403)
    springboard.cloud.pipeline.inject(refused)
    springboard.finish(springboard.call("DELETE", "/environments/unfinished"))
    assert springboard.get("unfinished").failure["step"] == "RemoveSchedules"
    springboard.cloud.pipeline.clear_faults()
    retried = springboard.call("POST", "/environments/unfinished/retry")
    arn = springboard.execution(retried.document["status"]["operation"])
    springboard.clock.advance(5)
    springboard.client("stepfunctions").stop_execution(executionArn=arn)
    springboard.clock.advance(30)
    operation = springboard.get("unfinished").operation
    assert (operation["kind"], operation["status"]) == ("Delete", "Failed"), operation
    assert springboard.call("POST", "/environments/unfinished/retry").status == 202
    ends(springboard, "unfinished", before)


def test_a_ttl_ends_an_environment_that_is_still_being_made(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    assert isinstance(springboard.cloud.latency, Latencies)
    springboard.cloud.latency.slow["eks:CreateCluster"] = 5000
    assert springboard.apply(document("brief", ttlHours=1)).phase == "Failed"
    assert springboard.call("POST", "/environments/brief/retry").status == 202
    springboard.until(lambda: springboard.get("brief").operation["kind"] == "Delete", 3600)
    springboard.cloud.latency.slow.clear()
    ends(springboard, "brief", before)


def test_a_ttl_ends_an_environment_whose_change_never_started(springboard: Springboard) -> None:
    """Nothing is made first: the deletion has the lock at once, and the change's execution never was."""
    before = inventory(springboard.client)
    due = springboard.clock.now() + timedelta(hours=1)
    assert springboard.apply(document("unmoved", ttlHours=1)).phase == "Ready"
    springboard.clock.advance((due - springboard.clock.now()).total_seconds() - 30)
    failing(springboard, "StartExecution", "Api")
    groups = [{"name": "workers", "size": 2}, {"name": "more", "size": 1}]
    assert springboard.send(document("unmoved", ttlHours=1, nodeGroups=groups)).status == 202
    springboard.cloud.pipeline.clear_faults()
    change = springboard.execution(springboard.get("unmoved").operation)
    springboard.clock.advance(60)
    assert springboard.get("unmoved").operation["kind"] == "Delete"
    ends(springboard, "unmoved", before)
    states = springboard.client("stepfunctions")
    with pytest.raises(states.exceptions.ExecutionDoesNotExist):
        states.describe_execution(executionArn=change)


def test_what_nobody_waits_for_goes_to_the_dead_letters(springboard: Springboard) -> None:
    functions = springboard.client("lambda")
    waited_for_by_nobody = ("execution-ended", "sweep", "ttl-reached", "drift-check")
    for name in waited_for_by_nobody:
        functions.invoke(FunctionName=f"{stack.STACK}-{name}", InvocationType="Event", Payload=b'{"nothing": 1}')
    faults = springboard.cloud.pipeline
    faults.inject(Rule("events", "error", "PutEvents", "*PublishEventsFunction*", probability=1.0))
    faults.inject(Rule("lambda", "error", "Invoke", "*ScheduleRole*", probability=1.0))
    assert springboard.send(document("unheard", ttlHours=2)).status == 202
    springboard.clock.advance(9 * 3600)
    letters = dead(springboard)
    senders = [f":function:{stack.STACK}-{name}" for name in waited_for_by_nobody]
    for told in (*senders, "DDBStreamBatchInfo", "SCHEDULE_ARN"):
        assert any(told in each for each in letters), (told, letters)


def dead(springboard: Springboard) -> list[str]:
    """What is in the dead-letter queue, with its attributes as text; taken out of it."""
    queue, url = springboard.client("sqs"), springboard.outputs["DeadLetterQueueUrl"]
    wanted = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
    found = []
    while messages := queue.receive_message(**wanted).get("Messages"):
        for each in messages:
            found.append(f"{each['Body']} {each.get('MessageAttributes', {})}")
            queue.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found
