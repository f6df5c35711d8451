"""What `doctor` makes of what it has read: pure judgements, each with its cause and a remedy that can be typed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard_cli import times
from springboard_cli.terminal import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

# Two rounds of the sweep: a lock whose execution has ended is freed by then, or something is wrong.
LOCK_GRACE_SECONDS = 900
# What an end of life may be late by: its schedule is tried again for an hour, its function twice after that.
OVERDUE_SECONDS = 4500
# Part of a quota that, once in use, is worth a warning.
NEARLY = 0.8
# Functions that run at once for one plan: the API's, and one per component, all asked together.
PLAN_CONCURRENCY = 14
# Families that the vCPU quota of On-Demand "Standard" instances counts:
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html, read 2026-11-26.
_STANDARD = re.compile(r"(a|c|d|h|i|im|is|m|r|t|z)\d")


@dataclass(frozen=True)
class Finding:
    """One line: ok, warn or fail; what was found, and what to do about it."""

    state: str
    what: str
    remedy: str = ""


_RESTORE = (
    "`sam deploy` does not notice what was deleted or changed by hand: runbook"
    " docs/guide/runbooks.md#putting-the-stack-right"
)


def gone(what: str) -> Finding:
    """A part of the stack that CloudFormation made and that is not there any more."""
    return Finding("fail", f"{what} is gone", _RESTORE)


def stack(name: str, status: str) -> Finding:
    """The CloudFormation stack."""
    if status.endswith("_COMPLETE") and "ROLLBACK" not in status:
        return Finding("ok", f"{name} is {status}")
    if status.endswith("_IN_PROGRESS"):
        return Finding("warn", f"{name} is {status}", "operations go on while the stack is updated")
    if status == "UPDATE_ROLLBACK_FAILED":
        remedy = f"mend what its events name, then `aws cloudformation continue-update-rollback --stack-name {name}`"
        return Finding("fail", f"{name} is {status}: it takes no update", remedy)
    return Finding("warn", f"{name} is {status}", "look at its events, then `sam deploy` again")


def versions(cli: str, stack: str) -> Finding:
    """Whether the command line and the stack are of one release; before 1.0 a minor version may break."""
    if not stack:
        return Finding(
            "warn", f"the stack does not tell its version; this is {cli}", "deploy it again with `sam deploy`"
        )
    if cli == "unknown":
        return Finding("ok", f"the stack is {stack}; the version of this command is not known")
    if cli.split(".")[:2] == stack.split(".")[:2]:
        return Finding("ok", f"the stack is {stack}, this command {cli}")
    older = _numbers(cli) < _numbers(stack)
    remedy = (
        "update the command line: install the wheel of that release" if older else "deploy that release: `sam deploy`"
    )
    return Finding("warn", f"the stack is {stack}, this command {cli}", remedy)


def _numbers(version: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", version)]


def function(name: str, answer: Mapping[str, Any]) -> Iterator[Finding]:
    """One function by GetFunction; nothing for a sound one."""
    found = answer["Configuration"]
    state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
    if state == "Failed":
        yield Finding(
            "fail", f"{name} is Failed: {found.get('StateReason', '')}", "deploy the stack again: `sam deploy`"
        )
    elif state not in {"Active", "ActiveNonInvocable"}:
        remedy = "its first call wakes it, and takes longer" if state == "Inactive" else "wait a minute, and look again"
        yield Finding("warn", f"{name} is {state}: {found.get('StateReason', '')}", remedy)
    if update == "Failed":
        reason = found.get("LastUpdateStatusReason", "")
        yield Finding("fail", f"the last update of {name} failed: {reason}", "deploy the stack again: `sam deploy`")
    elif update == "InProgress":
        yield Finding("warn", f"{name} is being updated", "wait a minute, and look again")
    reserved = answer.get("Concurrency", {}).get("ReservedConcurrentExecutions")
    if reserved == 0:
        yield Finding(
            "fail",
            f"{name} is stopped: no concurrency is reserved for it",
            f"aws lambda delete-function-concurrency --function-name {name}",
        )


def machine(name: str, status: str) -> Iterator[Finding]:
    """One state machine; nothing for an active one."""
    if status != "ACTIVE":
        yield Finding("fail", f"the state machine {name} is {status}", _RESTORE)


def rule(name: str, state: str) -> Iterator[Finding]:
    """One rule of EventBridge; nothing for an enabled one."""
    if state == "DISABLED":
        yield Finding(
            "fail", f"the rule {name} is disabled: nothing calls its function", f"aws events enable-rule --name {name}"
        )


def mapping(answer: Mapping[str, Any]) -> Iterator[Finding]:
    """The event source mapping that publishes events; nothing for a sound one."""
    state, function = answer["State"], answer["FunctionArn"].rpartition(":")[2]
    if state in {"Disabled", "Disabling"}:
        remedy = f"aws lambda update-event-source-mapping --uuid {answer['UUID']} --enabled; the stream keeps a day"
        yield Finding("fail", f"{function} reads no stream: its event source mapping is {state}", remedy)
    elif state not in {"Enabled", "Enabling", "Updating", "Creating"}:
        yield Finding("warn", f"the event source mapping of {function} is {state}", "wait a minute, and look again")
    result = str(answer.get("LastProcessingResult", ""))
    if result.startswith("PROBLEM"):
        yield Finding("warn", f"{function} could not read its stream: {result}", "look at the function's role and log")


def schedules(group: str, found: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The environments' schedules."""
    for each in found:
        if each.get("State") == "DISABLED":
            remedy = "apply the environment's file again, or enable it in the EventBridge Scheduler console"
            yield Finding("warn", f"the schedule {group}/{each['Name']} is disabled", remedy)


def listeners(topic: str, heard: int, filtered: int, pending: int) -> Finding:
    """Who hears the alarms: they carry no attributes, so that a filter policy lets none of them through."""
    if heard:
        return Finding("ok", counted(heard, "subscriber hears the alarms", "subscribers hear the alarms"))
    what = "nobody hears the alarms: the topic has no subscriber"
    if filtered:
        what += " without a filter policy, and alarms pass none"
    if pending:
        return Finding("warn", f"{what} that has confirmed", "confirm by the link in the mail that SNS has sent")
    remedy = f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS"
    return Finding("warn", what, remedy)


def record(name: str, status: str) -> Finding:
    """The table that is all that Springboard remembers."""
    if status == "ACTIVE":
        return Finding("ok", f"the table {name} is active")
    if status == "INACCESSIBLE_ENCRYPTION_CREDENTIALS":
        return Finding("fail", f"the table {name} cannot be read: {status}", "enable its key, as the line on keys says")
    return Finding("warn", f"the table {name} is {status}", "wait a minute, and look again")


def letters(count: int) -> Finding:
    """The dead-letter queue."""
    if not count:
        return Finding("ok", "no dead letters")
    waiting = counted(count, "dead letter waits", "dead letters wait")
    return Finding("fail", waiting, "runbook docs/guide/runbooks.md#springboard-dead-letters")


def lock(uid: str, operation: str, since: datetime, now: datetime, execution: str) -> Iterator[Finding]:
    """One environment's lock and the status of its execution ("" if there is none); nothing for one that works."""
    age: timedelta = now - since
    if execution == "RUNNING" or age.total_seconds() < LOCK_GRACE_SECONDS:
        return
    how = f"its execution {'never started' if not execution else f'is {execution}'}"
    minutes = counted(int(age.total_seconds() // 60), "minute")
    yield Finding(
        "fail",
        f"the environment with uid {uid} is locked by operation {operation} for {minutes}, but {how}",
        "the sweep should have freed it: runbook docs/guide/runbooks.md#springboard-sweep-silent",
    )


def key(what: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    """One KMS key; nothing for an enabled one."""
    identity, state = metadata["KeyId"], metadata["KeyState"]
    if state == "PendingDeletion":
        remedy = f"aws kms cancel-key-deletion --key-id {identity}; aws kms enable-key --key-id {identity}"
        when = metadata.get("DeletionDate")
        until = f" on {when:%Y-%m-%d}" if when else ""
        yield Finding("fail", f"{what} will be deleted{until}, and all that it encrypts is lost then", remedy)
    elif state == "Disabled":
        yield Finding("fail", f"{what} is disabled", f"aws kms enable-key --key-id {identity}")
    elif state not in {"Enabled", "Creating", "Updating"}:
        yield Finding("fail", f"{what} is {state}", f"aws kms describe-key --key-id {identity}")


def quota(what: str, place: str, limit: float, used: float, needed: float) -> Finding:
    """A quota against what is in use and what one environment of the default shape takes besides.

    Where it takes nothing, what is used up stops nobody but who deploys another stack.
    """
    taken = f"{what}: {used:g} of {limit:g} in use"
    remedy = f"ask for more: Service Quotas, {place}"
    if needed and used + needed > limit:
        return Finding("fail", f"{taken}, an environment needs {needed:g}", remedy)
    if used + needed > NEARLY * limit:
        after = "nearly all once there is one environment more" if needed else "an environment needs none, a stack does"
        return Finding("warn", f"{taken}, {after}", remedy)
    return Finding("ok", taken)


def concurrency(limit: int, unreserved: int) -> Finding:
    """Lambda's concurrency: what the account may have, less what functions have reserved for themselves."""
    left = f"Lambda may run {unreserved} at once of {limit}, the rest is reserved" if unreserved < limit else ""
    what = left or f"Lambda may run {limit} at once"
    remedy = "ask for more: Service Quotas, lambda L-B99A9384"
    if left:
        remedy += "; or take back what a function has reserved: aws lambda delete-function-concurrency"
    if unreserved < PLAN_CONCURRENCY:
        return Finding("fail", f"{what}; one plan or drift check takes {PLAN_CONCURRENCY}", remedy)
    if unreserved < 2 * PLAN_CONCURRENCY:
        return Finding("warn", f"{what}; two plans at once take {2 * PLAN_CONCURRENCY}", remedy)
    return Finding("ok", what)


@dataclass(frozen=True)
class Room:
    """How many free addresses a kind of subnet should have."""

    kind: str
    least: int
    wants: str  # who refuses what below `least`
    ample: int
    short: str  # what may be short below `ample`


# What one environment of the default shape takes of a private subnet while its nodes are replaced: one node and two
# more, each with its own address and two prefixes of 16 (one for pods, one kept warm), and EKS's interfaces.
_ENVIRONMENT = 3 * (1 + 2 * 16) + 4
# For control planes and nodes: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html.
PRIVATE = Room(
    "private", 6, "EKS wants 6 for a cluster", _ENVIRONMENT,
    f"an environment takes up to {_ENVIRONMENT} while nodes are replaced",
)  # fmt: skip
# For load balancers: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html.
PUBLIC = Room("public", 8, "ELB wants 8 for a load balancer", 16, "enough for one load balancer more")


def subnets(found: Sequence[Mapping[str, Any]], room: Room) -> Iterator[Finding]:
    """Subnets of a kind; nothing for those with room for one environment more."""
    remedy = "delete environments, or deploy the stack with larger subnets; those of a subnet can't be changed"
    for each in found:
        free = int(each["AvailableIpAddressCount"])
        what = f"the {room.kind} subnet {each['SubnetId']} has {counted(free, 'free address', 'free addresses')}"
        if free < room.least:
            yield Finding("fail", f"{what}, {room.wants}", remedy)
        elif free < room.ample:
            yield Finding("warn", f"{what}, {room.short}", remedy)


def standard_vcpus(instances: Sequence[Mapping[str, Any]]) -> int:
    """The vCPUs that count against the quota of On-Demand Standard instances."""
    return sum(
        each.get("CpuOptions", {}).get("CoreCount", 0) * each.get("CpuOptions", {}).get("ThreadsPerCore", 0)
        for each in instances
        if each.get("InstanceLifecycle") != "spot" and _STANDARD.match(str(each.get("InstanceType", "")))
    )


def delegation(zone: str, expected: frozenset[str], found: frozenset[str] | None) -> Finding:
    """Whether the world's resolvers are led to the zone's own name servers; None: nobody answered."""
    if found is None:
        return Finding("warn", f"the delegation of {zone} could not be looked up", f"dig NS {zone}")
    if found & expected:
        return Finding("ok", f"{zone} is delegated to its zone")
    return Finding(
        "fail",
        f"{zone} is delegated to {', '.join(sorted(found)) or 'nobody'}",
        f"set these NS records at the registrar or in the parent zone: {', '.join(sorted(expected))}",
    )


def alarms(prefix: str, found: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """What rings now: the stack's own alarms, with their runbooks, and those of the environments."""
    ringing = [alarm for alarm in found if alarm["StateValue"] == "ALARM"]
    for alarm in ringing:
        yield Finding("fail", f"{alarm['AlarmName']} is in ALARM", alarm.get("AlarmDescription", ""))
    if not ringing:
        yield Finding("ok", f"no alarm of {prefix} rings")


def silence(name: str, alarm: Mapping[str, Any]) -> Iterator[Finding]:
    """One alarm of the stack that would tell nobody if it rang; nothing for a sound one."""
    if not alarm["ActionsEnabled"]:
        remedy = f"aws cloudwatch enable-alarm-actions --alarm-names {name}"
        yield Finding("fail", f"{name} tells nobody when it rings: its actions are disabled", remedy)
    elif not alarm["AlarmActions"]:
        yield Finding("fail", f"{name} tells nobody when it rings: it has no actions", _RESTORE)


def environment(document: Mapping[str, Any], prefix: str, schedules: Sequence[str], now: datetime) -> Iterator[Finding]:
    """What an environment that serves should have had done to it by itself, and by which schedule (all their names)."""
    status, metadata = document["status"], document["metadata"]
    if status["phase"] not in {"Ready", "Degraded"}:
        return
    name, end = metadata["name"], status.get("expiresAt")
    due = times.moment(end) if end else None
    if due and (now - due).total_seconds() > OVERDUE_SECONDS:
        yield Finding("fail", f"{name} should have been deleted at {end}", f"springboard delete {name}")
        return
    for kind, purpose in (("ttl", "ends"), ("drift", "looks for drift in")):
        wanted = re.compile(rf"{re.escape(f'{prefix}-{name}-{kind}-')}[0-9a-z]+")
        if (due or kind != "ttl") and not any(wanted.fullmatch(each) for each in schedules):
            remedy = f"`springboard apply -f FILE` makes it again; `springboard export {name}` writes the file"
            yield Finding("fail", f"{name} lacks the schedule that {purpose} it", remedy)
