"""Secrets are used, and stay nowhere: canaries are planted, all goes right and wrong once, then everything is read.

Read are the histories of all executions, the functions' logs, events on the bus and on the topic, the record, the
bodies that the API answers, and what CloudFormation, Lambda and CloudWatch tell of the stack.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from moto.sts.models import sts_backends

from springboard_local.cloud import ACCOUNT, DEVELOPER_SECRET_KEY
from springboard_local.pipeline import Rule
from springboard_local.services import eks
from tests.steps.flow import stack
from tests.steps.flow.invariants import TABLE, deleted
from tests.steps.flow.inventory import inventory, pages
from tests.steps.flow.springboard import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Reply, Springboard

REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
VALUE = "canary-value-51f0c3aa"  # of a plain variable: in the spec and in the cluster, where its owner put it
SECRET = "canary-secret-9be2d417"  # in a Kubernetes Secret
CRASH = "canary-crash-c08a6e3f"  # in the log of an application that crashes
KEY = "canary-key-2f6d71b8"  # an Idempotency-Key
TOKENS = re.compile(r"k8s-aws-v1\.[A-Za-z0-9_-]{20}|PRIVATE KEY|X-Amz-Signature=|X-Amz-Security-Token=|client-key-data")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What all functions write to their logs."""
    stream = io.StringIO()
    for logger in [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and hasattr(handler.formatter, "append_keys"):  # Powertools'
                monkeypatch.setattr(handler, "stream", stream)
    return stream


def listen(springboard: Springboard) -> str:
    """A queue that gets all that Springboard tells, from the bus and from the topic; its URL."""
    sqs = springboard.client("sqs")
    url: str = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events = springboard.client("events")
    [bus] = [each["Name"] for each in events.list_event_buses()["EventBuses"] if each["Name"] != "default"]
    events.put_rule(Name="listener", EventBusName=bus, EventPattern=json.dumps({"source": [{"exists": True}]}))
    events.put_targets(Rule="listener", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def heard(springboard: Springboard, url: str) -> str:
    """All messages in the queue."""
    sqs, bodies = springboard.client("sqs"), []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        bodies += [each["Body"] for each in batch]
        for each in batch:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return "\n".join(bodies)


def everything_happens(springboard: Springboard) -> list[Reply]:
    """Create, give a Secret, crash, be denied, be throttled, mend, lose the API server, delete; what the API said."""
    said: list[Reply] = []
    name = "vault"
    app: dict[str, Any] = {"image": f"{REGISTRY}/shop:1.4.2", "env": {"GREETING": VALUE}}
    said.append(springboard.call("POST", "/environments", document(name, apps=[app]), **{"Idempotency-Key": KEY}))
    springboard.finish(said[-1])
    assert springboard.get(name).phase == "Ready"

    plane = eks.control_plane(f"{stack.STACK}-{name}")
    assert plane is not None
    data = {"PASSWORD": base64.b64encode(SECRET.encode()).decode()}
    place = {"name": "database", "namespace": name}
    plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": place, "data": data})
    app["envFromSecrets"] = ["database"]
    app["image"] = f"{REGISTRY}/shop:1.4.3"
    said.append(springboard.send(document(name, apps=[app])))
    assert said[-1].status == 202, said[-1]
    digest = springboard.get(name).document["status"]["apps"][0]["digest"]
    fault = {"kind": "Image", "match": f"*{digest}", "reason": "CrashLoopBackOff", "log": f"login failed: {CRASH}"}
    plane.inject(fault)
    springboard.finish(said[-1])
    assert springboard.get(name).phase == "Degraded"
    springboard.call("GET", f"/environments/{name}/diagnosis")  # live: it may show the crash, and is kept nowhere
    plane.inject({**fault, "reason": ""})

    for kind, times in (("error", 1), ("throttle", 6), ("reset", 2), ("kill-after", 1)):
        rule = {"service": "eks", "operation": "Describe*", "kind": kind, "times": times, "principal": "*assumed-role*"}
        springboard.cloud.pipeline.inject(Rule(**rule, code="AccessDeniedException" if kind == "error" else ""))  # type: ignore[arg-type]
        reply = springboard.call("POST", f"/environments/{name}/retry")
        said.append(reply)
        if reply.status == 202:
            springboard.finish(reply)
        springboard.cloud.pipeline.clear_faults()
    wrong = document(name, apps=[{**app, "env": {"GREETING": f"{VALUE}\n"}}])
    said += [springboard.send(wrong), springboard.call("PUT", f"/environments/{name}", wrong)]
    said += [springboard.call("GET", f"/environments/{name}/{part}") for part in ("events", "operations")]
    plane.stop()  # the functions meet a dead server, with a token in their hands
    said.append(springboard.send(document(name, apps=[{**app, "replicas": 3}])))
    return said


def traces(springboard: Springboard) -> Iterator[tuple[str, str]]:
    """(where, text) of what AWS keeps of a run and of the stack."""
    states = springboard.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            arn = execution["executionArn"]
            history = states.get_paginator("get_execution_history").paginate(executionArn=arn)
            yield arn, json.dumps([page["events"] for page in history], default=str)
    functions = springboard.client("lambda").list_functions()["Functions"]
    yield "functions", json.dumps(functions, default=str)
    yield "stack", json.dumps(springboard.client("cloudformation").describe_stacks()["Stacks"], default=str)
    yield "alarms", json.dumps(springboard.client("cloudwatch").describe_alarms()["MetricAlarms"], default=str)


def record(springboard: Springboard) -> Iterator[tuple[str, str]]:
    """(key, text) of each item of the record."""
    for item in pages(springboard.client("dynamodb"), "scan", "Items", TableName=TABLE):
        yield f"record {item['pk']['S']} {item['sk']['S']}", json.dumps(item, default=str)


@pytest.mark.sweep
def test_secrets_stay_nowhere(springboard: Springboard, logged: io.StringIO) -> None:
    before = inventory(springboard.client)
    queue = listen(springboard)
    said = everything_happens(springboard)
    kept = dict(record(springboard))
    springboard.until(lambda: springboard.get("vault").document["status"]["phase"] != "Updating", 14_400)
    kept |= dict(record(springboard))
    deleted(springboard, "vault", before)

    bodies = {f"answer {number}": json.dumps(reply.document) for number, reply in enumerate(said)}
    problems = {where: text for where, text in bodies.items() if '"detail"' in text}
    read = {"log": logged.getvalue(), "events": heard(springboard, queue), **kept, **dict(traces(springboard))}
    assert len(problems) >= 2
    assert len(read["log"]) > 10_000
    assert len(read["events"]) > 5_000
    assert any(":execution:" in where and len(text) > 10_000 for where, text in read.items())

    sessions = sts_backends[ACCOUNT]["aws"].assumed_roles
    keys = {each.secret_access_key for each in sessions} | {each.session_token for each in sessions}
    assert len(keys) > 20
    never = [SECRET, CRASH, KEY, DEVELOPER_SECRET_KEY, base64.b64encode(SECRET.encode()).decode(), *keys]
    for where, text in {**read, **bodies}.items():
        assert not (found := TOKENS.search(text)), f"{where}: {text[found.start() - 80 : found.end()]}"
        assert not [canary for canary in never if canary in text], where
    # The owner's plain value is in the spec, where the owner put it, and in the answer kept for a repeated POST.
    holders = {where.split()[2].partition("#")[0] for where, text in kept.items() if VALUE in text}
    assert holders == {"SPEC", "ANSWER"}
    assert not [where for where, text in {**read, **problems}.items() if VALUE in text and where not in kept]


@pytest.mark.slow
def test_each_line_of_the_log_says_what_it_is_about(springboard: Springboard, logged: io.StringIO) -> None:
    """Environment, operation and step stand on each line of a step, and what was sent can't begin a line."""
    reply = springboard.send(document("told"))
    springboard.clock.advance(60)
    springboard.call("GET", "/environments/told%0A%7B%22level%22:%22ERROR%22%7D%0D%0A%E2%80%A8x")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert all(isinstance(line, dict) and line["level"] != "ERROR" for line in lines)
    steps = [line for line in lines if "step" in line]
    assert len({line["step"] for line in steps}) > 3
    operation = reply.document["status"]["operation"]["id"]
    uid = reply.document["metadata"]["uid"]
    mine = [line for line in steps if line.get("operation") == operation]
    assert len(mine) > 3
    assert {line["environment"] for line in mine} == {uid}
    asked = [line for line in lines if line["service"] == "api" and line["method"] == "POST"]
    assert [(line["environment"], line["operation"]) for line in asked] == [("told", operation)]
    published = [line for line in steps if line["step"] == "PublishEvents"]
    assert {line["environment"] for line in published} == {uid}
    # In this process functions run side by side: none writes another's name on its lines.
    done = [line for line in steps if line["message"] == "step done"]
    assert all(("batchItemFailures" in line["answer"]) == (line["step"] == "PublishEvents") for line in done)
    springboard.act("told", "cancel")
    springboard.delete("told")


@pytest.mark.slow
def test_no_function_lets_what_it_is_sent_begin_a_line_of_its_own(
    springboard: Springboard, logged: io.StringIO
) -> None:
    """Each function but the API's, whose own test is at the edge, with the same hostile values in all places."""
    hostile = 'x\r\n{"level": "ERROR", "message": "forged"}\n\u2028\x85y'
    event = {
        "environment": hostile,
        "operation": hostile,
        "generation": 1,
        "now": "2026-11-26T12:00:00Z",
        "time": "2026-11-26T12:00:00Z",
        "error": {"Error": hostile, "Cause": hostile},
        "detail": {"input": json.dumps({"environment": hostile, "operation": hostile})},
        "Records": [{"dynamodb": {"Keys": {"pk": {"S": f"ENV#{hostile}"}}, "SequenceNumber": "1"}}],
    }
    for name in sorted(springboard.functions - {"springboard-api"}):
        logged.seek(0)
        logged.truncate()
        springboard.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        lines = [json.loads(line) for line in logged.getvalue().splitlines()]
        mine = [line for line in lines if line.get("environment", hostile) == hostile]
        assert mine, name
        assert all(line["message"].startswith("step ") and line["step"] for line in mine), name
        if name != "springboard-sweep":  # which is about all environments
            assert any(line.get("environment") == hostile for line in mine), name
