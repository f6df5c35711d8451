"""What holds after every fault, looked at with plain AWS calls.

One of each resource with its owner tags; the lock free or held by something that lives; GET names step, cause and
remedy; a retry converges and once more changes nothing; after a teardown nothing is left but the history.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from springboard.naming import NAME_TAG, OWNER_TAG, STACK_TAG
from tests.steps.flow import stack
from tests.steps.flow.inventory import inventory, pages
from tests.steps.flow.owned import owned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.steps.flow.owned import Resource
    from tests.steps.flow.springboard import Springboard, Status

TABLE = f"{stack.STACK}-record"
_PENDING_LIMIT = 900  # virtual seconds: status event or sweep have settled whatever ended, and twice over


def check(springboard: Springboard, name: str) -> None:
    """What has to hold whatever has happened, also in the middle of an operation."""
    status = springboard.get(name)
    one_of_each(springboard, name, status.uid)
    lock_lives(springboard, status.uid)
    told(springboard, name)


def one_of_each(springboard: Springboard, name: str, uid: str) -> list[Resource]:
    """No two of one identity, and each one ours by its tags; what was found."""
    found = owned(springboard.client, name, uid)
    twice = [what for what, count in Counter(str(each) for each in found).items() if count > 1]
    assert not twice, f"more than one of {twice}"
    wanted = {OWNER_TAG: uid, NAME_TAG: name, STACK_TAG: stack.STACK}
    untagged = [str(each) for each in found if each.tags is not None and not wanted.items() <= each.tags.items()]
    assert not untagged, f"without the owner's tags: {untagged}"
    return found


def lock_lives(springboard: Springboard, uid: str) -> None:
    """Nobody holds the lock, or an execution that runs does."""
    record = item(springboard, f"ENV#{uid}", "STATUS")
    holder = record.get("lock", {}).get("M", {}).get("operation", {}).get("S", "")
    indexed = "locked" in record
    assert indexed == bool(holder), f"lock {holder or 'free'}, but {'in' if indexed else 'not in'} the index of locks"
    if not holder:
        assert "intent" not in record, "an intent waits for a lock that nobody holds"
        return
    states = springboard.client("stepfunctions")
    machines = {key: arn for key, arn in springboard.outputs.items() if key.endswith("MachineArn")}
    statuses = {}
    for machine, arn in machines.items():
        execution = f"{arn.replace(':stateMachine:', ':execution:')}:{holder}"
        try:
            statuses[machine] = states.describe_execution(executionArn=execution)["status"]
        except states.exceptions.ExecutionDoesNotExist:
            continue
    assert "RUNNING" in statuses.values(), f"the lock's holder {holder} is dead: {statuses}"


def told(springboard: Springboard, name: str) -> None:
    """Where it isn't Ready, GET says what is under way, or which step failed, why, and what to do."""
    status = springboard.get(name)
    ready, progressing = status.condition("Ready"), status.condition("Progressing")
    assert (ready["status"] == "True") == (status.phase == "Ready"), (status.phase, ready)
    if status.phase == "Ready":
        return
    if progressing["status"] == "True":
        assert status.operation["status"] in {"Pending", "Running"}, status.operation
        return
    if status.operation["status"] == "Cancelled":
        assert "retry" in ready["message"], ready
        return
    failure = status.failure
    assert all(failure[part] for part in ("step", "cause", "remedy")), failure
    for part in ("step", "cause", "remedy"):
        assert failure[part] in ready["message"], (part, failure, ready)


def at_rest(springboard: Springboard, name: str) -> Status:
    """The environment once no operation is at work on it any more."""
    uid = springboard.get(name).uid
    springboard.until(lambda: "lock" not in item(springboard, f"ENV#{uid}", "STATUS"), 14_400)
    return springboard.get(name)


def converges(springboard: Springboard, wanted: dict[str, Any], *, forced: bool = False) -> Status:
    """The environment, Ready after at most one retry and a change of nothing; and once more nothing is changed.

    `forced` also runs a whole operation over the Ready environment, to see that none of its steps changes anything.
    """
    name = wanted["metadata"]["name"]
    status = at_rest(springboard, name)
    check(springboard, name)
    if status.operation["status"] in {"Failed", "Cancelled"}:
        status = springboard.act(name, "retry")
    if status.phase != "Ready" or status.document["status"]["observedGeneration"] != generation(status):
        status = springboard.apply(wanted)
    assert status.phase == "Ready", status.document["status"]
    check(springboard, name)
    unchanged(springboard, wanted)
    if forced:
        unchanged_by_an_operation(springboard, name)
    return springboard.get(name)


def generation(status: Status) -> int:
    """Of the spec that is wanted."""
    return int(status.document["metadata"]["generation"])


def unchanged(springboard: Springboard, wanted: dict[str, Any]) -> None:
    """The same spec again: 200, and nobody's mutating call."""
    springboard.forget_calls()
    reply = springboard.send(wanted)
    assert (reply.status, springboard.mutating()) == (200, []), reply.document


def unchanged_by_an_operation(springboard: Springboard, name: str) -> None:
    """A retry of what the record, by our own hand, calls failed though all is there: not one mutating call."""
    status = springboard.get(name)
    springboard.client("dynamodb").update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"ENV#{status.uid}"}, "sk": {"S": "STATUS"}},
        UpdateExpression="SET #operation.#status = :failed, phase = :degraded",
        ConditionExpression="attribute_not_exists(#lock)",
        ExpressionAttributeNames={"#operation": "operation", "#status": "status", "#lock": "lock"},
        ExpressionAttributeValues={":failed": {"S": "Failed"}, ":degraded": {"S": "Degraded"}},
    )
    springboard.forget_calls()
    again = springboard.act(name, "retry")
    assert (again.phase, springboard.mutating()) == ("Ready", []), again.document["status"]


def nothing_left(springboard: Springboard, name: str, before: frozenset[str]) -> None:
    """The account is as it was, the name is free, and the record is a history that ends by itself.

    `before` is `inventory(springboard.client)` from before the environment was created.
    """
    left = inventory(springboard.client) - before
    assert not left, f"left behind: {sorted(left)}"
    assert springboard.call("GET", f"/environments/{name}").status == 404
    assert not item(springboard, "NAMES", name)
    named = {":pk": {"S": "ENV#"}, ":name": {"S": name}}
    dynamodb = springboard.client("dynamodb")
    statuses = pages(
        dynamodb,
        "scan",
        "Items",
        TableName=TABLE,
        FilterExpression="begins_with(pk, :pk) AND #name = :name",
        ExpressionAttributeNames={"#name": "name"},
        ExpressionAttributeValues=named,
    )
    for status in statuses:
        assert status["phase"] == {"S": "Deleted"}, status
        assert not {"lock", "locked", "intent"} & status.keys(), status
        history = pages(
            dynamodb,
            "query",
            "Items",
            TableName=TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": status["pk"]},
        )
        lasting = [each["sk"]["S"] for each in history if "expires" not in each]
        assert not lasting, f"kept for ever of a deleted environment: {lasting}"


def deleted(springboard: Springboard, name: str, before: frozenset[str]) -> None:
    """DELETE, with one retry where it fails, leaves nothing."""
    reply = springboard.call("DELETE", f"/environments/{name}")
    assert reply.status == 202, reply
    gone(springboard, name)
    if springboard.call("GET", f"/environments/{name}").status != 404:
        check(springboard, name)
        springboard.finish(springboard.call("POST", f"/environments/{name}/retry"))
        gone(springboard, name)
    springboard.clock.advance(_PENDING_LIMIT)  # network interfaces of a load balancer linger
    nothing_left(springboard, name, before)


def gone(springboard: Springboard, name: str) -> None:
    """Let time pass until the name is free or nothing is at work on it."""
    uid = item(springboard, "NAMES", name).get("uid", {}).get("S", "")
    if uid:
        springboard.until(lambda: "lock" not in item(springboard, f"ENV#{uid}", "STATUS"), 14_400)


def item(springboard: Springboard, pk: str, sk: str) -> dict[str, Any]:
    """An item of the record in DynamoDB's JSON; {} where there is none."""
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    found: dict[str, Any] = (
        springboard.client("dynamodb").get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item", {})
    )
    return found


def explained(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Two normalised accounts, and what differs."""
    lines = [f"missing: {each}" for each in sorted(wanted.keys() - found.keys())]
    lines += [f"too much: {each}" for each in sorted(found.keys() - wanted.keys())]
    for each in sorted(found.keys() & wanted.keys()):
        if found[each] != wanted[each]:
            lines.append(f"{each}: {json.dumps(found[each])} instead of {json.dumps(wanted[each])}")
    return "\n".join(lines)
