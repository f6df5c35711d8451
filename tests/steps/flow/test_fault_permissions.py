"""What the functions around the components may not do: F7 of flow, triggers, outbox and API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.steps.flow import invariants
from tests.steps.flow.inventory import inventory
from tests.steps.flow.springboard import document
from tests.steps.flow.test_fault_cluster import Rights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.steps.flow.springboard import Springboard, Status

pytestmark = pytest.mark.sweep

RECORD = "dynamodb:UpdateItem"
SWEPT = 720  # virtual seconds in which the sweep has looked at a lock that is two minutes old


@pytest.fixture
def rights(springboard: Springboard) -> Iterator[Rights]:
    """Nothing taken yet; whatever comes, all is given back."""
    made = Rights(springboard, {})
    yield made
    for function in list(made.taken):
        made.give_back(function)


def asked(springboard: Springboard, action: str, function: str) -> int:
    """How often a function has asked for an action since `forget_calls`."""
    made = [each for each in springboard.recorded() if each.principal.endswith(f"/springboard-{function}")]
    return sum(f"{each.service}:{each.operation}" == action for each in made)


def told(springboard: Springboard, status: Status, step: str) -> None:
    """The step that was denied, with the action and the table."""
    failure = status.failure
    assert failure["step"] == step, failure
    assert "is not authorized to perform" in failure["cause"], failure
    assert f"allow {RECORD} on arn:aws:dynamodb:" in failure["remedy"], failure
    invariants.check(springboard, status.document["metadata"]["name"])


def again(name: str, number: int) -> dict[str, object]:
    """The environment, changed in what costs no time."""
    wanted = document(name)
    wanted["metadata"]["labels"] = {"number": str(number)}
    return wanted


def test_f7_flow_functions_that_may_not_are_named_and_their_work_is_done_by_the_next(
    springboard: Springboard, rights: Rights
) -> None:
    """Create, change and delete; each function's right is taken once in each."""
    before = inventory(springboard.client)
    name = "muzzled"

    # The beginning and the end of a create name themselves.
    rights.take("begin-operation", RECORD)
    springboard.forget_calls()
    told(springboard, springboard.apply(document(name)), "BeginOperation")
    assert asked(springboard, RECORD, "begin-operation") == 1  # not retried
    assert not [call for call in springboard.mutating() if call.startswith(("ec2:", "eks:"))]
    rights.give_back("begin-operation")
    rights.take("record-ready", RECORD)
    told(springboard, springboard.act(name, "retry"), "RecordReady")
    rights.give_back("record-ready")
    # The lock that Settle may not free is freed by the execution's status event.
    rights.take("settle", RECORD)
    assert springboard.act(name, "retry").phase == "Ready"
    assert invariants.at_rest(springboard, name).phase == "Ready"
    invariants.check(springboard, name)
    invariants.unchanged(springboard, document(name))

    # The lock that nobody else may free is freed by the sweep.
    rights.take("execution-ended", RECORD)
    accepted = springboard.send(again(name, 1))
    springboard.finish(accepted)
    springboard.clock.settle()
    assert springboard.send(again(name, 2)).status == 409
    springboard.clock.advance(SWEPT)
    rights.give_back("execution-ended")
    rights.give_back("settle")
    assert invariants.at_rest(springboard, name).phase == "Ready"
    invariants.check(springboard, name)

    # Where RecordFailure may not say what failed, Settle says it from the step's own note.
    rights.take("record-failure", RECORD)
    rights.take("firewall", "ec2:AuthorizeSecurityGroupIngress")
    wanted = document(name, ingress={"allowCidrs": ["192.0.2.0/24"]})
    failed = springboard.apply(wanted)
    assert failed.failure["step"] == "EnsureFirewall", failed.failure
    assert "allow ec2:AuthorizeSecurityGroupIngress on arn:aws:ec2:" in failed.failure["remedy"], failed.failure
    invariants.check(springboard, name)
    rights.give_back("record-failure")
    rights.give_back("firewall")
    invariants.converges(springboard, wanted)

    deleted_without_rights(springboard, rights, name)
    springboard.clock.advance(900)
    invariants.nothing_left(springboard, name, before)


def deleted_without_rights(springboard: Springboard, rights: Rights, name: str) -> None:
    """A deletion, in which the same functions are denied the record one after the other."""
    rights.take("begin-operation", RECORD)
    springboard.finish(springboard.call("DELETE", f"/environments/{name}"))
    told(springboard, springboard.get(name), "BeginOperation")
    rights.give_back("begin-operation")
    rights.take("record-ready", RECORD)
    springboard.finish(springboard.call("POST", f"/environments/{name}/retry"))
    told(springboard, springboard.get(name), "RecordReady")
    rights.give_back("record-ready")
    rights.take("settle", RECORD)
    springboard.finish(springboard.call("POST", f"/environments/{name}/retry"))
    invariants.gone(springboard, name)


def test_f7_triggers_the_outbox_and_the_api_that_may_not_lose_nothing(springboard: Springboard, rights: Rights) -> None:
    before = inventory(springboard.client)
    name = "mute"
    # What may not be published is published later, and the operation does not mind.
    rights.take("publish-events", "events:PutEvents")
    assert springboard.apply(document(name, ttlHours=9)).phase == "Ready"
    invariants.check(springboard, name)
    rights.give_back("publish-events")
    springboard.clock.advance(600)
    phases = [e["data"]["to"] for e in springboard.events(name) if e["type"].endswith("PhaseChanged")]
    assert phases[-1] == "Ready", phases
    ids = [each["id"] for each in springboard.events(name)]
    assert ids == sorted(set(ids))

    # Who may not ask says that it does not know.
    rights.take("drift-check", "lambda:InvokeFunction")
    springboard.until(lambda: springboard.get(name).condition("Drifted")["status"] == "Unknown", 8 * 3600)
    rights.give_back("drift-check")
    invariants.check(springboard, name)

    # A problem document that names action and resource; nothing was begun.
    rights.take("api", "dynamodb:PutItem")
    springboard.forget_calls()
    refused = springboard.send(again(name, 1))
    assert refused.status == 500, refused
    assert "dynamodb:PutItem" in str(refused.document), refused.document
    rights.give_back("api")
    invariants.check(springboard, name)

    # The sweep that may not is told in the log; the next one that may does its work.
    uid = springboard.get(name).uid
    rights.take("settle", RECORD)
    rights.take("execution-ended", RECORD)
    rights.take("sweep", RECORD)
    changed = document(name, ttlHours=9, drift="Repair")
    springboard.finish(springboard.send(changed))
    springboard.clock.advance(2 * SWEPT)
    assert "lock" in invariants.item(springboard, f"ENV#{uid}", "STATUS")
    for function in ("settle", "execution-ended", "sweep"):
        rights.give_back(function)
    springboard.clock.advance(SWEPT)
    invariants.check(springboard, name)
    invariants.converges(springboard, changed)
    invariants.deleted(springboard, name, before)
