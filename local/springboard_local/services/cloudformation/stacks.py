"""What CloudFormation keeps: stacks, their resources and events, change sets."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from springboard_local.clock import Clock

STACK_TYPE = "AWS::CloudFormation::Stack"
UPDATABLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}


@dataclass
class Resource:
    """One resource of a stack, as it is now."""

    logical_id: str
    type: str
    timestamp: datetime
    physical_id: str = ""
    properties: dict[str, Any] = field(default_factory=dict)  # resolved
    attributes: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""
    reason: str = ""
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"


@dataclass(frozen=True)
class Event:
    """One line of a stack's history."""

    id: str
    timestamp: datetime
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    properties: str


@dataclass(frozen=True)
class Plan:
    """A template with the values that it is to be deployed with."""

    text: str  # as it was sent
    template: Mapping[str, Any]  # transformed
    given: Mapping[str, str]  # parameters as they were sent
    values: Mapping[str, Any]  # parameters, typed
    tags: dict[str, str]
    capabilities: list[str]
    role_arn: str | None = None
    notification_arns: list[str] = field(default_factory=list)
    description: str = ""

    @property
    def hidden(self) -> set[str]:
        """Parameters whose values are not shown."""
        declared = self.template.get("Parameters") or {}
        return {name for name, each in declared.items() if str(each.get("NoEcho", "")).lower() == "true"}


@dataclass(frozen=True)
class Output:
    """One output."""

    key: str
    value: str
    description: str = ""
    export: str = ""


@dataclass
class ChangeSet:
    """What would change."""

    id: str
    name: str
    kind: str  # CREATE or UPDATE
    created: datetime
    description: str = ""
    plan: Plan | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    status: str = "CREATE_COMPLETE"
    reason: str = ""
    execution: str = "AVAILABLE"


@dataclass
class Stack:
    """One stack."""

    stack_name: str
    stack_id: str
    clock: Clock
    created: datetime
    plan: Plan | None = None  # the last one that was deployed, or is being deployed
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    updated: datetime | None = None
    deleted: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)  # in the order of creation
    outputs: list[Output] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    on_failure: str = "ROLLBACK"
    protected: bool = False
    parent_id: str = ""
    root_id: str = ""
    role_arn: str | None = None

    @property
    def busy(self) -> bool:
        """Whether an operation runs."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def set_status(self, status: str, reason: str = "") -> None:
        """Change the stack's own status, and say so in the events."""
        self.status, self.reason = status, reason
        self._event(Resource(self.stack_name, STACK_TYPE, self.created, self.stack_id), status, reason, "")

    def set_resource_status(self, resource: Resource, status: str, reason: str = "", properties: str = "") -> None:
        """Change a resource's status, and say so in the events."""
        resource.status, resource.reason = status, reason
        self._event(resource, status, reason, properties)
        resource.timestamp = self.events[-1].timestamp

    def _event(self, resource: Resource, status: str, reason: str, properties: str) -> None:
        moment = self.clock.now()
        if self.events:
            # Clients page by time, in milliseconds: no two events of a stack may share one.
            moment = max(moment, self.events[-1].timestamp + timedelta(milliseconds=1))
        event = Event(
            str(uuid.uuid4()),
            moment,
            resource.logical_id,
            resource.physical_id,
            resource.type,
            status,
            reason,
            properties,
        )
        self.events.append(event)


def new_stack(name: str, clock: Clock) -> Stack:
    """A stack that nothing has been done to yet."""
    stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
    return Stack(name, stack_id, clock, clock.now())
