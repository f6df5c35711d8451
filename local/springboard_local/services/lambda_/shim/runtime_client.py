# ruff: noqa: INP001 - put on the path of workers, not part of a package
"""The Runtime API client of awslambdaric in plain Python, where its C++ one is not built (macOS).

Runs inside workers, so it imports nothing of the local cloud.
"""

from __future__ import annotations

import http.client
import os

_PATH = "/2018-06-01/runtime/invocation/"
_connection: http.client.HTTPConnection | None = None


def initialize_client(_user_agent: str) -> None:
    """Nothing to prepare: the connection is made by the first call."""


def next() -> tuple[bytes, dict[str, str | int]]:  # noqa: A001 - the name that awslambdaric calls
    """Block until there is an invocation; its body and headers."""
    body, headers = _call("GET", "next", None, {})
    deadline = int(headers["Lambda-Runtime-Deadline-Ms"])
    return body, {**headers, "Lambda-Runtime-Deadline-Ms": deadline}


def post_invocation_result(
    request_id: str, content: bytes, content_type: str = "application/json", _invocation_id: str | None = None
) -> None:
    """Answer an invocation."""
    _call("POST", f"{request_id}/response", content, {"Content-Type": content_type})


def post_error(request_id: str, error: str, _xray_cause: str = "", _invocation_id: str | None = None) -> None:
    """Answer an invocation with an error."""
    _call("POST", f"{request_id}/error", error.encode(), {"Content-Type": "application/json"})


def _call(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    global _connection  # noqa: PLW0603 - one connection for the life of the worker, as in the C++ client
    if _connection is None:
        _connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        _connection.request(method, _PATH + path, body, headers)
        response = _connection.getresponse()
        return response.read(), dict(response.getheaders())
    except (http.client.HTTPException, OSError) as error:
        # The local cloud has gone, and with it the reason for this process.
        raise SystemExit(1) from error
