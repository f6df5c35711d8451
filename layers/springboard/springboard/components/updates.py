"""Updates of EKS that failed: without a look at them, a failed update would only be seen as still wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard.record import OperationStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from springboard.record import Environment


@dataclass(frozen=True)
class FailedUpdate:
    """What EKS says of an update that this operation asked for and that failed."""

    code: str
    cause: str


def failed_update(updates: Sequence[Mapping[str, Any]], environment: Environment) -> FailedUpdate | None:
    """The latest update, if it failed and the running operation made it; a retry starts with a clean slate."""
    operation = environment.operation
    if operation is None or operation.status is not OperationStatus.RUNNING or operation.started_at is None:
        return None
    since = operation.started_at.replace(microsecond=0)
    ours = [update for update in updates if update["createdAt"] >= since]
    latest = max(ours, key=lambda update: update["createdAt"], default=None)
    if latest is None or latest["status"] not in {"Failed", "Cancelled"}:
        return None
    errors = latest.get("errors") or [{"errorCode": latest["status"]}]
    return FailedUpdate(
        str(errors[0].get("errorCode", "Unknown")), f"{latest['type']}: {'; '.join(map(_told, errors))}"
    )


def _told(error: Mapping[str, Any]) -> str:
    resources = f" ({', '.join(error['resourceIds'])})" if error.get("resourceIds") else ""
    return f"{error.get('errorCode', 'Unknown')} {error.get('errorMessage', '')}".strip() + resources
