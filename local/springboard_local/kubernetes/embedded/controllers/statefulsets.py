"""StatefulSets: pods with numbers, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.deployments import template_hash
from springboard_local.kubernetes.embedded.controllers.pods import create_pod, delete_pod
from springboard_local.kubernetes.embedded.objects import (
    PODS,
    STATEFUL_SETS,
    Obj,
    controller_of,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

_HASH_LABEL = "controller-revision-hash"


class StatefulSets:
    """Creates pods in order, and replaces them in the opposite one."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def items(self, change: Change) -> Iterable[Item]:
        """StatefulSets, and those whose pods changed."""
        if change.key == STATEFUL_SETS and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == PODS:
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "StatefulSet":
                yield namespace_of(change.obj), owner["name"]

    def reconcile(self, namespace: str, name: str) -> None:
        """One step up or down."""
        stateful_set = self._context.store.get(STATEFUL_SETS, namespace, name)
        if stateful_set is None or is_terminating(stateful_set):
            return
        digest = f"{name}-{template_hash(stateful_set['spec']['template'], 0)}"
        pods = {_ordinal(pod): pod for pod in self._context.pods_of(stateful_set)}
        if self._grow(stateful_set, pods, digest):
            self._shrink(stateful_set, pods, digest)
        self._write_status(stateful_set, digest)

    def _grow(self, stateful_set: Obj, pods: dict[int, Obj], digest: str) -> bool:
        """Create what is missing; whether all that is wanted is there."""
        ordered = stateful_set["spec"]["podManagementPolicy"] == "OrderedReady"
        for ordinal in range(replicas_of(stateful_set)):
            if ordinal not in pods:
                name = f"{name_of(stateful_set)}-{ordinal}"
                labels = {
                    _HASH_LABEL: digest,
                    "statefulset.kubernetes.io/pod-name": name,
                    "apps.kubernetes.io/pod-index": str(ordinal),
                }
                made = create_pod(self._context, stateful_set, name=name, labels=labels)
                if made:
                    pods[ordinal] = made
            if ordered and not is_ready(pods[ordinal]):
                return False
        return True

    def _shrink(self, stateful_set: Obj, pods: dict[int, Obj], digest: str) -> None:
        """Delete the last pod that is too many or of an old template; one at a time."""
        rolling = stateful_set["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        for ordinal in sorted(pods, reverse=True):
            pod = pods[ordinal]
            if is_terminating(pod):
                return
            stale = rolling and labels_of(pod).get(_HASH_LABEL) != digest
            if ordinal >= replicas_of(stateful_set) or stale:
                delete_pod(self._context, stateful_set, pod)
                return

    def _write_status(self, stateful_set: Obj, digest: str) -> None:
        pods = self._context.pods_of(stateful_set)
        updated = sum(labels_of(pod).get(_HASH_LABEL) == digest for pod in pods)
        ready = sum(map(is_ready, pods))
        before = stateful_set.get("status", {}).get("currentRevision", digest)
        status: Obj = {
            "availableReplicas": ready,
            "collisionCount": 0,
            "currentReplicas": updated,
            "currentRevision": digest if updated == len(pods) else before,
            "observedGeneration": stateful_set["metadata"]["generation"],
            "readyReplicas": ready,
            "replicas": len(pods),
            "updatedReplicas": updated,
            "updateRevision": digest,
        }
        self._context.registry.edit(
            STATEFUL_SETS, stateful_set, lambda s: s.__setitem__("status", status), subresource="status"
        )


def _ordinal(pod: Obj) -> int:
    return int(name_of(pod).rsplit("-", 1)[1])
