"""One way to call AWS: a boto3 client whose errors become ours."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from springboard.errors import (
    AccessDeniedError,
    RefusedError,
    SpringboardError,
    ThrottledError,
    UnavailableError,
    remedy_of_denial,
)

_THROTTLED = frozenset(
    {
        "EC2ThrottledException",
        "LimitExceededException:Rate",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ResourceContention",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedOperation",
    }
)


class Adapter:
    """Base of the adapters of one service each.

    `missing` lists the error codes that mean "no such thing"; `find` turns them into None.
    """

    missing: frozenset[str] = frozenset()

    def __init__(self, client: Any) -> None:
        self.client = client

    def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Call an operation by its boto3 name (`create_cluster`); raises only our errors."""
        try:
            answer: dict[str, Any] = getattr(self.client, operation)(**parameters)
        except (ClientError, BotoCoreError) as err:
            raise translated(err, operation) from err
        return answer

    def find(self, operation: str, /, **parameters: Any) -> dict[str, Any] | None:
        """As `call`; None where the thing does not exist."""
        try:
            return self.call(operation, **parameters)
        except RefusedError as err:
            if err.code in self.missing:
                return None
            raise

    def pages(self, operation: str, key: str, /, **parameters: Any) -> list[Any]:
        """All items under `key` over all pages."""
        try:
            pages = self.client.get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key, [])]
        except (ClientError, BotoCoreError) as err:
            raise translated(err, operation) from err


def translated(err: ClientError | BotoCoreError, operation: str) -> SpringboardError:
    """What an error of botocore means to the caller."""
    if isinstance(err, BotoConnectionError | HTTPClientError):
        return UnavailableError(f"{operation}: {type(err).__name__}")
    if not isinstance(err, ClientError):
        return RefusedError(f"{operation}: {err}", code=type(err).__name__)
    error = err.response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status = int(err.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{err.operation_name} answered {code}: {message}"
    if code in _THROTTLED or status == 429:
        return ThrottledError(said)
    if code in _DENIED:
        return AccessDeniedError(
            f"{err.operation_name} was denied: {message}", remedy_of_denial(message, err.operation_name)
        )
    if status >= 500:
        return UnavailableError(said)
    return RefusedError(said, code=code)
