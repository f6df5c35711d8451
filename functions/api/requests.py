"""What came over HTTP, read strictly: path, query, headers, body, caller, and the moment it came."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from springboard.problems import Problem

from . import strict_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAX_BODY = 64 * 1024
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"

_ASSUMED_ROLE = re.compile(r"^arn:(?P<partition>[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+$")
_TRUE = frozenset({"true", "All"})


@dataclass(frozen=True)
class Request:
    """One call of the API."""

    method: str
    segments: tuple[str, ...]  # of the path, percent-decoded once
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    caller: str  # ARN of the role or user, never of a session
    now: datetime
    id: str

    @property
    def path(self) -> str:
        """The path as it was asked for, for log lines and Location."""
        return "/" + "/".join(self.segments)

    def only(self, names: Collection[str]) -> None:
        """400 for a query parameter that this route does not know."""
        unknown = sorted(set(self.query) - set(names))
        if unknown:
            known = f"known here: {', '.join(sorted(names))}" if names else "this route takes none"
            raise Problem(400, "UnknownParameter", f"unknown query parameter {unknown[0][:60]!a}", known)

    @property
    def dry_run(self) -> bool:
        """Whether to answer with a plan and do nothing."""
        value = self.query.get("dryRun")
        if value is not None and value not in _TRUE | {"false"}:
            raise Problem(400, "InvalidParameter", f"dryRun is {value[:20]!a}", "write dryRun=true or leave it out")
        return value in _TRUE

    def document(self, *accepted: str) -> Any:  # noqa: ANN401 - any JSON value
        """The body as JSON; 415 unless it says that it is, 400 where it is none."""
        accepted = accepted or (JSON,)
        given = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given not in accepted:
            shown = ascii(given[:60]) if given else "missing"
            raise Problem(
                415, "UnsupportedMediaType", f"content type {shown}", f"send {' or '.join(accepted)}", headers={}
            )
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            shown = ascii(coding[:60])
            raise Problem(
                415, "UnsupportedMediaType", f"content encoding {shown}", "send the JSON itself, uncompressed"
            )
        if not self.body.strip():
            raise Problem(400, "EmptyBody", "the body is empty", "send the environment as JSON")
        try:
            return strict_json.parse(self.body)
        except strict_json.StrictJsonError as err:
            raise Problem(400, "MalformedJson", str(err), "send JSON as RFC 8259 describes it") from err

    @property
    def body_hash(self) -> str:
        """What tells this body from another."""
        return hashlib.sha256(self.body).hexdigest()


def read(event: Mapping[str, Any]) -> Request:
    """The request that an HTTP API event (payload format 2.0) carries; Problem where it can't be one."""
    context = event["requestContext"]
    http = context["http"]
    return Request(
        method=http["method"],
        segments=_segments(event.get("rawPath", "/"), context.get("stage", "$default")),
        query=_query(event.get("rawQueryString") or ""),
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=_body(event),
        caller=caller(context),
        now=datetime.fromtimestamp(context["timeEpoch"] / 1000, UTC),
        id=str(context.get("requestId", "")),
    )


def caller(context: Mapping[str, Any]) -> str:
    """Who calls, as the ARN that stays the same from session to session.

    An assumed role's ARN carries no path, so two roles that differ in their paths alone can't exist in one
    account (IAM refuses the second) and the short form names one role.
    """
    identity = (context.get("authorizer") or {}).get("iam") or {}
    arn = str(identity.get("userArn") or "")
    if not arn:
        raise Problem(401, "Unauthenticated", "the request carries no IAM identity", "sign it with SigV4")
    found = _ASSUMED_ROLE.match(arn)
    return f"arn:{found['partition']}:iam::{found['account']}:role/{found['role']}" if found else arn


def _segments(path: str, stage: str) -> tuple[str, ...]:
    parts = path.split("/")[1:]
    if stage != "$default" and parts[:1] == [stage]:
        parts = parts[1:]
    if parts and parts[-1] == "":
        parts = parts[:-1]
    return tuple(unquote(part) for part in parts)


def _query(raw: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=True, errors="strict") if raw else []
    except (ValueError, UnicodeDecodeError) as err:
        remedy = "write name=value, joined by &, each percent-encoded as UTF-8"
        raise Problem(400, "MalformedQuery", "the query string is malformed", remedy) from err
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(400, "InvalidParameter", f"query parameter {name[:60]!a} is given twice", "give it once")
        found[name] = value
    return found


def _body(event: Mapping[str, Any]) -> bytes:
    """The body, measured before anything reads it."""
    body = event.get("body") or ""
    if len(body) > MAX_BODY * 2:  # base64 adds a third; no need to decode what can't fit
        raise _too_large()
    if event.get("isBase64Encoded"):
        try:
            data = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as err:
            raise Problem(400, "MalformedBody", "the body is no base64", "send JSON in UTF-8") from err
    else:
        data = body.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BODY:
        raise _too_large()
    return data


def _too_large() -> Problem:
    return Problem(413, "BodyTooLarge", f"the body is larger than {MAX_BODY // 1024} KiB", "send a smaller document")
