"""Pods as the workload controllers make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.objects import (
    PODS,
    Obj,
    clone,
    name_of,
    namespace_of,
    owner_reference,
)

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.controllers.context import Context

_FROM_TEMPLATE = ("labels", "annotations", "finalizers")
_DAEMON_TOLERATIONS = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


def daemon_tolerations(spec: Obj) -> list[Obj]:
    """What pods of a DaemonSet tolerate on top of their template."""
    conditions = [*_DAEMON_TOLERATIONS, *([("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else [])]
    return [{"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect} for key, effect in conditions]


def pinned_node(pod: Obj) -> str:
    """The node a DaemonSet's pod is meant for."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms") or []
    names = [v for term in terms for field in term.get("matchFields") or () for v in field["values"]]
    return str(pod["spec"].get("nodeName") or (names[0] if names else ""))


def _pin(spec: Obj, node: str) -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [term]}
    spec.setdefault("tolerations", []).extend(daemon_tolerations(spec))


def create_pod(
    context: Context, owner: Obj, *, name: str = "", node: str = "", labels: dict[str, str] | None = None
) -> Obj | None:
    """A pod of the owner's template, with the Event that tells of it; None if admission refused it."""
    template: Obj = clone(owner["spec"]["template"])
    meta = {k: v for k, v in template["metadata"].items() if k in _FROM_TEMPLATE}
    meta["labels"] = {**meta.get("labels", {}), **(labels or {})}
    meta["ownerReferences"] = [owner_reference(owner)]
    if name:
        meta["name"] = name
    else:
        meta["generateName"] = f"{name_of(owner)}-"
    if node:
        _pin(template["spec"], node)
    component = f"{owner['kind'].lower()}-controller"
    if owner["kind"] == "DaemonSet":
        component = "daemonset-controller"
    try:
        pod = context.create(PODS, namespace_of(owner), {"metadata": meta, "spec": template["spec"]})
    except ApiError as error:
        context.record(owner, "Warning", "FailedCreate", f"Error creating: {error.message}", component)
        raise
    text = f"Created pod: {name_of(pod)}"
    if owner["kind"] == "StatefulSet":
        text = f"create Pod {name_of(pod)} in StatefulSet {name_of(owner)} successful"
    context.record(owner, "Normal", "SuccessfulCreate", text, component)
    return pod


def delete_pod(context: Context, owner: Obj, pod: Obj) -> None:
    """Delete a pod, with the Event that tells of it."""
    context.remove(PODS, pod)
    component = f"{owner['kind'].lower()}-controller"
    context.record(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", component)
