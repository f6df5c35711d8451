"""DaemonSets: a pod on every node that admits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.deployments import template_hash
from springboard_local.kubernetes.embedded.controllers.pods import (
    create_pod,
    daemon_tolerations,
    delete_pod,
    pinned_node,
)
from springboard_local.kubernetes.embedded.controllers.scheduler import admits_node
from springboard_local.kubernetes.embedded.objects import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    NODES,
    PODS,
    Obj,
    controller_of,
    is_active,
    is_controlled_by,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    with_values,
)
from springboard_local.kubernetes.embedded.quantities import scaled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

_HASH_LABEL = "controller-revision-hash"
_ALWAYS = ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady")


class DaemonSets:
    """Creates, replaces and counts the pods of DaemonSets."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def items(self, change: Change) -> Iterable[Item]:
        """DaemonSets, those whose pods changed, and all when a node changes."""
        if change.key == DAEMON_SETS and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == PODS:
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "DaemonSet":
                yield namespace_of(change.obj), owner["name"]
        elif change.key == NODES:
            yield from ((namespace_of(d), name_of(d)) for d in self._store.list(DAEMON_SETS))

    def reconcile(self, namespace: str, name: str) -> None:
        """One pod per fitting node, of the newest template as far as the update strategy lets."""
        daemon_set = self._store.get(DAEMON_SETS, namespace, name)
        if daemon_set is None or is_terminating(daemon_set):
            return
        digest = template_hash(daemon_set["spec"]["template"], 0)
        self._ensure_revision(daemon_set, digest)
        nodes = self._fitting_nodes(daemon_set)
        current = self._place(daemon_set, nodes, digest)
        stale = [p for p in current if labels_of(p).get(_HASH_LABEL) != digest]
        self._replace_stale(daemon_set, current, stale, len(nodes))
        self._write_status(daemon_set, len(nodes), current, stale)

    def _fitting_nodes(self, daemon_set: Obj) -> list[str]:
        spec: Obj = dict(daemon_set["spec"]["template"]["spec"])
        conditions = ({"key": f"node.kubernetes.io/{c}", "operator": "Exists"} for c in ("not-ready", "unreachable"))
        extra = [*daemon_tolerations(spec), *conditions]
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *extra]
        return [name_of(node) for node in self._store.list(NODES) if not admits_node(spec, node)]

    def _place(self, daemon_set: Obj, nodes: list[str], digest: str) -> list[Obj]:
        placed: dict[str, list[Obj]] = {}
        leaving = set()
        for pod in self._context.pods_of(daemon_set):
            if is_active(pod):
                placed.setdefault(pinned_node(pod), []).append(pod)
            else:
                leaving.add(pinned_node(pod))
        for node, pods in placed.items():
            for pod in pods[1:] if node in nodes else pods:
                delete_pod(self._context, daemon_set, pod)
        generation = str(daemon_set["metadata"]["generation"])
        labels = {_HASH_LABEL: digest, "pod-template-generation": generation}
        for node in nodes:
            # The one that leaves holds its host ports until it is gone.
            if node not in placed and node not in leaving:
                pod_made = create_pod(self._context, daemon_set, node=node, labels=labels)
                placed[node] = [pod_made] if pod_made else []
        return [placed[node][0] for node in nodes if placed.get(node)]

    def _replace_stale(self, daemon_set: Obj, current: list[Obj], stale: list[Obj], wanted: int) -> None:
        strategy = daemon_set["spec"]["updateStrategy"]
        if not stale or strategy["type"] != "RollingUpdate":
            return
        most = max(1, scaled(strategy["rollingUpdate"].get("maxUnavailable", 1), wanted, round_up=True))
        missing = wanted - sum(map(is_ready, current))
        broken = [pod for pod in stale if not is_ready(pod)]
        serving = [pod for pod in stale if is_ready(pod)]
        for pod in [*broken, *serving[: max(0, most - missing)]]:
            delete_pod(self._context, daemon_set, pod)

    def _write_status(self, daemon_set: Obj, wanted: int, current: list[Obj], stale: list[Obj]) -> None:
        ready = sum(map(is_ready, current))
        counts = {
            "currentNumberScheduled": len(current),
            "desiredNumberScheduled": wanted,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberUnavailable": wanted - ready,
            "observedGeneration": daemon_set["metadata"]["generation"],
            "updatedNumberScheduled": len(current) - len(stale),
        }
        status = with_values(counts, always=_ALWAYS)
        self._context.registry.edit(
            DAEMON_SETS, daemon_set, lambda d: d.__setitem__("status", status), subresource="status"
        )

    def _ensure_revision(self, daemon_set: Obj, digest: str) -> None:
        """The history that `kubectl rollout history` and `undo` read."""
        namespace = namespace_of(daemon_set)
        mine = self._store.list(CONTROLLER_REVISIONS, namespace, lambda r: is_controlled_by(r, daemon_set))
        newest = max((r["revision"] for r in mine), default=0)
        found = next((r for r in mine if labels_of(r).get(_HASH_LABEL) == digest), None)
        if found is None:
            template = {**daemon_set["spec"]["template"], "$patch": "replace"}
            body: Obj = {
                "metadata": {
                    "name": f"{name_of(daemon_set)}-{digest}",
                    "labels": {**labels_of(daemon_set["spec"]["template"]), _HASH_LABEL: digest},
                    "ownerReferences": [owner_reference(daemon_set)],
                },
                "data": {"spec": {"template": template}},
                "revision": newest + 1,
            }
            self._context.create(CONTROLLER_REVISIONS, namespace, body)
        elif found["revision"] < newest:
            self._context.registry.edit(CONTROLLER_REVISIONS, found, lambda r: r.__setitem__("revision", newest + 1))
        surplus = len(mine) - daemon_set["spec"]["revisionHistoryLimit"]
        for old in sorted(mine, key=lambda r: int(r["revision"]))[: max(0, surplus)]:
            if old is not found:
                self._context.remove(CONTROLLER_REVISIONS, old)
