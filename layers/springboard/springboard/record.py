"""What Springboard remembers of an environment, as plain values.

`Environment` is what a handler reads at its start (that read is the fence): spec and what admission resolved,
the lock, conditions and facts. All times are UTC, written as RFC 3339 with seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from springboard.spec import EnvironmentSpec

type Facts = Mapping[str, Mapping[str, Any]]
"""Component name → what that component learned (JSON values)."""


class Phase(enum.StrEnum):
    """One word for people; programs read the conditions."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    READY = "Ready"
    DEGRADED = "Degraded"
    UPDATING = "Updating"
    UPGRADING = "Upgrading"
    DELETING = "Deleting"
    DELETED = "Deleted"
    FAILED = "Failed"


class OperationKind(enum.StrEnum):
    """What an operation is for."""

    CREATE = "Create"
    UPDATE = "Update"
    REPAIR = "Repair"
    RETRY = "Retry"
    DELETE = "Delete"
    CANCEL = "Cancel"  # only ever an intent: stop what runs, start nothing
    UPGRADE = "Upgrade"


class OperationStatus(enum.StrEnum):
    """Where an operation stands."""

    PENDING = "Pending"  # waits for the lock
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Condition:
    """One condition in Kubernetes' shape."""

    type: str
    status: str  # "True", "False", "Unknown"
    reason: str  # PascalCase
    message: str = ""
    last_transition_time: datetime = _NEVER
    observed_generation: int = 0

    @property
    def true(self) -> bool:
        """Whether the condition holds."""
        return self.status == "True"


def transition(before: Condition | None, status: str, now: datetime) -> datetime:
    """When a condition came to `status`: now, unless it was there before; only a change of status moves the time."""
    return now if before is None or before.status != status else before.last_transition_time


@dataclass(frozen=True)
class Step:
    """One component's part in an operation."""

    name: str  # EnsureCluster
    started_at: datetime
    ended_at: datetime | None = None
    error: str = ""
    remedy: str = ""
    not_before: datetime | None = None  # an earlier look would mislead, a killed handler's retry too


@dataclass(frozen=True)
class Failure:
    """Why an operation failed: which step, what the cause was, what to do next."""

    step: str
    cause: str
    remedy: str


@dataclass(frozen=True)
class Operation:
    """One run over an environment; `id` is a ULID and the execution's name."""

    id: str
    kind: OperationKind
    status: OperationStatus
    generation: int
    requested_at: datetime
    requested_by: str
    attempt: int = 1  # part of idempotency tokens: a retry asks AWS anew
    started_at: datetime | None = None
    ended_at: datetime | None = None
    steps: Mapping[str, Step] = field(default_factory=dict)
    failure: Failure | None = None
    execution_arn: str = ""


@dataclass(frozen=True)
class ResolvedApp:
    """What admission found out about one application."""

    name: str
    host: str
    image: str  # with digest: registry/repository@sha256:…
    digest: str
    architecture: str  # amd64 or arm64
    node_port: int


@dataclass(frozen=True)
class Resolved:
    """What admission resolved, stored beside the spec of the same generation."""

    version: str  # Kubernetes minor to create with, "1.35"
    zone_id: str
    zone_name: str
    apps: tuple[ResolvedApp, ...]
    architecture: str  # of the nodes: amd64 or arm64
    creator_role_arn: str = ""

    def app(self, name: str) -> ResolvedApp:
        """The application of that name; KeyError if there is none."""
        for app in self.apps:
            if app.name == name:
                return app
        raise KeyError(name)


@dataclass(frozen=True)
class Lock:
    """Who may write: an operation, since when."""

    operation: str
    since: datetime


@dataclass(frozen=True)
class Intent:
    """What shall happen as soon as the lock is free."""

    operation: str
    kind: OperationKind
    at: datetime
    by: str


@dataclass(frozen=True)
class Environment:
    """The record of one environment."""

    uid: str
    name: str
    owner: str  # role or user ARN of the creator
    generation: int
    created_at: datetime
    spec: EnvironmentSpec
    labels: Mapping[str, str]
    resolved: Resolved
    phase: Phase = Phase.PENDING
    observed_generation: int = 0
    lock: Lock | None = None
    intent: Intent | None = None
    operation: Operation | None = None  # the latest
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    deleted_at: datetime | None = None
    expires_at: datetime | None = None  # where ttlHours is set

    def under(self, kind: OperationKind) -> bool:
        """Whether the latest operation, ended or not, is of that kind."""
        return self.operation is not None and self.operation.kind is kind

    def holds(self, condition: str, *, current: bool = False) -> bool:
        """Whether the record says that a condition is True; `current`: seen so of the present generation."""
        found = self.conditions.get(condition)
        return found is not None and found.true and (not current or found.observed_generation >= self.generation)

    def with_facts(self, component: str, learned: Mapping[str, Any]) -> Environment:
        """This record with another component's facts; the original stays."""
        return replace(self, facts={**self.facts, component: dict(learned)})


def moment(text: str) -> datetime:
    """The UTC time that an RFC 3339 text means; ValueError if it means none or has no offset."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return parsed.astimezone(UTC)


def text(at: datetime) -> str:
    """`at` as the record writes it: 2026-11-23T09:00:00Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
