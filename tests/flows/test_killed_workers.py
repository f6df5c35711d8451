"""Functions that die around their mutating calls, as processes that really end: a sample of the kill sweep (F4).

Around calls of AWS, and the workload's around those of Kubernetes.
"""

from __future__ import annotations

import json
import os
import random
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, override

import pytest

from tests.flows.conftest import SPEED
from tests.steps.flow import invariants, kills, stack
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import OWN, Reply, Springboard, document

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.conftest import Laptop

pytestmark = [pytest.mark.flow, pytest.mark.sweep, pytest.mark.timeout(600)]

SEED = int(os.environ.get("SPRINGBOARD_SEED", "17"))
CASES = 3
DEEPEST = 4  # most functions change something at least so often


class Person(Springboard):
    """The stack as a person at a laptop has it: over HTTP, with everything in processes of its own."""

    def __init__(self, laptop: Laptop) -> None:
        self.laptop = laptop
        [deployed] = laptop.client("cloudformation").describe_stacks(StackName=stack.STACK)["Stacks"]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in deployed["Outputs"]}
        found = laptop.client("lambda").get_paginator("list_functions").paginate()
        names = [each["FunctionName"] for page in found for each in page["Functions"]]
        self.functions = frozenset(name for name in names if name.startswith(f"{stack.STACK}-"))
        self._mark = 0

    @override
    def client(self, service: str) -> Any:
        return self.laptop.client(service)

    @override
    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        status, answer, sent = self.laptop.exchange(method, path, body, headers)
        return Reply(status, sent, answer)

    @override
    def forget_calls(self) -> None:
        self._mark = int(self.laptop.local("calls?limit=1")[-1]["number"])

    @override
    def mutating(self) -> list[str]:
        made = self.laptop.local(f"calls?after={self._mark}&mutating=true&internal=false")
        role = f"assumed-role/{stack.STACK}-"
        return [
            f"{each['service']}:{each['operation']}"
            for each in made
            if role in each["principal"] and each["service"] not in OWN
        ]

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """Ask the local cloud itself."""
        url = f"{self.laptop.environment['AWS_ENDPOINT_URL']}/_local/{path}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def wait(self, name: str, what: str) -> None:
        """As a person waits; a failure is told."""
        ended = self.laptop.run("springboard", "wait", name, f"--for={what}", "--timeout", "160s")
        assert ended.code == 0, ended.out + ended.err


def insist(ask: Callable[[], Reply]) -> Reply:
    """Ask until the API's own function has lived long enough to answer."""
    for _ in range(4):
        reply = ask()
        if reply.status < 500:
            return reply
    raise AssertionError(reply)


def arm(person: Person, moment: str, number: int) -> None:
    """Let each function's process end around one of its mutating calls."""
    for function in person.functions:
        rule = {"service": "*", "kind": moment, "principal": f"*/{function}", "mutating": True}
        person.admin("POST", "faults", {**rule, "skip": number, "times": 1})


def ends(person: Person) -> int:
    """How many processes have been killed of those that were to be; nobody dies any more."""
    struck = sum(int(each["struck"]) for each in person.admin("GET", "faults"))
    person.admin("DELETE", "faults")
    return struck


def made(person: Person, uid: str) -> list[str]:
    """The executions of an environment, by their input."""
    states = person.client("stepfunctions")
    machines = [person.outputs[f"{kind}MachineArn"] for kind in ("Provision", "Teardown")]
    found = [
        each["executionArn"]
        for machine in machines
        for each in states.list_executions(stateMachineArn=machine)["executions"]
    ]
    return [arn for arn in found if uid in states.describe_execution(executionArn=arn)["input"]]


def exit_errors(states: Any, arn: str) -> int:
    """How often a function's process has ended under an execution."""
    events = [
        event
        for page in states.get_paginator("get_execution_history").paginate(executionArn=arn)
        for event in page["events"]
    ]
    return sum(event.get("taskFailedEventDetails", {}).get("error") == "Runtime.ExitError" for event in events)


@pytest.mark.parametrize("case", range(CASES))
def test_f4_a_life_in_real_workers_that_are_killed(laptop: Laptop, case: int) -> None:
    """Create and delete; SPRINGBOARD_SEED chooses other ones."""
    chance = random.Random(SEED + case)  # noqa: S311 - a sample, not a secret
    moment, number = kills.MOMENTS[case % 2], chance.randrange(DEEPEST)
    print(f"SPRINGBOARD_SEED={SEED}: {moment} of each function's call {number}")  # noqa: T201 - shown where it fails
    person, name = Person(laptop), f"killed-{case}"
    before = inventory(person.client)

    arm(person, moment, number)
    assert insist(lambda: person.send(document(name))).status == 202
    person.wait(name, "condition=Ready")
    assert ends(person) >= DEEPEST
    uid = person.get(name).uid
    invariants.check(person, name)
    invariants.unchanged(person, document(name))

    arm(person, moment, number)
    assert insist(lambda: person.call("DELETE", f"/environments/{name}")).status in {202, 404}
    person.wait(name, "delete")
    assert ends(person) >= DEEPEST
    operations = person.client("stepfunctions")
    exits = [exit_errors(operations, arn) for arn in made(person, uid)]
    assert len(exits) == 2
    assert all(count >= DEEPEST // 2 for count in exits), exits  # the others were the API's, the outbox's, the sweep's
    person.admin("POST", "clock", {"advance": 900})  # network interfaces of a load balancer linger
    invariants.nothing_left(person, name, before)


def arm_kubernetes(person: Person, name: str, **fault: object) -> bool:
    """Let the process that asks a cluster's API end around one of its calls; False while there is no such API."""
    try:
        person.admin("POST", f"kubernetes/{stack.STACK}-{name}", {"kind": "Api", **fault})
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise
        return False
    return True


def until(person: Person, holds: Callable[[], bool]) -> None:
    """Ask until it is so; each question takes milliseconds, and ten seconds pass with each hundred.

    Some control planes take longer than most.
    """
    for asked in range(1, 10_001):
        if holds():
            return
        if asked % 100 == 0:
            person.admin("POST", "clock", {"advance": 10})
    pytest.fail("it never came to be so")


@pytest.mark.parametrize("laptop", ["embedded"], indirect=True)
def test_f4_the_workloads_process_is_killed_around_calls_to_kubernetes(laptop: Laptop) -> None:
    """Once in a create and once in its delete; SPRINGBOARD_SEED chooses other calls."""
    chance = random.Random(SEED)  # noqa: S311 - a sample, not a secret
    moment, other = chance.sample(["KillBefore", "KillAfter"], 2)
    number = chance.randrange(DEEPEST)
    print(f"SPRINGBOARD_SEED={SEED}: {moment} of PATCH {number}, {other} of DELETE 0")  # noqa: T201 - shown where it fails
    person, name = Person(laptop), "killed-inside"
    before = inventory(person.client)

    person.admin("POST", "clock", {"speed": 1})  # the API is there ten seconds before anybody asks it
    try:
        assert person.send(document(name)).status == 202
        person.wait(name, "condition=TargetGroupsReady")
        eks = person.client("eks")
        until(person, lambda: f"{stack.STACK}-{name}" in eks.list_clusters()["clusters"])
        person.admin("POST", "clock", {"advance": 600})
        until(person, lambda: arm_kubernetes(person, name, match="PATCH *", reason=moment, skip=number))
    finally:
        person.admin("POST", "clock", {"speed": SPEED})
    person.wait(name, "condition=Ready")
    uid = person.get(name).uid
    operations = person.client("stepfunctions")
    assert [exit_errors(operations, arn) for arn in made(person, uid)] == [1]
    invariants.check(person, name)
    invariants.unchanged(person, document(name))

    assert arm_kubernetes(person, name, match="DELETE *", reason=other)
    assert person.call("DELETE", f"/environments/{name}").status == 202
    person.wait(name, "delete")
    assert [exit_errors(operations, arn) for arn in made(person, uid)] == [1, 1]
    person.admin("POST", "clock", {"advance": 900})  # network interfaces of a load balancer linger
    invariants.nothing_left(person, name, before)
