"""Starting, stopping and handing over operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard import log
from springboard.errors import ConflictError, SpringboardError
from springboard.flow import settle
from springboard.record import Intent, OperationKind

if TYPE_CHECKING:
    from springboard.record import Environment, Operation
    from springboard.runtime import World

logger = log.logger("springboard")


def start(world: World, environment: Environment, operation: Operation) -> None:
    """Start the operation's execution.

    The record holds the operation already, so a failure here loses nothing: the sweep starts what was not.
    """
    try:
        settle.start(world, environment, operation)
    except SpringboardError:
        logger.exception("the execution was not started; the sweep will", operation=operation.id)


def remembering(before: Environment, after: Environment) -> Environment:
    """`after`, whose facts name hosts, pods' roles and labels of `before`, so that what was made for one goes with it.

    A handler that was killed between making a host's record or certificate, a role's association or a label's tag and
    writing that down has left no other trace of it. Written with the new generation, this comes before anything could
    be forgotten.
    """
    hosts = {app.host for app in before.resolved.apps}
    dns, certificate = after.facts.get("dns", {}), after.facts.get("certificate", {})
    known = dns.get("records", {})
    after = after.with_facts("dns", {**dns, "records": {**dict.fromkeys(sorted(hosts), ""), **known}}).with_facts(
        "certificate", {**certificate, "hosts": sorted(hosts | set(certificate.get("hosts", ())))}
    )
    with_roles = {app.name or before.name for app in before.spec.apps if app.role_arn}
    for component, key, names in (("workload", "roles", with_roles), ("cluster", "labelKeys", set(before.labels))):
        facts = after.facts.get(component, {})
        if names - set(facts.get(key, ())):
            after = after.with_facts(component, {**facts, key: sorted(names | set(facts.get(key, ())))})
    return after


def busy(environment: Environment) -> ConflictError:
    """Another operation holds the lock."""
    operation = environment.operation
    what = f"operation {operation.id} ({operation.kind.value})" if operation else "an operation"
    name = environment.name
    if deleting(environment):
        remedy = f"a deletion is not cancelled: wait until it is gone (`springboard wait {name} --for=delete`)"
    else:
        remedy = f"wait for it (GET /environments/{name}), or cancel it (`springboard cancel {name}`)"
    return ConflictError(f"{what} is at work on {name}", remedy)


def deleting(environment: Environment) -> bool:
    """Whether a deletion runs or waits."""
    if environment.lock is None:
        return False
    running = environment.under(OperationKind.DELETE)
    return running or (environment.intent is not None and environment.intent.kind is OperationKind.DELETE)


def remove(world: World, environment: Environment, operation: Operation) -> Environment:
    """Delete now, or as soon as the running operation has stopped; asked for twice it is done once."""
    if environment.lock is None:
        try:
            world.store.request_operation(environment, operation)
        except ConflictError:
            environment = world.store.by_uid(environment.uid) or environment
            if environment.lock is None:
                raise
        else:
            start(world, environment, operation)
            return world.store.by_uid(environment.uid) or environment
    if deleting(environment):
        return environment
    intent = Intent(operation.id, OperationKind.DELETE, operation.requested_at, operation.requested_by)
    return interrupt(world, environment, intent, "an operator deletes the environment")


def interrupt(world: World, environment: Environment, intent: Intent, cause: str) -> Environment:
    """Write what shall follow, stop what runs, hand the lock over."""
    world.store.intend(environment, intent)
    running = environment.operation
    if running is not None:
        try:
            world.states.stop(settle.execution_arn(world, running), intent.kind.value, cause)
            settle.settle(world, environment.uid, running.id, intent.at)
        except SpringboardError:
            logger.exception("not stopped at once; the status event or the sweep hands over", operation=running.id)
    return world.store.by_uid(environment.uid) or environment
