"""Environments: create, read, change, delete."""

from __future__ import annotations

import os
import re
import uuid
from itertools import islice
from typing import TYPE_CHECKING, Any

from springboard import admission, documents, spec
from springboard.errors import ConflictError
from springboard.flow import work
from springboard.identifiers import ulid
from springboard.problems import Problem
from springboard.record import Operation, OperationKind, OperationStatus, Phase

from . import access, idempotency, merge_patch, preview, selectors
from .answers import Answer
from .requests import JSON, MERGE_PATCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from springboard.record import Environment
    from springboard.runtime import World

    from .requests import Request

_PAGE = 50
MAX_PAGE = 200
CURSOR = "[a-z]([a-z0-9-]{0,22}[a-z0-9])?"
_CURSOR = re.compile(CURSOR)


def create(world: World, request: Request, _variables: Mapping[str, str]) -> Answer:
    """POST /environments"""
    return _create(world, request, request.document())


def _create(world: World, request: Request, raw: Any) -> Answer:  # noqa: ANN401 - any JSON value
    entropy = idempotency.entropy(request)
    former = world.store.by_uid(_uid(entropy)) if "idempotency-key" in request.headers else None
    if former is not None and former.deleted_at is not None:
        entropy = os.urandom(32)  # what this key once made is gone: its answer is no longer kept, this is a new wish
    admitted = admission.admit(world, raw, caller=request.caller, now=request.now, uid=_uid(entropy))
    environment = admitted.environment
    if request.dry_run:
        return Answer(200, preview.of(world, admitted, None))
    operation = _operation(request, OperationKind.CREATE, environment.generation, entropy)
    try:
        world.store.create(environment, operation)
    except ConflictError as err:
        present = world.store.by_name(environment.name)
        if present is not None and present.uid == environment.uid and present.operation is not None:
            # The same POST came before and its answer was lost.
            work.start(world, present, present.operation)
            return _accepted(world, present, admitted.warnings)
        raise _taken(world, request, environment.name, present) from err
    work.start(world, environment, operation)
    created = world.store.by_uid(environment.uid) or environment
    return _accepted(world, created, admitted.warnings)


def _uid(entropy: bytes) -> str:
    return str(uuid.UUID(bytes=entropy[:16], version=4))


def _taken(world: World, request: Request, name: str, present: Environment | None) -> ConflictError:
    """The holder and its operation are named only to those who may see them."""
    if present is None or not access.visible(world, request, present):
        return ConflictError(f"the name {name} is taken", "choose another name")
    operation = f"; operation {present.operation.id} is its latest" if present.operation else ""
    return ConflictError(
        f"the name {name} is taken: you see that environment, in phase {present.phase.value}{operation}",
        f"PUT /environments/{name} changes it (`springboard apply` does so), DELETE removes it",
    )


def list_all(world: World, request: Request, _variables: Mapping[str, str]) -> Answer:
    """GET /environments"""
    cursor = request.query.get("after", "")
    if cursor and not _CURSOR.fullmatch(cursor):
        raise Problem(400, "InvalidParameter", f"after is {cursor[:40]!a}", "send the last name of a page")
    limit = selectors.number(request.query, "limit", _PAGE, 1, MAX_PAGE)
    wanted = selectors.read(request.query)
    # One more than asked for tells whether there is another page; the cursor is a name that the caller has seen.
    seen = (each for each in _from(world, cursor) if access.visible(world, request, each) and wanted(each))
    found = list(islice(seen, limit + 1))
    metadata = {"continue": found[limit - 1].name} if len(found) > limit else {}
    items = [documents.environment(each, world.site) for each in found[:limit]]
    return Answer(
        200, {"apiVersion": spec.API_VERSION, "kind": "EnvironmentList", "metadata": metadata, "items": items}
    )


def _from(world: World, cursor: str) -> Iterator[Environment]:
    """Every environment behind a name, in order."""
    while True:
        names = world.store.names(cursor, _PAGE)
        for name in names:
            environment = world.store.by_name(name)
            if environment is not None:
                yield environment
        if len(names) < _PAGE:
            return
        cursor = names[-1]


def get(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """GET /environments/{name}"""
    environment = access.need(world, request, variables["name"])
    return Answer(200, documents.environment(environment, world.site), {"ETag": access.etag(environment)})


def put(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """PUT /environments/{name}: create it, or make it as the document says."""
    raw = request.document()
    _check_name(raw, variables["name"])
    present = access.find(world, request, variables["name"])
    if present is None:
        if "if-match" in request.headers:
            raise Problem(
                412, "PreconditionFailed", "there is no such environment to match", "leave If-Match out to create it"
            )
        return _create(world, request, raw)
    access.check_match(request, present)
    if "if-match" not in request.headers:
        raise Problem(
            428,
            "PreconditionRequired",
            "a PUT on an existing environment needs If-Match",
            f"send If-Match: {access.etag(present)}, the ETag that GET answers",
        )
    return _update(world, request, present, raw)


def patch(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """PATCH /environments/{name}: a JSON merge patch (RFC 7396) on the document that was declared."""
    change = request.document(MERGE_PATCH, JSON)
    if not isinstance(change, dict):
        raise Problem(422, "Invalid", "a merge patch is an object", "send the fields to change")
    present = access.need(world, request, variables["name"])
    access.check_match(request, present)
    patched = merge_patch.apply(documents.declared(present), change)
    _check_name(patched, present.name)
    return _update(world, request, present, patched)


def _check_name(raw: Any, name: str) -> None:  # noqa: ANN401 - any JSON value
    """422 where the document names another environment than the path."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    given = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(given, str) and given != name:
        raise admission.other_name(given, name)


def _update(world: World, request: Request, present: Environment, raw: Any) -> Answer:  # noqa: ANN401 - any JSON value
    admitted = admission.admit(world, raw, caller=request.caller, now=request.now, uid=present.uid, previous=present)
    wanted = admitted.environment
    if request.dry_run:
        return Answer(200, preview.of(world, admitted, present))
    equal = _equal(present, wanted)
    if equal and present.lock is not None and not work.deleting(present):
        return _accepted(world, present, admitted.warnings)  # what is asked for is being made
    if equal and present.lock is None and _made(present):
        plan = preview.of(world, admitted, present)
        if not _differs(plan):
            document = documents.environment(present, world.site) | {"message": "nothing differs"}
            return Answer(200, document, {"ETag": access.etag(present)})
    if present.lock is not None:
        raise work.busy(present)
    entropy = idempotency.entropy(request)
    if equal:
        operation = _operation(request, OperationKind.REPAIR, present.generation, entropy)
        world.store.request_operation(present, operation)
    else:
        operation = _operation(request, OperationKind.UPDATE, wanted.generation, entropy)
        world.store.update_spec(present, work.remembering(present, wanted), operation)
    work.start(world, wanted, operation)
    return _accepted(world, world.store.by_uid(present.uid) or wanted, admitted.warnings)


def _differs(plan: Mapping[str, Any]) -> bool:
    """Something is to be changed, may be, or is wrong in a way that an operation tells with its cause and remedy."""
    failed = any(verdict["state"] == "Failed" for verdict in plan["verdicts"].values())
    return bool(plan["changes"] or plan["unknown"] or failed)


def _made(present: Environment) -> bool:
    """Whether the last operation came to its end: only then can it be that nothing is left to do."""
    return present.phase is Phase.READY and present.observed_generation == present.generation


def _equal(present: Environment, wanted: Environment) -> bool:
    return (
        present.spec == wanted.spec
        and dict(present.labels) == dict(wanted.labels)
        and present.resolved == wanted.resolved
    )


def delete(world: World, request: Request, variables: Mapping[str, str]) -> Answer:
    """DELETE /environments/{name}"""
    present = access.need(world, request, variables["name"])
    access.check_match(request, present)
    # What was never Ready is a failed attempt: protection is for what serves.
    if present.spec.protected and present.observed_generation > 0:
        raise ConflictError(
            f"{present.name} is protected against deletion",
            "set spec.deletionProtection to false and apply that first",
        )
    if request.dry_run:
        return Answer(200, preview.of_removal(world, present))
    operation = _operation(request, OperationKind.DELETE, present.generation, idempotency.entropy(request))
    after = work.remove(world, present, operation)
    return _accepted(world, after, ())


def _operation(request: Request, kind: OperationKind, generation: int, entropy: bytes) -> Operation:
    return Operation(
        id=ulid(request.now, entropy),
        kind=kind,
        status=OperationStatus.PENDING,
        generation=generation,
        requested_at=request.now,
        requested_by=request.caller,
    )


def _accepted(world: World, environment: Environment, warnings: tuple[str, ...]) -> Answer:
    """202: the environment as it stands, where to look, and when."""
    document = documents.environment(environment, world.site)
    if warnings:
        document["warnings"] = list(warnings)
    location = f"/environments/{environment.name}"
    return Answer(202, document, {"Location": location, "Retry-After": "5", "ETag": access.etag(environment)})
