"""The record as the JSON that GET answers, for people, programs and `springboard get` alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.components.table import ROWS
from springboard.record import text
from springboard.spec import API_VERSION, KIND
from springboard.versions import known_dates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from springboard.record import Condition, Environment, Operation
    from springboard.site import Site

_SUMMARY = ("Ready", "Available", "Progressing", "Drifted")
# Facts of the cluster that people and `springboard kubeconfig` need; the certificate authority is public.
_CLUSTER = (
    "name",
    "arn",
    "endpoint",
    "certificateAuthority",
    "version",
    "platformVersion",
    "vpcId",
    "subnetIds",
    "securityGroupId",
)


def environment(record: Environment, site: Site) -> dict[str, Any]:
    """The whole environment: what was declared, and how it stands."""
    metadata = {
        "name": record.name,
        "uid": record.uid,
        "owner": record.owner,
        "generation": record.generation,
        "creationTimestamp": text(record.created_at),
        "labels": dict(record.labels),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": declared(record)["spec"],
        "status": status(record, site),
    }


def declared(record: Environment) -> dict[str, Any]:
    """What the user may send back: the document without anything that the server adds."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": record.name, "labels": dict(record.labels)},
        "spec": record.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def status(record: Environment, site: Site) -> dict[str, Any]:
    """How it stands."""
    apps = _apps(record)
    return _without_empty(
        {
            "phase": record.phase.value,
            "observedGeneration": record.observed_generation,
            "conditions": conditions(record),
            "operation": operation(record.operation) if record.operation else None,
            "intent": {
                "kind": record.intent.kind.value,
                "operation": record.intent.operation,
                "at": text(record.intent.at),
            }
            if record.intent
            else None,
            "url": apps[0]["url"] if apps else None,
            "cluster": _cluster(record),
            "nodeGroups": _listed(record, "node_groups", "groups", [group.name for group in record.spec.node_groups]),
            "addons": _listed(record, "addons", "addons", []),
            "apps": apps,
            "drift": _drift(record),
            "resolved": {
                "version": record.resolved.version,
                "architecture": record.resolved.architecture,
                "hostedZoneId": record.resolved.zone_id,
                "zone": record.resolved.zone_name,
            },
            "region": site.region,
            "expiresAt": text(record.expires_at) if record.expires_at else None,
            "deletedAt": text(record.deleted_at) if record.deleted_at else None,
        }
    )


def conditions(record: Environment) -> list[dict[str, Any]]:
    """The four that sum up, then one per component in reading order; Unknown where nothing was said yet."""
    order = [*_SUMMARY, *(row.condition for row in ROWS)]
    listed = [
        _condition(record.conditions[name]) if name in record.conditions else _unknown(name, record) for name in order
    ]
    return listed + [_condition(c) for name, c in sorted(record.conditions.items()) if name not in order]


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": text(condition.last_transition_time),
        "observedGeneration": condition.observed_generation,
    }


def _unknown(name: str, record: Environment) -> dict[str, Any]:
    """A condition that nobody has written: nothing is known, except that work is asked for."""
    since = record.created_at
    if record.operation is not None:
        since = record.operation.requested_at
    progressing = name == "Progressing" and record.lock is not None
    return {
        "type": name,
        "status": "True" if progressing else "Unknown",
        "reason": "OperationPending" if progressing else "NotObserved",
        "message": "",
        "lastTransitionTime": text(since),
        "observedGeneration": 0,
    }


def operation(run: Operation) -> dict[str, Any]:
    """One operation with its steps in the order in which they began."""
    steps = sorted(run.steps.values(), key=lambda step: (step.started_at, step.name))
    return _without_empty(
        {
            "id": run.id,
            "kind": run.kind.value,
            "status": run.status.value,
            "generation": run.generation,
            "attempt": run.attempt,
            "requestedAt": text(run.requested_at),
            "requestedBy": run.requested_by,
            "startedAt": _time(run.started_at),
            "endedAt": _time(run.ended_at),
            "steps": [
                _without_empty(
                    {
                        "name": step.name,
                        "startedAt": text(step.started_at),
                        "endedAt": _time(step.ended_at),
                        "error": step.error,
                    }
                )
                for step in steps
            ],
            "failure": {"step": run.failure.step, "cause": run.failure.cause, "remedy": run.failure.remedy}
            if run.failure
            else None,
        }
    )


def _time(at: datetime | None) -> str | None:
    return text(at) if at else None


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None and value != ""}


def _cluster(record: Environment) -> dict[str, Any]:
    facts = record.facts.get("cluster", {})
    shown = {key: facts[key] for key in _CLUSTER if facts.get(key)}
    if shown:
        dates = known_dates(str(shown.get("version", "")))
        if dates:
            shown["support"] = {
                "type": record.spec.cluster.support_type,
                "endOfStandardSupport": dates["standardEnds"],
                "endOfExtendedSupport": dates["extendedEnds"],
            }
    return shown


def _apps(record: Environment) -> list[dict[str, Any]]:
    seen = {
        str(app.get("name")): app for app in record.facts.get("workload", {}).get("apps", ()) if isinstance(app, dict)
    }
    return [
        {
            **seen.get(app.name, {}),
            "name": app.name,
            "url": f"https://{app.host}",
            "host": app.host,
            "image": app.image,
            **({"digest": app.digest} if app.digest else {}),
        }
        for app in record.resolved.apps
    ]


def _listed(record: Environment, component: str, key: str, declared_names: list[str]) -> list[dict[str, Any]]:
    """What a component learned of each of its things; by name alone where it learned nothing yet."""
    learned = record.facts.get(component, {}).get(key)
    if isinstance(learned, list):
        return [dict(item) for item in learned if isinstance(item, dict)]
    return [{"name": name} for name in declared_names]


def _drift(record: Environment) -> list[Any]:
    drift = record.facts.get("drift", {}).get("changes", [])
    return list(drift) if isinstance(drift, list) else []
