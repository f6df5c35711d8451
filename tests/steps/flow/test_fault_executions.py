"""Executions that end from outside, never start, are redriven; events that come twice or in disorder: F13, F41, F43."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from springboard_local.pipeline import Rule
from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory, pages
from tests.steps.flow.springboard import document
from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Reply, Springboard, Status

SWEPT = 720  # virtual seconds in which the sweep, every five minutes, has looked at a lock that is two minutes old


def changed(name: str) -> dict[str, Any]:
    """The environment as it is changed: a node group that takes minutes is added."""
    return document(name, nodeGroups=[{"name": "workers", "size": 2}, {"name": "more", "size": 1}])


@contextmanager
def unheard(springboard: Springboard) -> Iterator[None]:
    """Nobody is told that an execution has ended."""
    events = springboard.client("events")
    [rule] = [each["Name"] for each in events.list_rules()["Rules"] if "EventPattern" in each]
    events.disable_rule(Name=rule)
    try:
        yield
    finally:
        events.enable_rule(Name=rule)


@contextmanager
def impatient(springboard: Springboard, seconds: int) -> Iterator[None]:
    """Machines that time out after so many seconds, for executions that start meanwhile."""
    states = springboard.client("stepfunctions")
    machines = [springboard.outputs[f"{kind}MachineArn"] for kind in ("Provision", "Teardown")]
    before = {arn: states.describe_state_machine(stateMachineArn=arn)["definition"] for arn in machines}
    for arn, definition in before.items():
        hasty = {**json.loads(definition), "TimeoutSeconds": seconds}
        states.update_state_machine(stateMachineArn=arn, definition=json.dumps(hasty))
    try:
        yield
    finally:
        for arn, definition in before.items():
            states.update_state_machine(stateMachineArn=arn, definition=definition)


def execution(springboard: Springboard, arn: str) -> dict[str, Any]:
    described: dict[str, Any] = springboard.client("stepfunctions").describe_execution(executionArn=arn)
    return described


def begun(springboard: Springboard, reply: Reply, seconds: float = 90) -> str:
    """The ARN of the execution that an accepted request has started, some time on its way."""
    assert reply.status == 202, reply
    springboard.clock.advance(seconds)
    arn = springboard.execution(reply.document["status"]["operation"])
    assert execution(springboard, arn)["status"] == "RUNNING"
    return arn


# How an operation is ended from outside, and what it is called.


def aborted_and_swept(springboard: Springboard, reply: Reply) -> str:
    """Stopped by hand, and the status event is lost: the sweep finds the lock."""
    with unheard(springboard):
        arn = begun(springboard, reply)
        springboard.client("stepfunctions").stop_execution(
            executionArn=arn, error="ByHand", cause="somebody stopped it"
        )
        springboard.clock.advance(SWEPT)
    return "ABORTED"


def timed_out_and_told(springboard: Springboard, reply: Reply) -> str:
    """Timed out, and the status event frees the lock."""
    arn = begun(springboard, reply)
    springboard.clock.advance(60)
    assert execution(springboard, arn)["status"] == "TIMED_OUT"
    return "TIMED_OUT"


def ended(springboard: Springboard, name: str, how: str, kind: str) -> None:
    """It failed without a word of its own, says so, and nobody holds the lock."""
    invariants.check(springboard, name)
    status = springboard.get(name)
    assert (status.operation["kind"], status.operation["status"]) == (kind, "Failed"), status.operation
    assert how in status.failure["cause"], status.failure
    assert "retry" in status.failure["remedy"], status.failure
    uid = status.uid
    assert "lock" not in invariants.item(springboard, f"ENV#{uid}", "STATUS")


@pytest.mark.parametrize("how", ["aborted", "timed-out"])
@pytest.mark.sweep
def test_f41_f13_an_execution_that_ends_from_outside_frees_its_lock_and_a_retry_converges(
    springboard: Springboard, how: str
) -> None:
    """Over create, change and delete."""
    before = inventory(springboard.client)
    end = aborted_and_swept if how == "aborted" else timed_out_and_told

    def cut(ask: Any, kind: str) -> None:
        if how == "aborted":
            told = end(springboard, ask())
        else:
            with impatient(springboard, 120):
                told = end(springboard, ask())
        ended(springboard, how, told, kind)

    cut(lambda: springboard.send(document(how)), "Create")
    assert springboard.act(how, "retry").phase == "Ready"
    cut(lambda: springboard.send(changed(how)), "Update")
    invariants.converges(springboard, changed(how))
    cut(lambda: springboard.call("DELETE", f"/environments/{how}"), "Delete")
    springboard.finish(springboard.call("POST", f"/environments/{how}/retry"))
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, how, before)


@pytest.mark.slow
def test_f41_f34_a_deletion_takes_over_from_what_died_unheard(springboard: Springboard) -> None:
    """The dead holder of the lock keeps nobody: neither one that was at work nor one that never started."""
    before = inventory(springboard.client)
    with unheard(springboard):
        arn = begun(springboard, springboard.send(document("orphan")), 300)
        springboard.client("stepfunctions").stop_execution(executionArn=arn)
        springboard.clock.settle()
        deletion = springboard.call("DELETE", "/environments/orphan")
    assert (deletion.status, deletion.document["status"]["operation"]["kind"]) == (202, "Delete"), deletion.document
    invariants.check(springboard, "orphan")
    invariants.gone(springboard, "orphan")
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "orphan", before)


@pytest.mark.sweep
def test_f41_f13_changes_and_deletions_that_never_started_are_started_by_the_sweep(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    assert springboard.apply(document("unborn")).phase == "Ready"

    def unstarted(ask: Any) -> None:
        fault = springboard.cloud.pipeline.inject(
            Rule("states", "error", "StartExecution", times=9, code="InternalFailure")
        )
        assert ask().status == 202
        assert fault.struck > 0
        springboard.cloud.pipeline.clear_faults()
        assert springboard.get("unborn").operation["status"] == "Pending"

    unstarted(lambda: springboard.send(changed("unborn")))
    assert invariants.at_rest(springboard, "unborn").phase == "Ready"
    invariants.check(springboard, "unborn")
    invariants.unchanged(springboard, changed("unborn"))
    unstarted(lambda: springboard.call("DELETE", "/environments/unborn"))
    invariants.gone(springboard, "unborn")
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "unborn", before)


def superseded(springboard: Springboard, arn: str) -> None:
    """A redrive of an execution runs into the fence: it ends as superseded, and has changed nothing."""
    states = springboard.client("stepfunctions")
    uid = json.loads(execution(springboard, arn)["input"])["environment"]
    before = invariants.item(springboard, f"ENV#{uid}", "STATUS")
    springboard.forget_calls()
    states.redrive_execution(executionArn=arn)
    springboard.until(lambda: execution(springboard, arn)["status"] != "RUNNING", 3600)
    assert execution(springboard, arn)["status"] == "FAILED", execution(springboard, arn)
    springboard.clock.settle()
    role = "assumed-role/springboard-"
    calls = [f"{call.service}:{call.operation}" for call in springboard.calls() if role in call.principal]
    after = invariants.item(springboard, f"ENV#{uid}", "STATUS")
    if "lock" not in before:
        assert calls == [], calls  # not even looked at
        assert after == before
    assert after.get("lock") == before.get("lock")


@pytest.mark.sweep
def test_f41_f13_a_redriven_execution_does_nothing_against_whoever_came_after_it(springboard: Springboard) -> None:
    """While nobody, a retry, a change and a deletion hold the lock; its functions called late do nothing either."""
    before = inventory(springboard.client)
    old = begun(springboard, springboard.send(document("revenant")), 200)
    springboard.client("stepfunctions").stop_execution(executionArn=old)
    assert invariants.at_rest(springboard, "revenant").phase == "Failed"
    superseded(springboard, old)  # its own failure is recorded, and nobody has asked for a retry
    invariants.check(springboard, "revenant")

    retry = springboard.call("POST", "/environments/revenant/retry")
    begun(springboard, retry)
    superseded(springboard, old)
    invariants.check(springboard, "revenant")
    springboard.finish(retry)
    assert springboard.get("revenant").phase == "Ready"
    superseded(springboard, old)
    invariants.unchanged(springboard, document("revenant"))

    change = springboard.send(changed("revenant"))
    begun(springboard, change, 30)
    superseded(springboard, old)
    late = late_steps(springboard, springboard.get("revenant"), old)
    assert set(late.values()) == {"FencedError"}, late
    springboard.finish(change)
    invariants.converges(springboard, changed("revenant"))

    deletion = springboard.call("DELETE", "/environments/revenant")
    begun(springboard, deletion, 120)
    superseded(springboard, old)
    invariants.gone(springboard, "revenant")
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "revenant", before)
    superseded(springboard, old)  # even of what is no more
    invariants.nothing_left(springboard, "revenant", before)


def late_steps(springboard: Springboard, status: Status, arn: str) -> dict[str, str]:
    """Every component function, called by an operation that is over: the error that each ends with."""
    task = {**json.loads(execution(springboard, arn)["input"]), "now": "2026-11-23T12:00:00Z"}
    assert task["operation"] != status.operation["id"]
    functions = springboard.client("lambda")
    errors = {}
    for machine in source.MACHINES:
        removal = {"removal": True} if machine == "teardown" else {}
        for function in ("cluster", "firewall", "load-balancer", "dns", "node-groups", "workload", "record-ready"):
            answer = functions.invoke(
                FunctionName=f"springboard-{function}", Payload=json.dumps({**task, **removal}).encode()
            )
            errors[f"{machine} {function}"] = json.load(answer["Payload"]).get("errorType", "none")
    return errors


# F43


def stream(springboard: Springboard) -> list[dict[str, Any]]:
    """The records of the table's stream that the mapping lets through, as a function is given them."""
    streams = springboard.client("dynamodbstreams")
    arn = springboard.client("dynamodb").describe_table(TableName=invariants.TABLE)["Table"]["LatestStreamArn"]
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    found: list[dict[str, Any]] = []
    while records := (answer := streams.get_records(ShardIterator=iterator, Limit=100))["Records"]:
        found += records
        iterator = answer["NextShardIterator"]
    found = [each for each in found if each["dynamodb"]["Keys"]["sk"] == {"S": "STATUS"}]
    for each in found:
        change = each["dynamodb"]
        change["ApproximateCreationDateTime"] = int(change["ApproximateCreationDateTime"].timestamp())
    return found


def history(springboard: Springboard, uid: str) -> list[dict[str, Any]]:
    """The events of an environment as the table has them, also of one that is gone."""
    values = {":pk": {"S": f"ENV#{uid}"}, ":sk": {"S": "EVENT#"}}
    found = pages(
        springboard.client("dynamodb"),
        "query",
        "Items",
        TableName=invariants.TABLE,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues=values,
    )
    return list(found)


@pytest.mark.slow
def test_f43_stream_records_that_come_again_and_in_disorder_change_no_history(springboard: Springboard) -> None:
    """While an environment is being made, once it is there, and when it is gone."""
    before = inventory(springboard.client)
    chance = random.Random(43)  # noqa: S311 - a disorder, not a secret
    publish = springboard.client("lambda")

    def again() -> None:
        records = stream(springboard)
        disorder = [*records, *chance.sample(records, len(records) // 2)]
        chance.shuffle(disorder)
        for first in range(0, len(disorder), 10):
            batch = json.dumps({"Records": disorder[first : first + 10]}).encode()
            answer = publish.invoke(FunctionName="springboard-publish-events", Payload=batch)
            assert json.load(answer["Payload"]) == {"batchItemFailures": []}

    accepted = springboard.send(document("echoes"))
    springboard.clock.advance(120)
    uid = springboard.get("echoes").uid
    for moment in ("made", "there", "gone"):
        if moment == "there":
            springboard.finish(accepted)
            invariants.converges(springboard, document("echoes"))
        elif moment == "gone":
            springboard.delete("echoes")
            springboard.clock.advance(900)
        springboard.clock.settle()
        told, record = history(springboard, uid), invariants.item(springboard, f"ENV#{uid}", "STATUS")
        assert told
        again()
        springboard.clock.settle()
        assert history(springboard, uid) == told, moment
        assert invariants.item(springboard, f"ENV#{uid}", "STATUS") == record, moment
        if moment != "gone":
            invariants.check(springboard, "echoes")
    ids = [each["sk"]["S"] for each in history(springboard, uid)]
    assert ids == sorted(set(ids))
    invariants.nothing_left(springboard, "echoes", before)


@pytest.mark.sweep
def test_f43_a_schedule_that_fires_twice_starts_one_deletion_and_one_repair(springboard: Springboard) -> None:
    before = inventory(springboard.client)
    wanted = document("twice", ttlHours=2, drift="Repair")
    assert springboard.apply(wanted).phase == "Ready"
    status = springboard.get("twice")
    cloudwatch, functions = springboard.client("cloudwatch"), springboard.client("lambda")
    mine = [
        each["AlarmName"] for each in cloudwatch.describe_alarms(AlarmNamePrefix="springboard-twice-")["MetricAlarms"]
    ]
    cloudwatch.delete_alarms(AlarmNames=mine)

    def twice(function: str, time: str) -> None:
        event = json.dumps({"environment": status.uid, "time": time}).encode()
        for _ in range(2):
            answer = functions.invoke(FunctionName=f"springboard-{function}", Payload=event)
            assert answer["StatusCode"] == 200
        springboard.clock.settle()
        invariants.check(springboard, "twice")

    twice("drift-check", springboard.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert invariants.at_rest(springboard, "twice").phase == "Ready"
    repaired = springboard.call("GET", "/environments/twice/operations").document["items"]
    assert sorted(each["kind"] for each in repaired) == ["Create", "Repair"]
    invariants.unchanged(springboard, wanted)
    expiry = springboard.get("twice").document["status"]["expiresAt"]
    twice("ttl-reached", expiry)
    deleting = springboard.get("twice").operation
    assert deleting["kind"] == "Delete"
    invariants.gone(springboard, "twice")
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, "twice", before)
