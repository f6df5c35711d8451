"""Problem documents (RFC 9457): how a refusal reads over HTTP.

`code` is for programs, `detail` and `remedy` for people; `errors` lists every mistake of a request, each with
the path of the field as the user wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from springboard.errors import (
    AccessDeniedError,
    ConflictError,
    InvalidError,
    NotFoundError,
    NotOursError,
    PreconditionError,
    RefusedError,
    SpringboardError,
    ThrottledError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.errors import FieldError

MEDIA_TYPE = "application/problem+json"
_SHOWN = 50  # mistakes in one answer; a body of 64 KiB can hold thousands


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818 - it is a document first, and is raised to leave a route early
    """One refusal. `headers` go with the answer (Allow, Retry-After)."""

    status: int
    code: str
    detail: str
    remedy: str = ""
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, instance: str = "") -> dict[str, Any]:
        """The body of the answer; `instance` names the request, so that its log lines can be found."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.remedy:
            document["remedy"] = self.remedy
        if self.errors:
            document["errors"] = [_field(error) for error in self.errors[:_SHOWN]]
        if len(self.errors) > _SHOWN:
            document["moreErrors"] = len(self.errors) - _SHOWN
        if instance:
            document["instance"] = instance
        return document


def _field(error: FieldError) -> dict[str, str]:
    shown = {"field": error.field, "message": error.message, "value": error.value, "remedy": error.remedy}
    return {key: value for key, value in shown.items() if value or key in {"field", "message"}}


_KINDS: dict[type[SpringboardError], tuple[int, str]] = {
    NotFoundError: (404, "NotFound"),
    ConflictError: (409, "Conflict"),
    NotOursError: (409, "NotOurs"),
    PreconditionError: (412, "PreconditionFailed"),
    ThrottledError: (503, "Unavailable"),
    UnavailableError: (503, "Unavailable"),
    AccessDeniedError: (500, "StackLacksPermission"),
    RefusedError: (500, "Refused"),
}


def problem(err: SpringboardError) -> Problem:
    """What an error of ours means over HTTP."""
    if isinstance(err, InvalidError):
        count = len(err.errors)
        detail = "one mistake in the request" if count == 1 else f"{count} mistakes in the request"
        return Problem(422, "Invalid", detail, errors=tuple(err.errors))
    status, code = _KINDS.get(type(err), (500, "InternalError"))
    if status == 503:
        remedy = err.remedy or "try again in a few seconds"
        return Problem(status, code, err.message, remedy, headers={"Retry-After": "5"})
    return Problem(status, code, err.message, err.remedy)
