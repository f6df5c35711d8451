"""The record as JSON, and JSON as the record."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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
    ResolvedApp,
    Step,
    moment,
    text,
)
from springboard.spec import EnvironmentSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

type Json = dict[str, Any]


def _time(at: datetime | None) -> str | None:
    return None if at is None else text(at)


def _moment(value: str | None) -> datetime | None:
    return None if value is None else moment(value)


def _without_none(values: Mapping[str, Any]) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def condition_to_json(condition: Condition) -> Json:
    """Kubernetes' field names, so that the API shows it as it is stored."""
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": text(condition.last_transition_time),
        "observedGeneration": condition.observed_generation,
    }


def condition_from_json(value: Json) -> Condition:
    """The reverse of `condition_to_json`."""
    return Condition(
        type=value["type"],
        status=value["status"],
        reason=value["reason"],
        message=value.get("message", ""),
        last_transition_time=moment(value["lastTransitionTime"]),
        observed_generation=int(value.get("observedGeneration", 0)),
    )


def step_to_json(step: Step) -> Json:
    """One step with its times."""
    return _without_none(
        {
            "name": step.name,
            "startedAt": text(step.started_at),
            "endedAt": _time(step.ended_at),
            "error": step.error or None,
            "remedy": step.remedy or None,
            "notBefore": _time(step.not_before),
        }
    )


def step_from_json(value: Json) -> Step:
    """The reverse of `step_to_json`."""
    return Step(
        name=value["name"],
        started_at=moment(value["startedAt"]),
        ended_at=_moment(value.get("endedAt")),
        error=value.get("error", ""),
        remedy=value.get("remedy", ""),
        not_before=_moment(value.get("notBefore")),
    )


def operation_to_json(operation: Operation) -> Json:
    """An operation as it stands in STATUS and in its own item."""
    return _without_none(
        {
            "id": operation.id,
            "kind": operation.kind.value,
            "status": operation.status.value,
            "generation": operation.generation,
            "requestedAt": text(operation.requested_at),
            "requestedBy": operation.requested_by,
            "attempt": operation.attempt,
            "startedAt": _time(operation.started_at),
            "endedAt": _time(operation.ended_at),
            "steps": {name: step_to_json(step) for name, step in operation.steps.items()},
            "failure": asdict(operation.failure) if operation.failure else None,
            "executionArn": operation.execution_arn or None,
        }
    )


def operation_from_json(value: Json) -> Operation:
    """The reverse of `operation_to_json`."""
    failure = value.get("failure")
    return Operation(
        id=value["id"],
        kind=OperationKind(value["kind"]),
        status=OperationStatus(value["status"]),
        generation=int(value["generation"]),
        requested_at=moment(value["requestedAt"]),
        requested_by=value["requestedBy"],
        attempt=int(value.get("attempt", 1)),
        started_at=_moment(value.get("startedAt")),
        ended_at=_moment(value.get("endedAt")),
        steps={name: step_from_json(step) for name, step in value.get("steps", {}).items()},
        failure=Failure(**failure) if failure else None,
        execution_arn=value.get("executionArn", ""),
    )


def resolved_to_json(resolved: Resolved) -> Json:
    """What admission resolved."""
    return {**asdict(resolved), "apps": [asdict(app) for app in resolved.apps]}


def resolved_from_json(value: Json) -> Resolved:
    """The reverse of `resolved_to_json`."""
    apps = tuple(ResolvedApp(**{**app, "node_port": int(app["node_port"])}) for app in value["apps"])
    return Resolved(**{**value, "apps": apps})


def spec_to_json(spec: EnvironmentSpec) -> Json:
    """The spec under the names that users write."""
    return spec.model_dump(mode="json", by_alias=True)


def spec_from_json(value: Json) -> EnvironmentSpec:
    """The reverse of `spec_to_json`; what was admitted once is not validated against other fields again."""
    return EnvironmentSpec.model_validate(value)


def status_to_json(environment: Environment) -> Json:
    """All of the record but spec and resolved, which stand in an item of their own."""
    return _without_none(
        {
            "uid": environment.uid,
            "name": environment.name,
            "owner": environment.owner,
            "generation": environment.generation,
            "observedGeneration": environment.observed_generation,
            "createdAt": text(environment.created_at),
            "labels": dict(environment.labels),
            "phase": environment.phase.value,
            "lock": {"operation": environment.lock.operation, "since": text(environment.lock.since)}
            if environment.lock
            else None,
            "intent": intent_to_json(environment.intent) if environment.intent else None,
            "operation": operation_to_json(environment.operation) if environment.operation else None,
            "conditions": {name: condition_to_json(c) for name, c in environment.conditions.items()},
            "facts": {name: dict(facts) for name, facts in environment.facts.items()},
            "deletedAt": _time(environment.deleted_at),
            "expiresAt": _time(environment.expires_at),
        }
    )


def intent_to_json(intent: Intent) -> Json:
    """What shall happen next."""
    return {"operation": intent.operation, "kind": intent.kind.value, "at": text(intent.at), "by": intent.by}


def environment_to_json(environment: Environment) -> Json:
    """The whole record, as it travels to a component function that is asked what it observes."""
    return {
        **status_to_json(environment),
        "spec": spec_to_json(environment.spec),
        "resolved": resolved_to_json(environment.resolved),
    }


def environment_from_json(value: Json) -> Environment:
    """The reverse of `environment_to_json`."""
    lock, intent, operation = value.get("lock"), value.get("intent"), value.get("operation")
    return Environment(
        uid=value["uid"],
        name=value["name"],
        owner=value["owner"],
        generation=int(value["generation"]),
        created_at=moment(value["createdAt"]),
        spec=spec_from_json(value["spec"]),
        labels=value.get("labels", {}),
        resolved=resolved_from_json(value["resolved"]),
        phase=Phase(value["phase"]),
        observed_generation=int(value.get("observedGeneration", 0)),
        lock=Lock(lock["operation"], moment(lock["since"])) if lock else None,
        intent=Intent(intent["operation"], OperationKind(intent["kind"]), moment(intent["at"]), intent["by"])
        if intent
        else None,
        operation=operation_from_json(operation) if operation else None,
        conditions={name: condition_from_json(c) for name, c in value.get("conditions", {}).items()},
        facts=value.get("facts", {}),
        deleted_at=_moment(value.get("deletedAt")),
        expires_at=_moment(value.get("expiresAt")),
    )
