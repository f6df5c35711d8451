"""A record in memory and executions in memory, for the steps around the components."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from springboard.errors import FencedError, SpringboardError
from springboard.record import (
    Condition,
    Environment,
    Failure,
    Intent,
    Lock,
    Operation,
    OperationKind,
    OperationStatus,
    Phase,
    Resolved,
    Step,
)
from springboard.spec import EnvironmentSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from springboard.runtime import World

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PROVISION = "arn:aws:states:eu-west-1:111122223333:stateMachine:provision"
TEARDOWN = "arn:aws:states:eu-west-1:111122223333:stateMachine:teardown"


def environment(kind: OperationKind = OperationKind.CREATE, **changes: Any) -> Environment:
    """Environment `shop` at generation 3, under the running operation op1."""
    spec = EnvironmentSpec.model_validate_json(json.dumps({"apps": [{"image": "registry.example.com/shop:1"}]}))
    known: dict[str, Any] = {
        "lock": Lock("op1", NOW),
        "operation": Operation("op1", kind, OperationStatus.RUNNING, 3, NOW, "somebody", started_at=NOW),
        **changes,
    }
    return Environment(
        "u1", "shop", "owner", 3, NOW, spec, {}, Resolved("1.35", "Z1", "example.com", (), "amd64"), **known
    )


@dataclass
class Record:
    """The store's part that steps and settling use, fenced as the real one."""

    environment: Environment | None
    writes: list[str] = field(default_factory=list)
    refuse: SpringboardError | None = None  # to every write of a step
    intent_meanwhile: Intent | None = None  # written by somebody between settle's read and its release
    saved: list[Operation] = field(default_factory=list)

    @property
    def present(self) -> Environment:
        assert self.environment is not None
        return self.environment

    def by_uid(self, uid: str) -> Environment | None:
        return self.environment if self.environment and self.environment.uid == uid else None

    def locked(self) -> Iterator[tuple[str, str]]:
        if self.environment and self.environment.lock:
            yield self.environment.uid, self.environment.lock.operation

    def start_step(self, uid: str, operation: str, step: Step, *, anew: bool = False) -> None:
        self._write("start_step", uid, operation)
        if anew or step.name not in self._operation.steps:
            self._set_step(step)

    def end_step(self, uid: str, operation: str, step: Step) -> None:
        self._write("end_step", uid, operation)
        self._set_step(step)

    def write_step(
        self, uid: str, operation: str, *, step: Step, condition: Condition, component: str, learned: Mapping[str, Any]
    ) -> None:
        self._write("write_step", uid, operation)
        self._set_step(step)
        before = self.present
        self.environment = replace(
            before.with_facts(component, learned), conditions={**before.conditions, condition.type: condition}
        )

    def record_failure(
        self, environment: Environment, failure: Failure, phase: Phase, conditions: Mapping[str, Condition]
    ) -> None:
        self._write("record_failure", environment.uid, environment.lock.operation if environment.lock else "")
        self.environment = replace(
            self.present,
            phase=phase,
            conditions={**self.present.conditions, **conditions},
            operation=replace(self._operation, status=OperationStatus.FAILED, failure=failure),
        )

    def release(self, environment: Environment, ended: Operation) -> bool:
        if self.intent_meanwhile:
            self.environment = replace(self.present, intent=self.intent_meanwhile)
            self.intent_meanwhile = None
            return False
        assert environment.lock is not None
        self._write("release", environment.uid, environment.lock.operation)
        self.saved.append(ended)
        self.environment = replace(self.present, operation=ended, lock=None, intent=None)
        return True

    def hand_over(self, environment: Environment, ended: Operation, following: Operation, now: datetime) -> bool:
        if self.present.lock != environment.lock:
            return False
        self.writes.append("hand_over")
        self.saved.append(ended)
        self.environment = replace(self.present, operation=following, lock=Lock(following.id, now), intent=None)
        return True

    @property
    def _operation(self) -> Operation:
        assert self.present.operation is not None
        return self.present.operation

    def _set_step(self, step: Step) -> None:
        operation = replace(self._operation, steps={**self._operation.steps, step.name: step})
        self.environment = replace(self.present, operation=operation)

    def _write(self, what: str, uid: str, operation: str) -> None:
        holder = self.present.lock.operation if self.present.lock else ""
        if (uid, operation) != (self.present.uid, holder):
            raise FencedError(what)
        if self.refuse:
            raise self.refuse
        self.writes.append(what)


@dataclass
class Executions:
    """Executions by ARN."""

    status_of: dict[str, str] = field(default_factory=dict)
    started: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def start(self, machine: str, name: str, state: dict[str, Any]) -> str:
        self.started.append((machine, name, state))
        return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"

    def status(self, execution: str) -> str | None:
        return self.status_of.get(execution)


def world(record: Record, executions: Executions | None = None) -> World:
    settings = SimpleNamespace(provision_arn=PROVISION, teardown_arn=TEARDOWN)
    return cast("World", SimpleNamespace(store=record, states=executions or Executions(), settings=settings, site=None))
