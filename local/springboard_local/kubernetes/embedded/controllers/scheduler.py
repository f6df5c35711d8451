"""The scheduler: which node a pod goes to, and why none will do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    NODES,
    PODS,
    Obj,
    controller_of,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    node_of,
    set_condition,
)
from springboard_local.kubernetes.embedded.quantities import parse_quantity
from springboard_local.kubernetes.embedded.selectors import matches, matches_expression

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

_COMPONENT = "default-scheduler"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"
_SPREAD = "node(s) didn't match pod topology spread constraints"
_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
_POD_AFFINITY = "node(s) didn't match pod affinity rules"
_TAINTS = "node(s) had untolerated taint(s)"
_CORDONED = "node(s) were unschedulable"
_TOO_MANY = "Too many pods"
_RESOURCES = ("cpu", "memory")


def tolerates(taint: Obj, tolerations: Iterable[Obj]) -> Obj | None:
    """The toleration that covers a taint, if there is one."""
    for toleration in tolerations:
        if toleration.get("effect") and toleration["effect"] != taint["effect"]:
            continue
        if toleration.get("operator", "Equal") == "Exists":
            if toleration.get("key") in (None, "", taint["key"]):
                return toleration
        elif toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return toleration
    return None


def admits_node(spec: Obj, node: Obj) -> str:
    """Why a pod can't be on a node whatever else runs there; empty if it can."""
    labels = labels_of(node)
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return AFFINITY
    required = (
        (spec.get("affinity") or {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    )
    if required and not any(_matches_term(term, node) for term in required.get("nodeSelectorTerms") or ()):
        return AFFINITY
    tolerations = spec.get("tolerations") or []
    cordon = {"key": _UNSCHEDULABLE, "effect": "NoSchedule"}
    if node.get("spec", {}).get("unschedulable") and not tolerates(cordon, tolerations):
        return _CORDONED
    for taint in node.get("spec", {}).get("taints") or ():
        if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(taint, tolerations):
            return _TAINTS
    return ""


def _matches_term(term: Obj, node: Obj) -> bool:
    by_label = all(matches_expression(e, labels_of(node)) for e in term.get("matchExpressions") or ())
    by_field = all(matches_expression(f, {"metadata.name": name_of(node)}) for f in term.get("matchFields") or ())
    return by_label and by_field


def requested(spec: Obj, resource: str) -> Decimal:
    """What the containers of a pod ask for."""
    total = Decimal(0)
    for container in spec.get("containers") or ():
        amount = ((container.get("resources") or {}).get("requests") or {}).get(resource)
        total += parse_quantity(amount) if amount is not None else 0
    return total


@dataclass
class _Usage:
    pods: list[Obj] = field(default_factory=list)
    requests: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(_RESOURCES, Decimal(0)))


class _Round:
    """One look at the whole cluster, for one pod."""

    def __init__(self, context: Context, pod: Obj) -> None:
        self._pod = pod
        self.nodes = context.store.list(NODES)
        self._usage: dict[str, _Usage] = {name_of(node): _Usage() for node in self.nodes}
        for other in context.store.objects[PODS].values():
            usage = self._usage.get(node_of(other))
            if usage is not None and not is_finished(other):
                usage.pods.append(other)
                for resource in _RESOURCES:
                    usage.requests[resource] += requested(other["spec"], resource)

    def refusals(self, node: Obj) -> list[str]:
        """Why the pod can't go to the node; every resource that is short is named."""
        spec = self._pod["spec"]
        reason = admits_node(spec, node)
        if reason:
            return [reason]
        short = self._shortages(node)
        if short:
            return short
        reason = self._spread_refusal(node) or self._affinity_refusal(node)
        return [reason] if reason else []

    def _shortages(self, node: Obj) -> list[str]:
        allocatable, usage = node.get("status", {}).get("allocatable") or {}, self._usage[name_of(node)]
        short = []
        if len(usage.pods) + 1 > parse_quantity(allocatable.get("pods", 110)):
            short.append(_TOO_MANY)
        for resource in _RESOURCES:
            asked = requested(self._pod["spec"], resource)
            if asked and asked + usage.requests[resource] > parse_quantity(allocatable.get(resource, 0)):
                short.append(f"Insufficient {resource}")
        return short

    # Spreading

    def _domains(self, key: str, selector: Obj | None) -> Counter[str]:
        """Matching pods per value of a node label, among the nodes the pod may be on."""
        counts: Counter[str] = Counter()
        for node in self.nodes:
            value = labels_of(node).get(key)
            if value is None or admits_node(self._pod["spec"], node) == AFFINITY:
                continue
            counts[value] += sum(self._counts(other, selector) for other in self._usage[name_of(node)].pods)
        return counts

    def _counts(self, other: Obj, selector: Obj | None) -> bool:
        same_space = namespace_of(other) == namespace_of(self._pod)
        return same_space and not is_terminating(other) and matches(selector, labels_of(other))

    def _spread_refusal(self, node: Obj) -> str:
        for constraint in self._pod["spec"].get("topologySpreadConstraints") or ():
            if constraint.get("whenUnsatisfiable") != "DoNotSchedule":
                continue
            value = labels_of(node).get(constraint["topologyKey"])
            if value is None:
                return f"{_SPREAD} (missing required label)"
            counts = self._domains(constraint["topologyKey"], _spread_selector(constraint, self._pod))
            if counts[value] + 1 - min(counts.values()) > constraint["maxSkew"]:
                return _SPREAD
        return ""

    def _affinity_refusal(self, node: Obj) -> str:
        affinity = self._pod["spec"].get("affinity") or {}
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        for term in (affinity.get("podAntiAffinity") or {}).get(required) or ():
            value = labels_of(node).get(term["topologyKey"])
            if value is not None and self._domains(term["topologyKey"], term.get("labelSelector"))[value]:
                return _ANTI_AFFINITY
        for term in (affinity.get("podAffinity") or {}).get(required) or ():
            counts = self._domains(term["topologyKey"], term.get("labelSelector"))
            first = not sum(counts.values()) and matches(term.get("labelSelector"), labels_of(self._pod))
            if not counts[labels_of(node).get(term["topologyKey"], "")] and not first:
                return _POD_AFFINITY
        return ""

    def score(self, node: Obj) -> tuple[int, int, Decimal, str]:
        """Lower is better: spread as the pod asks, then off its siblings, then off busy nodes."""
        wished = 0
        for constraint in self._pod["spec"].get("topologySpreadConstraints") or ():
            value = labels_of(node).get(constraint["topologyKey"], "")
            wished += self._domains(constraint["topologyKey"], _spread_selector(constraint, self._pod))[value]
        owner, usage = controller_of(self._pod), self._usage[name_of(node)]
        siblings = 0
        if owner:
            references = (controller_of(other) for other in usage.pods)
            siblings = sum(r is not None and r["uid"] == owner["uid"] for r in references)
        return wished, siblings, usage.requests["cpu"] + Decimal(len(usage.pods)) / 10, name_of(node)


def _spread_selector(constraint: Obj, pod: Obj) -> Obj | None:
    selector: Obj | None = constraint.get("labelSelector")
    keys = constraint.get("matchLabelKeys") or ()
    extra = {k: labels_of(pod)[k] for k in keys if k in labels_of(pod)}
    if selector is None or not extra:
        return selector
    return {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **extra}}


class Scheduler:
    """Binds pods to nodes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def items(self, change: Change) -> Iterable[Item]:
        """Unbound pods; all of them when room may have come."""
        if change.key == PODS and change.type != "DELETED" and not is_finished(change.obj):
            if not node_of(change.obj):
                yield namespace_of(change.obj), name_of(change.obj)
            return
        freed = change.key == PODS and (change.type == "DELETED" or is_finished(change.obj))
        if freed or (change.key == NODES and _opens(change)):
            yield from self.waiting()

    def waiting(self) -> Iterable[Item]:
        """All pods without a node."""
        for pod in self._context.store.objects[PODS].values():
            if not node_of(pod) and not is_terminating(pod):
                yield namespace_of(pod), name_of(pod)

    def refresh(self) -> None:
        """Faults have changed."""
        for item in list(self.waiting()):
            self._context.manager.enqueue(self, *item)

    def reconcile(self, namespace: str, name: str) -> None:
        """Find a node for a pod, or say why there is none."""
        pod = self._context.store.get(PODS, namespace, name)
        if pod is None or node_of(pod) or is_terminating(pod) or pod["spec"].get("schedulingGates"):
            return
        look = _Round(self._context, pod)
        refusals: Counter[str] = Counter()
        fitting: list[Obj] = []
        for node in look.nodes:
            reasons = look.refusals(node)
            refusals.update(reasons)
            if not reasons:
                fitting.append(node)
        fault = self._context.faults.of_pod(namespace, name)
        if fault and fault.reason == "Unschedulable":
            self._refuse(pod, fault.message or f"0/{len(look.nodes)} nodes are available.")
        elif fitting:
            self._bind(pod, min(fitting, key=look.score))
        else:
            self._refuse(pod, _explain(len(look.nodes), refusals))

    def _bind(self, pod: Obj, node: Obj) -> None:
        def change(bound: Obj) -> None:
            bound["spec"]["nodeName"] = name_of(node)
            if self._context.registry.catalog.version not in _WITHOUT_TOPOLOGY:
                place = {k: v for k, v in labels_of(node).items() if k in _TOPOLOGY}
                bound["metadata"].setdefault("labels", {}).update(place)
            set_condition(bound["status"], "PodScheduled", "True")

        bound = self._context.registry.edit(PODS, pod, change, manager="kube-scheduler")
        if bound:
            message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {name_of(node)}"
            self._context.record(bound, "Normal", "Scheduled", message, _COMPONENT)

    def _refuse(self, pod: Obj, message: str) -> None:
        def change(status: Obj) -> None:
            set_condition(status, "PodScheduled", "False", "Unschedulable", message)

        self._context.registry.edit_status(PODS, pod, change, "kube-scheduler")
        self._context.record(pod, "Warning", "FailedScheduling", message, _COMPONENT)


# A binding copies these labels of the node to the pod, from 1.35 on.
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_WITHOUT_TOPOLOGY = ("1.34",)


def _opens(change: Change) -> bool:
    """Whether a change of a node may make room."""
    if change.previous is None or change.type == "DELETED":
        return True
    before, after = change.previous, change.obj
    if before.get("spec") != after.get("spec") or labels_of(before) != labels_of(after):
        return True
    allocatable = [n.get("status", {}).get("allocatable") for n in (before, after)]
    return is_ready(before) != is_ready(after) or allocatable[0] != allocatable[1]


def _explain(nodes: int, refusals: Counter[str]) -> str:
    if not nodes:
        return "no nodes available to schedule pods"
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in refusals.items()))
    short = sum(c for r, c in refusals.items() if r.startswith("Insufficient") or r == _TOO_MANY)
    hopeless = nodes - min(nodes, short)
    parts = []
    if min(nodes, short):
        parts.append(f"{min(nodes, short)} No preemption victims found for incoming pod")
    if hopeless:
        parts.append(f"{hopeless} Preemption is not helpful for scheduling")
    preemption = f"0/{nodes} nodes are available: {', '.join(sorted(parts))}."
    return f"0/{nodes} nodes are available: {reasons}. preemption: {preemption}"
