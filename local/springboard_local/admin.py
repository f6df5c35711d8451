"""The admin API under /_local/: what tests, benchmarks and sweeps steer the local cloud with."""

from __future__ import annotations

import fnmatch
import importlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, unquote

from springboard_local import clock as clocks
from springboard_local.faults import Fault
from springboard_local.pipeline import KINDS, Pipeline, Record, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.clock import Clock

log = logging.getLogger(__name__)


class _Cloud(Protocol):
    """What the admin API steers."""

    clock: Clock
    pipeline: Pipeline

    @property
    def instance(self) -> str: ...
    def reset(self) -> None: ...


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """The request cannot be served; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


type Query = dict[str, str]


class Admin:
    """A WSGI application."""

    def __init__(self, cloud: _Cloud) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        try:
            status, answer = 200, self._serve(environ)
        except Refused as refused:
            status, answer = refused.status, {"message": str(refused)}
        except Exception as error:
            log.exception("%s failed", environ.get("PATH_INFO"))
            status, answer = 500, {"message": str(error)}
        body = json.dumps(answer).encode()
        start_response(f"{status} -", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _serve(self, environ: dict[str, Any]) -> Any:  # noqa: C901, PLR0911, PLR0912 - the table of routes
        path = [unquote(part) for part in environ["PATH_INFO"].removeprefix("/_local/").strip("/").split("/")]
        query = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        body = _json(environ)
        match environ["REQUEST_METHOD"], path:
            case "GET", ["health"]:
                return self._health()
            case "GET", ["calls"]:
                return self._calls(query)
            case "DELETE", ["calls"]:
                return self._cloud.pipeline.forget_calls()
            case "GET", ["faults"]:
                return [rule.describe() for rule in self._cloud.pipeline.faults()]
            case "POST", ["faults"]:
                return self._fault(body).describe()
            case "DELETE", ["faults"]:
                return self._cloud.pipeline.clear_faults()
            case "DELETE", ["faults", number] if number.isdigit():
                return self._clear_fault(int(number))
            case "GET", ["clock"]:
                return self._clock()
            case "POST", ["clock"]:
                return self._set_clock(body)
            case "POST", ["fire"]:
                return self._fire(body)
            case "POST", ["reset"]:
                return self._cloud.reset()
            case "GET", ["load-balancers"]:
                return importlib.import_module("springboard_local.services.ingress").load_balancers()
            case "POST", ["kubernetes", cluster]:
                return self._inject(cluster, body)
        raise Refused(404, f"There is no {environ['REQUEST_METHOD']} {environ['PATH_INFO']}.")

    def _health(self) -> dict[str, Any]:
        return {"status": "ok", "instance": self._cloud.instance, "pid": os.getpid(), **self._clock()}

    def _calls(self, query: Query) -> list[dict[str, Any]]:
        """Calls whose fields match all filters (globs); `after` a number, `limit` to the last so many."""
        after, limit = _number(query, "after", 0), _number(query, "limit", 1_000_000)
        if unknown := set(query) - _CALL:
            raise Refused(400, f"A call has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(_CALL))}.")
        calls = [call for call in self._cloud.pipeline.calls() if call.number > after]
        for name, pattern in query.items():
            calls = [call for call in calls if fnmatch.fnmatchcase(_text(getattr(call, name)), pattern)]
        return [asdict(call) for call in calls[len(calls) - min(limit, len(calls)) :]]

    def _fault(self, body: dict[str, Any]) -> Fault:
        if body.get("kind") not in LIFECYCLE_KINDS:
            return self._cloud.pipeline.inject(_made(Rule, body, {*KINDS, *LIFECYCLE_KINDS}))
        from springboard_local.services import eks  # noqa: PLC0415
        from springboard_local.services.eks.faults import LifecycleFault  # noqa: PLC0415

        if body.get("service", "eks") != "eks":
            raise Refused(400, f"{body['kind']} is a fault of eks, not of {body['service']}.")
        if body["kind"] == "health" and "resource" not in body:
            raise Refused(400, "Give resource: cluster, nodegroup or addon.")
        try:
            return eks.inject(_made(LifecycleFault, body, LIFECYCLE_KINDS))
        except LookupError as error:
            raise Refused(404, f"There is {error}.") from error

    def _clear_fault(self, number: int) -> None:
        if all(fault.number != number for fault in self._cloud.pipeline.faults()):
            raise Refused(404, f"There is no fault {number}.")
        self._cloud.pipeline.clear_faults(number)

    def _clock(self) -> dict[str, Any]:
        return {"now": clocks.iso(self._cloud.clock.now()), "speed": self._cloud.clock.speed}

    def _set_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body or set(body) - {"speed", "advance"}:
            raise Refused(400, "Give speed (virtual seconds per second) or advance (virtual seconds).")
        for name, method in (("speed", "set_speed"), ("advance", "advance")):
            if name in body:
                action = getattr(self._cloud.clock, method, None)
                if action is None:
                    raise Refused(409, f"A manual clock has no {name} here; the test that owns it moves it.")
                try:
                    action(float(body[name]))
                except (TypeError, ValueError) as error:
                    raise Refused(400, str(error)) from error
        return self._clock()

    def _fire(self, body: dict[str, Any]) -> dict[str, Any]:
        from springboard_local.services import scheduler  # noqa: PLC0415

        name = body.get("schedule")
        if not isinstance(name, str):
            raise Refused(400, "Give schedule, the name of one.")
        try:
            scheduler.fire(name)
        except LookupError as error:
            raise Refused(404, f"There is no schedule {name}.") from error
        return {"fired": name}

    def _inject(self, cluster: str, body: dict[str, Any]) -> dict[str, Any]:
        from springboard_local.services import eks  # noqa: PLC0415

        plane = eks.control_plane(cluster)
        if plane is None:
            raise Refused(404, f"There is no cluster {cluster}.")
        try:
            plane.inject(body)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        return {"injected": body}


def _json(environ: dict[str, Any]) -> dict[str, Any]:
    raw = environ["wsgi.input"].read()
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused(400, f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "The body has to be a JSON object.")
    return body


LIFECYCLE_KINDS = {"health", "update"}  # of services/eks
_COUNTED = {"number", "matched", "struck"}
_CALL = {each.name for each in fields(Record)}


def _made[Made: Fault](kind: type[Made], body: dict[str, Any], kinds: set[str]) -> Made:
    """The fault that a body describes; whatever is wrong with it is named."""
    settable = {each.name: each for each in fields(kind) if each.name not in _COUNTED}
    if unknown := set(body) - set(settable):
        raise Refused(400, f"A fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(settable))}.")
    if body.get("kind") not in kinds:
        raise Refused(400, f"kind is one of {', '.join(sorted(kinds))}, not {body.get('kind')}")
    for name, value in body.items():
        wanted = str(settable[name].type)
        types = _VALUES.get(wanted.removesuffix(" | None"), (str,))
        optional = value is None and wanted.endswith("None")
        if not optional and (not isinstance(value, types) or (isinstance(value, bool) and types != (bool,))):
            raise Refused(400, f"{name} is of type {wanted}, which {value!r} is not.")
    needed = {name for name, each in settable.items() if each.default is each.default_factory is MISSING}
    if missing := needed - set(body):
        raise Refused(400, f"Give {', '.join(sorted(missing))}.")
    try:
        return kind(**body)
    except ValueError as error:
        raise Refused(400, str(error)) from error


# The JSON values that a field of that annotation takes.
_VALUES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "list[str]": (list,)}


def _number(query: Query, name: str, default: int) -> int:
    value = query.pop(name, str(default))
    if not value.isdigit():
        raise Refused(400, f"{name} is a number, which {value!r} is not.")
    return int(value)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)
