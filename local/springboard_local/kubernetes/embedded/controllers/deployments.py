"""Deployments: rolling updates, revisions, rollback, progress deadline."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.manager import TICK
from springboard_local.kubernetes.embedded.objects import (
    DEPLOYMENTS,
    LAST_APPLIED_ANNOTATION,
    REPLICA_SETS,
    REVISION_ANNOTATION,
    Obj,
    annotations_of,
    clone,
    controller_of,
    find_condition,
    is_controlled_by,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    now,
    owner_reference,
    replicas_of,
    set_condition,
    status_number,
    uid_of,
)
from springboard_local.kubernetes.embedded.quantities import scaled
from springboard_local.kubernetes.embedded.selectors import matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change

HASH_LABEL = "pod-template-hash"
_HASH_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_COMPONENT = "deployment-controller"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAX = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = (LAST_APPLIED_ANNOTATION, REVISION_ANNOTATION, _DESIRED, _MAX)


def template_hash(template: Obj, collisions: int) -> str:
    """Ten characters that stand for a pod template."""
    text = json.dumps(template, sort_keys=True) + (str(collisions) if collisions else "")
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(_HASH_ALPHABET))
        letters.append(_HASH_ALPHABET[rest])
    return "".join(letters)


def _bare_template(template: Obj) -> Obj:
    meta = {k: v for k, v in template["metadata"].items() if v}
    meta["labels"] = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    return {**template, "metadata": meta}


def _revision(replica_set: Obj) -> int:
    return int(annotations_of(replica_set).get(REVISION_ANNOTATION) or 0)


def _available(replica_set: Obj) -> int:
    return status_number(replica_set, "availableReplicas")


def max_surge(spec: Obj) -> int:
    """How many pods an update may add."""
    if spec["strategy"]["type"] != "RollingUpdate":
        return 0
    return scaled(spec["strategy"]["rollingUpdate"].get("maxSurge", 0), spec["replicas"], round_up=True)


def max_unavailable(spec: Obj) -> int:
    """How many pods may be missing during an update."""
    if spec["strategy"]["type"] != "RollingUpdate":
        return 0
    count = scaled(spec["strategy"]["rollingUpdate"].get("maxUnavailable", 0), spec["replicas"], round_up=False)
    if count == 0 and max_surge(spec) == 0:
        count = 1
    return min(int(spec["replicas"]), count)


class Deployments:
    """Keeps a ReplicaSet per revision and moves replicas between them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._progressed: dict[str, float] = {}

    def items(self, change: Change) -> Iterable[Item]:
        """Deployments, and those whose ReplicaSets changed."""
        if change.key == DEPLOYMENTS:
            if change.type == "DELETED":
                self._progressed.pop(uid_of(change.obj), None)
            else:
                yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == REPLICA_SETS:
            owner = controller_of(change.obj)
            if owner and owner["kind"] == "Deployment":
                yield namespace_of(change.obj), owner["name"]

    def reconcile(self, namespace: str, name: str) -> None:
        """One step of a rollout."""
        deployment = self._store.get(DEPLOYMENTS, namespace, name)
        if deployment is None or is_terminating(deployment):
            return
        self._adopt(deployment)
        sets = self._replica_sets(deployment)
        current = self._current(deployment, sets)
        if deployment["spec"].get("paused"):
            if current and not any(replicas_of(s) for s in sets if s is not current):
                self._scale(current, deployment, replicas_of(deployment))
        else:
            current = self._ensure_current(deployment, current, [s for s in sets if s is not current])
            self._roll(deployment, current)
        fresh = self._store.get(DEPLOYMENTS, namespace, name)
        if fresh:
            latest = self._current(fresh, self._replica_sets(fresh))
            self._write_status(fresh, latest, self._replica_sets(fresh))
            self._clean_up(fresh, latest)

    def _adopt(self, deployment: Obj) -> None:
        """Take the ReplicaSets that nobody owns and that the selector selects."""
        selector = deployment["spec"]["selector"]

        def is_orphan(each: Obj) -> bool:
            return controller_of(each) is None and not is_terminating(each) and matches(selector, labels_of(each))

        for orphan in self._store.list(REPLICA_SETS, namespace_of(deployment), is_orphan):
            self._context.registry.edit(
                REPLICA_SETS,
                orphan,
                lambda s: s["metadata"].setdefault("ownerReferences", []).append(owner_reference(deployment)),
            )

    def _replica_sets(self, deployment: Obj) -> list[Obj]:
        return self._store.list(REPLICA_SETS, namespace_of(deployment), lambda s: is_controlled_by(s, deployment))

    def _current(self, deployment: Obj, sets: list[Obj]) -> Obj | None:
        wanted = _bare_template(deployment["spec"]["template"])
        same = [s for s in sets if _bare_template(s["spec"]["template"]) == wanted]
        return min(same, key=lambda s: int(s["metadata"]["resourceVersion"]), default=None) if same else None

    def _ensure_current(self, deployment: Obj, current: Obj | None, old: list[Obj]) -> Obj:
        revision = max((_revision(s) for s in old), default=0) + 1
        if current is None:
            current = self._create_current(deployment, old, revision)
        elif _revision(current) < revision:
            current = self._renew(deployment, current, revision)
        copied = {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}
        if copied.items() - annotations_of(current).items():
            current = (
                self._context.registry.edit(
                    REPLICA_SETS, current, lambda s: s["metadata"].setdefault("annotations", {}).update(copied)
                )
                or current
            )
        shown = str(_revision(current))
        self._context.registry.edit(
            DEPLOYMENTS,
            deployment,
            lambda d: d["metadata"].setdefault("annotations", {}).__setitem__(REVISION_ANNOTATION, shown),
        )
        return current

    def _create_current(self, deployment: Obj, old: list[Obj], revision: int) -> Obj:
        spec = deployment["spec"]
        template: Obj = clone(spec["template"])
        digest = template_hash(template, status_number(deployment, "collisionCount"))
        template["metadata"].setdefault("labels", {})[HASH_LABEL] = digest
        selector: Obj = clone(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH_LABEL] = digest
        annotations = {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}
        annotations.update(self._sizes(deployment))
        annotations[REVISION_ANNOTATION] = str(revision)
        first = self._first_size(spec, old)
        body: Obj = {
            "metadata": {
                "name": f"{name_of(deployment)}-{digest}",
                "labels": template["metadata"]["labels"],
                "annotations": annotations,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": first, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            body["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        created = self._context.create(REPLICA_SETS, namespace_of(deployment), body)
        if first:
            message = f"Scaled up replica set {name_of(created)} from 0 to {first}"
            self._context.record(deployment, "Normal", "ScalingReplicaSet", message, _COMPONENT)
        self._note_progress(deployment, "NewReplicaSetCreated", f'Created new replica set "{name_of(created)}"')
        return created

    def _renew(self, deployment: Obj, current: Obj, revision: int) -> Obj:
        """An old revision is wanted again: it becomes the newest."""

        def change(replica_set: Obj) -> None:
            annotations = replica_set["metadata"].setdefault("annotations", {})
            history = "deployment.kubernetes.io/revision-history"
            before = annotations.get(REVISION_ANNOTATION)
            if before:
                annotations[history] = ",".join(filter(None, (annotations.get(history), before)))
            annotations[REVISION_ANNOTATION] = str(revision)

        renewed = self._context.registry.edit(REPLICA_SETS, current, change) or current
        self._note_progress(deployment, "FoundNewReplicaSet", f'Found new replica set "{name_of(renewed)}"')
        return renewed

    @staticmethod
    def _first_size(spec: Obj, old: list[Obj]) -> int:
        running = sum(replicas_of(s) for s in old)
        if spec["strategy"]["type"] == "Recreate":
            return 0 if running else int(spec["replicas"])
        room = int(spec["replicas"]) + max_surge(spec) - running
        return min(int(spec["replicas"]), max(0, room))

    @staticmethod
    def _sizes(deployment: Obj) -> dict[str, str]:
        wanted = replicas_of(deployment)
        return {_DESIRED: str(wanted), _MAX: str(wanted + max_surge(deployment["spec"]))}

    # Moving replicas

    def _roll(self, deployment: Obj, current: Obj) -> None:
        sets = self._replica_sets(deployment)
        old = [s for s in sets if uid_of(s) != uid_of(current)]
        live = [s for s in old if replicas_of(s)]
        if deployment["spec"]["strategy"]["type"] == "Recreate":
            for replica_set in live:
                self._scale(replica_set, deployment, 0)
            if not live and not any(self._context.pods_of(s) for s in old):
                self._scale(current, deployment, replicas_of(deployment))
        elif not self._scale_up(deployment, current, sets):
            self._scale_down(deployment, current, live, sets)

    def _scale_up(self, deployment: Obj, current: Obj, sets: list[Obj]) -> bool:
        wanted, size = replicas_of(deployment), replicas_of(current)
        if size == wanted:
            return False
        if size > wanted:
            self._scale(current, deployment, wanted)
            return True
        room = wanted + max_surge(deployment["spec"]) - sum(replicas_of(s) for s in sets)
        if room <= 0:
            return False
        self._scale(current, deployment, size + min(room, wanted - size))
        return True

    def _scale_down(self, deployment: Obj, current: Obj, live: list[Obj], sets: list[Obj]) -> None:
        least = replicas_of(deployment) - max_unavailable(deployment["spec"])
        missing = replicas_of(current) - _available(current)
        budget = sum(replicas_of(s) for s in sets) - least - missing
        if not live or budget <= 0:
            return
        live = sorted(live, key=lambda s: (s["metadata"]["creationTimestamp"], _revision(s)))
        sizes = {uid_of(s): replicas_of(s) for s in live}
        for replica_set in live:  # replicas that don't serve go first
            idle = min(budget, sizes[uid_of(replica_set)] - _available(replica_set))
            if idle > 0:
                sizes[uid_of(replica_set)] -= idle
                budget -= idle
        spare = sum(_available(s) for s in sets) - least
        for replica_set in live:
            serving = min(sizes[uid_of(replica_set)], _available(replica_set), max(0, spare))
            sizes[uid_of(replica_set)] -= serving
            spare -= serving
        for replica_set in live:
            self._scale(replica_set, deployment, sizes[uid_of(replica_set)])

    def _scale(self, replica_set: Obj, deployment: Obj, size: int) -> None:
        before, sizes = replicas_of(replica_set), self._sizes(deployment)

        def change(target: Obj) -> None:
            target["spec"]["replicas"] = size
            target["metadata"].setdefault("annotations", {}).update(sizes)

        self._context.registry.edit(REPLICA_SETS, replica_set, change)
        if before != size:
            direction = "up" if size > before else "down"
            message = f"Scaled {direction} replica set {name_of(replica_set)} from {before} to {size}"
            self._context.record(deployment, "Normal", "ScalingReplicaSet", message, _COMPONENT)

    def _clean_up(self, deployment: Obj, current: Obj | None) -> None:
        if current is None or not _is_complete(deployment, current):
            return
        idle = [
            s
            for s in self._replica_sets(deployment)
            if uid_of(s) != uid_of(current) and not replicas_of(s) and not status_number(s, "replicas")
        ]
        surplus = len(idle) - deployment["spec"]["revisionHistoryLimit"]
        for replica_set in sorted(idle, key=_revision)[: max(0, surplus)]:
            self._context.remove(REPLICA_SETS, replica_set)

    # Status

    def _note_progress(self, deployment: Obj, reason: str, message: str) -> None:
        self._start_deadline(deployment)
        self._context.registry.edit_status(
            DEPLOYMENTS,
            deployment,
            lambda s: set_condition(s, "Progressing", "True", reason, message, lastUpdateTime=now()),
        )

    def _start_deadline(self, deployment: Obj) -> None:
        manager = self._context.manager
        self._progressed[uid_of(deployment)] = manager.now()
        seconds = deployment["spec"]["progressDeadlineSeconds"]
        manager.later(self, namespace_of(deployment), name_of(deployment), seconds + 2 * TICK)

    def _write_status(self, deployment: Obj, current: Obj | None, sets: list[Obj]) -> None:
        counts = _counts(deployment, current, sets)
        before = {k: status_number(deployment, k) for k in counts}
        progressed = counts != before and _moved_on(before, counts)
        if progressed and current is not None and not _is_complete(deployment, current):
            self._start_deadline(deployment)
        late = self._is_late(deployment)

        def change(status: Obj) -> None:
            for field in counts:
                status.pop(field, None)
            status.update({k: v for k, v in counts.items() if v or k == "terminatingReplicas"})
            status["observedGeneration"] = deployment["metadata"]["generation"]
            _set_available(status, deployment, counts)
            if current is not None and not deployment["spec"].get("paused"):
                done = _is_complete(deployment, current)
                _set_progressing(status, current, complete=done, progressed=progressed, late=late)
            _set_paused(status, deployment)

        self._context.registry.edit_status(DEPLOYMENTS, deployment, change)

    def _is_late(self, deployment: Obj) -> bool:
        since = self._progressed.get(uid_of(deployment))
        if since is None:
            return False
        return self._context.manager.now() - since >= float(deployment["spec"]["progressDeadlineSeconds"]) + TICK


def _counts(deployment: Obj, current: Obj | None, sets: list[Obj]) -> dict[str, int]:
    def total(field: str) -> int:
        return sum(status_number(s, field) for s in sets)

    existing, available = total("replicas"), total("availableReplicas")
    return {
        "replicas": existing,
        "updatedReplicas": status_number(current, "replicas"),
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, max(existing, replicas_of(deployment)) - available),
        "terminatingReplicas": total("terminatingReplicas"),
    }


def _moved_on(before: dict[str, int], after: dict[str, int]) -> bool:
    grown = any(after[k] > before[k] for k in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    outdated = before["replicas"] - before["updatedReplicas"], after["replicas"] - after["updatedReplicas"]
    return grown or outdated[1] < outdated[0]


def _is_complete(deployment: Obj, current: Obj) -> bool:
    wanted = replicas_of(deployment)
    sizes = {replicas_of(current), status_number(current, "replicas"), _available(current)}
    return sizes == {wanted, status_number(deployment, "replicas")}


def _set_available(status: Obj, deployment: Obj, counts: dict[str, int]) -> None:
    least = replicas_of(deployment) - max_unavailable(deployment["spec"])
    if counts["availableReplicas"] >= least:
        reason, message, value = "MinimumReplicasAvailable", "Deployment has minimum availability.", "True"
    else:
        reason, message, value = (
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
            "False",
        )
    set_condition(status, "Available", value, reason, message, lastUpdateTime=now())


def _set_progressing(status: Obj, current: Obj, *, complete: bool, progressed: bool, late: bool) -> None:
    found = find_condition({"status": status}, "Progressing")
    reason, name = (found or {}).get("reason", ""), name_of(current)
    if complete:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", text, lastUpdateTime=now())
    elif progressed or found is None:
        text = f'ReplicaSet "{name}" is progressing.'
        set_condition(status, "Progressing", "True", "ReplicaSetUpdated", text, lastUpdateTime=now())
    elif late and reason not in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        text = f'ReplicaSet "{name}" has timed out progressing.'
        set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", text, lastUpdateTime=now())


def _set_paused(status: Obj, deployment: Obj) -> None:
    found = find_condition({"status": status}, "Progressing")
    reason = (found or {}).get("reason")
    if deployment["spec"].get("paused") and reason not in {"DeploymentPaused", "ProgressDeadlineExceeded"}:
        text = "Deployment is paused"
        set_condition(status, "Progressing", "Unknown", "DeploymentPaused", text, lastUpdateTime=now())
    elif not deployment["spec"].get("paused") and reason == "DeploymentPaused":
        text = "Deployment is resumed"
        set_condition(status, "Progressing", "Unknown", "DeploymentResumed", text, lastUpdateTime=now())
