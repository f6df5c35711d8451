"""What the API answers instead of an object: a Status, with the texts of a genuine server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.embedded.objects import Obj


class ApiError(Exception):
    """A request that ends with a Status of failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = None if details is None else dict(details)
        self.headers = dict(headers or {})

    @property
    def status(self) -> Obj:
        """The Status object to answer with."""
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.code}


@dataclass(frozen=True)
class Cause:
    """One mistake in an object, as `details.causes` lists it."""

    field: str
    reason: str
    message: str


def bad_request(message: str) -> ApiError:
    """400: the request can't be read."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: no valid token."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def no_such_path() -> ApiError:
    """404: nothing is served there."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def not_found(resource: Resource, name: str) -> ApiError:
    """404: no object of that name."""
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', resource.details(name))


def already_exists(resource: Resource, name: str) -> ApiError:
    """409: the name is taken."""
    return ApiError(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', resource.details(name))


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    """409: written on a stale read, or a precondition doesn't hold."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, resource.details(name))


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[Obj] = ()) -> ApiError:
    """403: admission says no."""
    details = resource.details(name)
    if causes:
        details["causes"] = list(causes)
    return ApiError(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', details)


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: the object has these mistakes."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listing = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {
        "name": name,
        "group": resource.group,
        "kind": resource.kind,
        "causes": [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes],
    }
    message = f'{resource.qualified_kind} "{name}" is invalid: {listing}'
    return ApiError(422, "Invalid", message, {k: v for k, v in details.items() if v})


def method_not_allowed() -> ApiError:
    """405: the resource exists, the verb doesn't."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def invalid_options(kind: str, causes: Sequence[Cause]) -> ApiError:
    """422: the request's own options (`ListOptions`, `PatchOptions` …) have these mistakes."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listing = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {
        "group": "meta.k8s.io",
        "kind": kind,
        "causes": [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes],
    }
    return ApiError(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {listing}', details)


def unparsed_number(text: str, function: str) -> str:
    """What Go's strconv says of a text that is no number."""
    return f'strconv.{function}: parsing "{text}": invalid syntax'


def expired(message: str) -> ApiError:
    """410: that much history is not kept."""
    return ApiError(410, "Expired", message)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: a body in an encoding the server doesn't read."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def internal_error(message: str) -> ApiError:
    """500, for a fault of this server."""
    details = {"causes": [{"message": message}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", details)
