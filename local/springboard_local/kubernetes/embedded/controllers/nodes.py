"""The node lifecycle: taints that follow conditions, pods that leave silent or vanished nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.manager import TICK
from springboard_local.kubernetes.embedded.controllers.scheduler import tolerates
from springboard_local.kubernetes.embedded.objects import (
    LEASES,
    NODES,
    PODS,
    Obj,
    find_condition,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    node_of,
    now,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OWN_TAINTS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE})


class Nodes:
    """Taints nodes and moves pods off them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._silent_since: dict[str, float] = {}

    def items(self, change: Change) -> Iterable[Item]:
        """Nodes, and those whose pods came while they were silent."""
        if change.key == NODES:
            yield "", name_of(change.obj)
        elif change.key == PODS and change.type != "DELETED" and node_of(change.obj):
            node = self._store.get(NODES, "", node_of(change.obj))
            if node is None or not is_ready(node):
                yield "", node_of(change.obj)

    def reconcile(self, namespace: str, name: str) -> None:
        """One node."""
        node = self._store.get(NODES, namespace, name)
        if node is None:
            self._silent_since.pop(name, None)
            self._remove_orphans(name)
            return
        self._set_taints(node)
        if is_ready(node):
            self._silent_since.pop(name, None)
        else:
            since = self._silent_since.setdefault(name, self._context.manager.now())
            self._evict_from(node, since)

    def _remove_orphans(self, name: str) -> None:
        """Pods of a node that is gone end at once: no kubelet will do it."""
        for pod in self._store.list(PODS, "", lambda p: node_of(p) == name):
            resource = self._context.registry.resource(PODS)
            self._context.registry.delete(resource, pod, {"gracePeriodSeconds": 0})
        lease = self._store.get(LEASES, "kube-node-lease", name)
        if lease:
            self._store.remove(LEASES, lease)

    def _set_taints(self, node: Obj) -> None:
        wanted: list[Obj] = []
        if node.get("spec", {}).get("unschedulable"):
            wanted.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
        if not is_ready(node):
            wanted += [{"key": _taint_key(node), "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        found: list[Obj] = node["spec"].get("taints") or []
        added = {(t["key"], t["effect"]): t.get("timeAdded") for t in found}
        taints = [t for t in found if t["key"] not in _OWN_TAINTS]
        for taint in wanted:
            time = added.get((taint["key"], taint["effect"])) or now()
            taints.append({**taint, "timeAdded": time})

        def change(target: Obj) -> None:
            target["spec"].pop("taints", None)
            if taints:
                target["spec"]["taints"] = taints

        self._context.registry.edit(NODES, node, change)

    def _evict_from(self, node: Obj, since: float) -> None:
        taint = {"key": _taint_key(node), "effect": "NoExecute"}
        elapsed = self._context.manager.now() - since + TICK
        waits = []
        for pod in self._store.list(PODS, "", lambda p: node_of(p) == name_of(node) and not is_terminating(p)):
            toleration = tolerates(taint, pod["spec"].get("tolerations") or ())
            seconds = 0.0 if toleration is None else toleration.get("tolerationSeconds")
            if seconds is None:
                continue
            if elapsed >= seconds:
                self._evict(pod)
            else:
                waits.append(seconds - elapsed)
        if waits:
            self._context.manager.later(self, "", name_of(node), min(waits) + 2 * TICK)

    def _evict(self, pod: Obj) -> None:
        text = f"Marking for deletion Pod {namespace_of(pod)}/{name_of(pod)}"
        self._context.record(pod, "Normal", "TaintManagerEviction", text, "taint-eviction-controller")
        self._context.remove(PODS, pod)


def _taint_key(node: Obj) -> str:
    """Silent nodes are unreachable, the others that aren't ready say so themselves."""
    ready = find_condition(node, "Ready")
    return UNREACHABLE if ready and ready["status"] == "Unknown" else NOT_READY
