"""kind: Plan, what an operation would do, from what every component answered when it was asked to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.components.manifests import timing
from springboard.components.table import ROWS
from springboard.spec import API_VERSION
from springboard.store.codec import spec_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from springboard.record import Environment


def document(
    wanted: Environment,
    present: Environment | None,
    answers: Mapping[str, Mapping[str, Any]],
    *,
    warnings: tuple[str, ...] = (),
    removal: bool = False,
) -> dict[str, Any]:
    """The plan. `changes` has every change of every component in reading order; `unknown` says who did not answer.

    Only where both are empty does nothing differ.
    """
    known = {row.name for row in ROWS}
    order = [row.name for row in ROWS if row.name in answers] + sorted(set(answers) - known)
    changes = [{"component": name, **change} for name in order for change in answers[name].get("changes", ())]
    unknown = [
        {"component": name, "reason": str(answers[name]["unknown"])} for name in order if "unknown" in answers[name]
    ]
    plan: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "Plan",
        "metadata": {"name": wanted.name},
        "action": _action(present, removal=removal),
        "changes": changes,
        "unknown": unknown,
        "verdicts": {name: answers[name]["verdict"] for name in order if "verdict" in answers[name]},
        "resolved": {
            "version": wanted.resolved.version,
            "architecture": wanted.resolved.architecture,
            "zone": wanted.resolved.zone_name,
            "apps": [
                {"name": app.name, "host": app.host, "image": app.image, "nodePort": app.node_port}
                for app in wanted.resolved.apps
            ],
        },
    }
    if not removal:
        plan["timing"] = [_times(wanted, number) for number in range(len(wanted.resolved.apps))]
    if present is not None:
        plan["metadata"]["generation"] = present.generation
        plan["spec"] = [] if removal else _declared(present, wanted)
    if warnings:
        plan["warnings"] = list(warnings)
    return plan


def _declared(present: Environment, wanted: Environment) -> list[dict[str, Any]]:
    """The fields of spec and labels that differ, {field, from, to}; values of variables are never shown."""
    before = {"metadata": {"labels": dict(present.labels)}, "spec": spec_to_json(present.spec)}
    after = {"metadata": {"labels": dict(wanted.labels)}, "spec": spec_to_json(wanted.spec)}
    old, new = _leaves(before), _leaves(after)
    return [
        {"field": key} if ".env." in key else {"field": key, "from": old.get(key), "to": new.get(key)}
        for key in sorted({**old, **new})
        if old.get(key) != new.get(key)
    ]


def _leaves(value: Any, path: str = "") -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Every scalar under its path, as users write it: spec.apps[0].image."""
    if isinstance(value, dict):
        parts = ((f"{path}.{key}" if path else key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        parts = ((f"{path}[{number}]", inner) for number, inner in enumerate(value))
    else:
        return {path: value}
    return {key: leaf for part, inner in parts for key, leaf in _leaves(inner, part).items()}


def _times(wanted: Environment, number: int) -> dict[str, Any]:
    """The chain of times of one application, and which of its links don't hold."""
    chain = timing(wanted.spec.apps[number], wanted.spec.ingress.idle_timeout_seconds)
    return {
        "name": wanted.resolved.apps[number].name,
        "idleTimeoutSeconds": chain.idle_timeout,
        "keepAliveSeconds": chain.keep_alive,
        "preStopSeconds": chain.pre_stop,
        "shutdownSeconds": chain.shutdown,
        "terminationGracePeriodSeconds": chain.grace,
        "startupSeconds": chain.startup,
        "broken": chain.broken,
    }


def _action(present: Environment | None, *, removal: bool) -> str:
    if removal:
        return "Delete"
    return "Create" if present is None else "Update"
