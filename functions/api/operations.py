"""What was done to an environment, what happened, and what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from springboard import documents, spec
from springboard.errors import ConflictError, NotFoundError
from springboard.flow import work
from springboard.identifiers import same_entropy, ulid
from springboard.problems import Problem
from springboard.record import Intent, Operation, OperationKind, OperationStatus, Phase

from . import access, idempotency, selectors
from .answers import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.record import Environment
    from springboard.runtime import World

    from .requests import Request

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
MAX_OPERATIONS = 100
MAX_EVENTS = 500
EVENT_ID = r"[\x21-\x7d]{1,200}"
_EVENT_ID = re.compile(EVENT_ID)
_DIAGNOSIS_SECONDS = 20


def list_all(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """GET …/operations: the latest first."""
    environment = access.need(world, request, variables["name"])
    limit = selectors.number(request.query, "limit", 20, 1, MAX_OPERATIONS)
    ended = world.store.operations(environment.uid, limit)
    latest = [environment.operation] if environment.operation else []
    operations = latest + [operation for operation in ended if operation.id not in {known.id for known in latest}]
    items = [documents.operation(operation) for operation in operations[:limit]]
    return Answer(200, {"apiVersion": spec.API_VERSION, "kind": "OperationList", "items": items})


def get(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """GET …/operations/{id}"""
    environment = access.need(world, request, variables["name"])
    wanted = variables["id"]
    found: Operation | None = None
    if environment.operation is not None and environment.operation.id == wanted:
        found = environment.operation
    elif _ULID.fullmatch(wanted):
        found = world.store.operation(environment.uid, wanted)
    if found is None:
        raise NotFoundError(
            f"{environment.name} has no operation {wanted[:40]!a}",
            f"GET /environments/{environment.name}/operations lists them",
        )
    return Answer(200, {"apiVersion": spec.API_VERSION, "kind": "Operation", **documents.operation(found)})


def events(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """GET …/events: those after an id, at once; ask again after Retry-After."""
    environment = access.need(world, request, variables["name"])
    after = request.query.get("after", "")
    if after and not _EVENT_ID.fullmatch(after):
        raise Problem(400, "InvalidParameter", f"after is {after[:40]!a}", "send the id of the last event")
    limit = selectors.number(request.query, "limit", 100, 1, MAX_EVENTS)
    found = world.store.events(environment.uid, after, limit)
    document = {"apiVersion": spec.API_VERSION, "kind": "EventList", "items": found}
    return Answer(200, document, {"Retry-After": "0" if len(found) == limit else "5"})


def diagnosis(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """GET …/diagnosis: what the pods say now. It is live and stored nowhere."""
    environment = access.need(world, request, variables["name"])
    function = world.settings.functions.get("workload")
    event = {"diagnose": True, "environment": environment.uid}
    asked = {"workload": function} if function else {}
    answer = world.functions.ask(asked, event, _DIAGNOSIS_SECONDS).get(
        "workload", {"unknown": "this stack has no workload function"}
    )
    document = {"apiVersion": spec.API_VERSION, "kind": "Diagnosis", "environment": environment.name, **answer}
    return Answer(200, document)


def retry(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """POST …/retry: go on from what exists."""
    environment = access.need(world, request, variables["name"])
    _no_body(request)
    access.check_match(request, environment)
    failed = environment.operation
    entropy = idempotency.entropy(request)
    made = ulid(request.now, entropy)
    if failed is not None and same_entropy(failed.id, made):
        work.start(world, environment, failed)  # the same POST came before and its answer was lost
        return _accepted(world, environment)
    if environment.lock is not None:
        raise work.busy(environment)
    if failed is None or failed.status not in {OperationStatus.FAILED, OperationStatus.CANCELLED}:
        raise ConflictError(
            f"the latest operation on {environment.name} has not failed",
            "`springboard apply` changes it; a degraded environment is repaired by applying it again"
            if environment.phase is not Phase.FAILED
            else "look at its conditions",
        )
    operation = Operation(
        id=made,
        kind=OperationKind.DELETE if failed.kind is OperationKind.DELETE else OperationKind.RETRY,
        status=OperationStatus.PENDING,
        generation=environment.generation,
        requested_at=request.now,
        requested_by=request.caller,
        attempt=failed.attempt + 1,
    )
    world.store.request_operation(environment, operation)
    work.start(world, environment, operation)
    return _accepted(world, world.store.by_uid(environment.uid) or environment)


def cancel(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """POST …/cancel: stop what runs; what exists stays, and a retry goes on from it."""
    environment = access.need(world, request, variables["name"])
    _no_body(request)
    access.check_match(request, environment)
    running = environment.operation
    if environment.lock is None or running is None:
        raise ConflictError(f"no operation runs on {environment.name}", "there is nothing to cancel")
    if work.deleting(environment):
        raise ConflictError(
            f"{environment.name} is being deleted, which is not cancelled half-way",
            "wait until it is gone, then create it again",
        )
    intent = Intent(ulid(request.now, idempotency.entropy(request)), OperationKind.CANCEL, request.now, request.caller)
    return _accepted(world, work.interrupt(world, environment, intent, "an operator cancels the operation"))


def _no_body(request: Request) -> None:
    """An action takes no body; an empty object is one that some clients can't help sending."""
    if request.body.strip() and request.document() != {}:
        raise Problem(422, "Invalid", "this route takes no body", "send none")


def _accepted(world: World, environment: Environment) -> Answer:
    headers = {
        "Location": f"/environments/{environment.name}",
        "Retry-After": "5",
        "ETag": access.etag(environment),
    }
    return Answer(202, documents.environment(environment, world.site), headers)
