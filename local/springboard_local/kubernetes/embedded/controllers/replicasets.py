"""ReplicaSets: as many pods as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.pods import create_pod, delete_pod
from springboard_local.kubernetes.embedded.objects import (
    PODS,
    REPLICA_SETS,
    Obj,
    controller_of,
    is_active,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    moment,
    name_of,
    namespace_of,
    node_of,
    replicas_of,
    uid_of,
    with_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.kubelet import Kubelets
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


class ReplicaSets:
    """Creates and deletes pods, and counts them."""

    def __init__(self, context: Context, kubelets: Kubelets) -> None:
        self._context = context
        self._kubelets = kubelets

    def items(self, change: Change) -> Iterable[Item]:
        """ReplicaSets, and those whose pods changed."""
        if change.key == REPLICA_SETS:
            if change.type != "DELETED":
                yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == PODS:
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "ReplicaSet":
                yield namespace_of(change.obj), owner["name"]

    def reconcile(self, namespace: str, name: str) -> None:
        """Create what is missing, delete what is too many, count."""
        replica_set = self._context.store.get(REPLICA_SETS, namespace, name)
        if replica_set is None:
            return
        if not is_terminating(replica_set):
            self._resize(replica_set)
        self._write_status(replica_set)

    def _active(self, replica_set: Obj) -> list[Obj]:
        return [pod for pod in self._context.pods_of(replica_set) if is_active(pod)]

    def _resize(self, replica_set: Obj) -> None:
        pods = self._active(replica_set)
        surplus = len(pods) - replicas_of(replica_set)
        for _ in range(-surplus):
            create_pod(self._context, replica_set)
        if surplus > 0:
            neighbours: dict[str, int] = {}
            for pod in pods:
                neighbours[node_of(pod)] = neighbours.get(node_of(pod), 0) + 1
            for pod in sorted(pods, key=lambda p: _deletion_rank(p, neighbours[node_of(p)]))[:surplus]:
                delete_pod(self._context, replica_set, pod)

    def _write_status(self, replica_set: Obj) -> None:
        pods = self._active(replica_set)
        ready = [pod for pod in pods if is_ready(pod)]
        least = replica_set["spec"].get("minReadySeconds", 0)
        waits = [max(0.0, least - self._kubelets.ready_for(uid_of(pod))) for pod in ready]
        labels = labels_of(replica_set["spec"]["template"]).items()
        counts = {
            "replicas": len(pods),
            "fullyLabeledReplicas": sum(labels <= labels_of(pod).items() for pod in pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "terminatingReplicas": sum(
                is_terminating(pod) and not is_finished(pod) for pod in self._context.pods_of(replica_set)
            ),
        }
        status = with_values(counts, always=("replicas", "terminatingReplicas"))
        status["observedGeneration"] = replica_set["metadata"]["generation"]
        self._context.registry.edit(
            REPLICA_SETS, replica_set, lambda s: s.__setitem__("status", status), subresource="status"
        )
        if any(waits):
            namespace, name = namespace_of(replica_set), name_of(replica_set)
            self._context.manager.later(self, namespace, name, min(w for w in waits if w))


def _deletion_rank(pod: Obj, neighbours: int) -> tuple[bool, int, bool, int, float]:
    """What is deleted first: not bound, not running, not ready, most crowded, youngest."""
    phase = _PHASES.get(pod.get("status", {}).get("phase", ""), 2)
    born = moment(pod["metadata"]["creationTimestamp"]).timestamp()
    return bool(node_of(pod)), phase, is_ready(pod), -neighbours, -born
