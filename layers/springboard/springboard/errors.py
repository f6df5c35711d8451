"""What can go wrong, by what the caller should do about it.

Class names are part of the contract: state machines list them in `ErrorEquals`, the API turns them into
problem documents. Waiting is not an error: a handler that has to wait returns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# How what was deleted or changed by hand comes back; another `sam deploy` of the same template does nothing.
RESTORE = "docs/guide/runbooks.md#putting-the-stack-right"
_DENIED_ACTION = re.compile(r"perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>[^\s\"]+))?")


class SpringboardError(Exception):
    """A failure with its cause (the message) and what the reader can do about it (`remedy`)."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ThrottledError(SpringboardError):
    """AWS or Kubernetes asked for patience: the same call may be made again later."""


class UnavailableError(SpringboardError):
    """A 5xx, a time-out, a broken connection: the same call may be made again later."""


class AccessDeniedError(SpringboardError):
    """Our own role lacks a permission: not retried; names the action and the resource."""


def remedy_of_denial(said: str, operation: str = "") -> str:
    """What to do about a denial in IAM's words: the action and the resource that they name; "" if they name none.

    `operation` stands for the action where a service does not name it.
    """
    found = _DENIED_ACTION.search(said)
    action = found["action"] if found else operation
    if not action:
        return ""
    return (
        f"allow {action} on {(found and found['resource']) or '*'} to the function's role: if it was changed by hand,"
        f" {RESTORE} undoes that; a service control policy or permissions boundary"
        " may deny it, too"
    )


class NotOursError(SpringboardError):
    """Something of that name exists and belongs to somebody else: never touched."""


class RefusedError(SpringboardError):
    """AWS or Kubernetes understood the request and said no; the same call will fail again.

    `code` is the service's own error code.
    """

    def __init__(self, message: str, remedy: str = "", *, code: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code


class FencedError(SpringboardError):
    """The step's operation no longer holds the environment's lock: it must write nothing and stop."""


@dataclass(frozen=True)
class FieldError:
    """One mistake in a request: where (`spec.apps[0].image`), what was given, what to write instead."""

    field: str
    message: str
    remedy: str = ""
    value: str = ""


class InvalidError(SpringboardError):
    """A request that can never work, with all its mistakes at once (422)."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" for e in errors))
        self.errors = errors


class NotFoundError(SpringboardError):
    """No such environment, operation or route for this caller (404)."""


class ConflictError(SpringboardError):
    """The name is taken, or another operation is at work (409)."""


class PreconditionError(SpringboardError):
    """`If-Match` names another generation than the present one (412)."""


class StepFailedError(SpringboardError):
    """A component will not come right by waiting; its condition says so already."""
