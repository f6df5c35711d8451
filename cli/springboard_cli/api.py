"""Springboard's HTTP API: signed, repeated where that is harmless, and its refusals in plain words."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx

from springboard_cli.aws import is_loopback
from springboard_cli.errors import CommandError, Exit, Mistake, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard_cli.surroundings import Clock

    type Json = dict[str, Any]
    type Sign = Callable[[str, str, Mapping[str, str], bytes], dict[str, str]]

_ATTEMPTS = 5
_NAME = re.compile(r"[A-Za-z0-9-]{1,63}")
_PASSING = frozenset({429, 500, 502, 503, 504})
_LONGEST_WAIT = 20.0
# API Gateway answers within 30 s, whatever the function does.
_TIMEOUT = httpx.Timeout(35.0, connect=5.0)

_EXITS = {
    400: Exit.INVALID,
    401: Exit.NOT_AUTHORISED,
    403: Exit.NOT_AUTHORISED,
    404: Exit.NOT_FOUND,
    405: Exit.INVALID,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    413: Exit.INVALID,
    415: Exit.INVALID,
    422: Exit.INVALID,
    428: Exit.CONFLICT,
}

# The gateway's own answers, {"message": …}: they never reached Springboard.
_GATEWAY = {
    401: ("the API wants a signed request", "check your AWS credentials: `aws sts get-caller-identity`"),
    403: (
        "the API refuses these credentials",
        "your IAM identity needs execute-api:Invoke on it: attach the policy of the stack's output CallerPolicy",
    ),
    404: (
        "the address of the API leads nowhere",
        "the stack's output ApiUrl may be of a stack that is gone; check --stack, --region and --profile",
    ),
    413: ("the document is too large for the API", "at most 64 KiB fit"),
    429: ("the API is throttled", "try again in a minute"),
}


@dataclass(frozen=True)
class Answer:
    """A status, the document, and the headers that matter."""

    status: int
    document: Json
    etag: str = ""
    retry_after: float | None = None


class Api:
    """One API with one caller."""

    def __init__(self, url: str, sign: Sign, clock: Clock, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._sign = sign
        self._clock = clock
        # A proxy of the environment is for the world outside, never for this machine.
        self._client = httpx.Client(transport=transport, timeout=_TIMEOUT, trust_env=not is_loopback(url))

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    # environments

    def environment(self, name: str) -> Answer:
        """The environment as it stands, with its ETag."""
        return self.get(_path(name))

    def environments(self, selector: str = "", phase: str = "") -> list[Json]:
        """All that the caller may see."""
        query = {"labelSelector": selector, "phase": phase, "limit": "200"}
        found: list[Json] = []
        while True:
            page = self.get("/environments", {key: value for key, value in query.items() if value}).document
            found += page["items"]
            after = page.get("metadata", {}).get("continue", "")
            if not after:
                return found
            query["after"] = after

    def create(self, document: Json) -> Answer:
        """POST a new environment, once, however often the network fails."""
        return self._write("POST", "/environments", document, {"Idempotency-Key": str(uuid.uuid4())})

    def replace(self, name: str, document: Json, etag: str) -> Answer:
        """Make the environment of that ETag as the document says."""
        return self._write("PUT", _path(name), document, {"If-Match": etag})

    def merge(self, name: str, change: Json, etag: str) -> Answer:
        """Change some fields of the environment of that ETag."""
        return self._write("PATCH", _path(name), change, {"If-Match": etag}, media_type="application/merge-patch+json")

    def plan(self, name: str, document: Json, etag: str = "") -> Json:
        """What `replace`, or `create` where no ETag is given, would do."""
        if etag:
            return self._write("PUT", f"{_path(name)}?dryRun=true", document, {"If-Match": etag}).document
        return self._write("POST", "/environments?dryRun=true", document, {}).document

    def delete(self, name: str, etag: str) -> Answer:
        """Begin to remove the environment of that ETag."""
        return self._send("DELETE", _path(name), b"", {"If-Match": etag})

    def plan_deletion(self, name: str) -> Json:
        """What `delete` would do."""
        return self._send("DELETE", f"{_path(name)}?dryRun=true", b"", {}).document

    def act(self, name: str, action: str) -> Answer:
        """POST retry or cancel."""
        return self._send("POST", f"{_path(name)}/{action}", b"", {"Idempotency-Key": str(uuid.uuid4())})

    def operation(self, name: str, operation: str) -> Json:
        """One operation."""
        return self.get(f"{_path(name)}/operations/{quote(operation, safe='')}").document

    def events(self, name: str, after: str) -> Answer:
        """Those after the event of that id."""
        return self.get(f"{_path(name)}/events", {"after": after} if after else {})

    def diagnosis(self, name: str) -> Json:
        """What the pods say now."""
        return self.get(f"{_path(name)}/diagnosis").document

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET any path."""
        # A space as %20, as SigV4 has it: with + the signature would be of another query.
        encoded = urlencode(query or {}, quote_via=quote, safe="")
        return self._send("GET", path + (f"?{encoded}" if encoded else ""), b"", {})

    def local_time(self) -> Json:
        """Time and speed of a local cloud; empty anywhere else. AWS needs no such thing: its time is everybody's."""
        if not is_loopback(self.url):
            return {}
        try:
            answer = self._client.get(httpx.URL(self.url).join("/_local/clock"))
            found: Json = answer.json()
        except (httpx.HTTPError, ValueError):
            return {}
        return found if answer.status_code == 200 and "now" in found else {}

    def local_addresses(self) -> list[Json]:
        """Where a local cloud's load balancers listen; nothing anywhere else."""
        if not is_loopback(self.url):
            return []
        try:
            found = self._client.get(httpx.URL(self.url).join("/_local/load-balancers")).json()
        except (httpx.HTTPError, ValueError):
            return []
        return found if isinstance(found, list) else []

    # over the wire

    def _write(
        self, method: str, path: str, document: Json, headers: dict[str, str], media_type: str = "application/json"
    ) -> Answer:
        body = json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
        return self._send(method, path, body, {"Content-Type": media_type, **headers})

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send until it is answered. Every call may be repeated: reads, plans, writes on a condition or with a key."""
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                response = self._once(method, path, body, headers)
            except httpx.TransportError as err:
                if last:
                    raise CommandError(
                        f"the API at {self.url} does not answer: {err}",
                        "check the network; for the local cloud, `springboard local status` says whether it runs",
                    ) from err
                self._clock.sleep(min(2.0 ** (attempt - 1), _LONGEST_WAIT))
                continue
            if response.status_code < 400:
                return _answer(response)
            if last or response.status_code not in _PASSING or (response.status_code == 500 and _problem(response)):
                raise _refusal(response)
            self._clock.sleep(min(_retry_after(response) or 2.0 ** (attempt - 1), _LONGEST_WAIT))
        raise AssertionError("the last attempt answers or raises")

    def _once(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        url = self.url + path
        signed = self._sign(method, url, {"Accept": "application/json", **headers}, body)
        return self._client.request(method, url, headers=signed, content=body)


def _path(name: str) -> str:
    """The path of an environment; what can't be a name is not sent, for it could name another path."""
    if not _NAME.fullmatch(name):
        raise NotFoundError(f"no environment {name[:40]!a}", "`springboard get` lists those that you can see")
    return f"/environments/{name}"


def _answer(response: httpx.Response) -> Answer:
    try:
        document = response.json()
    except ValueError as err:
        raise CommandError(
            f"the API answered {response.status_code} without a JSON document", "is ApiUrl Springboard's?"
        ) from err
    return Answer(response.status_code, document, response.headers.get("etag", ""), _retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(float(response.headers["retry-after"]), 0.0)
    except (KeyError, ValueError):
        return None


def _problem(response: httpx.Response) -> Json:
    """The problem document of an answer; empty where it is not Springboard's."""
    if response.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return {}
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(response: httpx.Response) -> CommandError:
    status = response.status_code
    problem = _problem(response)
    if not problem:
        message, remedy = _GATEWAY.get(
            status, (f"the API failed with status {status}", "try again; `springboard doctor` looks for the cause")
        )
        # A gateway's 404 says nothing about an environment.
        return CommandError(message, remedy, code=Exit.FAILED if status == 404 else _EXITS.get(status, Exit.FAILED))
    message, remedy = str(problem.get("detail", "")), str(problem.get("remedy", ""))
    if status == 404:
        return NotFoundError(message, remedy)
    if status >= 500 and problem.get("instance"):
        remedy = f"{remedy} (request {problem['instance']})".strip()
    mistakes = tuple(
        Mistake(
            str(each.get("field", "")),
            str(each.get("message", "")),
            str(each.get("remedy", "")),
            str(each.get("value", "")),
        )
        for each in problem.get("errors", ())
    )
    if problem.get("moreErrors"):
        message += f", the first {len(mistakes)} are"
    return CommandError(message, remedy, code=_EXITS.get(status, Exit.FAILED), mistakes=mistakes)
