"""What every controller works with."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    EVENTS,
    NAMESPACES,
    PODS,
    Key,
    Obj,
    is_terminating,
    name_of,
    namespace_of,
    now,
    uid_of,
)
from springboard_local.kubernetes.embedded.registry import CONTROLLER_MANAGER, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.kubernetes.embedded.controllers.manager import Manager
    from springboard_local.kubernetes.embedded.faults import Faults
    from springboard_local.kubernetes.embedded.registry import Registry
    from springboard_local.kubernetes.embedded.store import Store

_EVENTS_KEPT = 2000
_KUBELET = "kubelet"


@dataclass
class Context:
    """Store, write path, queue and faults of one cluster."""

    store: Store
    registry: Registry
    manager: Manager
    faults: Faults
    # Names of Events by what they say, so that one that comes again is counted.
    _recorded: dict[tuple[str, str, str], str] = dataclasses.field(default_factory=dict)

    def create(self, key: Key, namespace: str, obj: Obj, manager: str = CONTROLLER_MANAGER) -> Obj:
        """Create an object as a controller does."""
        resource = self.registry.resource(key)
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return self.registry.create(resource, namespace, full, Write(manager))

    def remove(self, key: Key, obj: Obj, policy: str = "Background") -> None:
        """Delete an object as a controller does."""
        self.registry.remove(key, obj, policy)

    def pods_of(self, owner: Obj) -> list[Obj]:
        """The pods that `owner` manages."""
        places = (place for place in self.store.owned_by(uid_of(owner)) if place[0] == PODS)
        return [pod for place in places if (pod := self.store.get(*place))]

    def edit_pod_status(self, pod: Obj, change: Callable[[Obj], object]) -> None:
        """Write the status of a pod as its kubelet does."""
        self.registry.edit_status(PODS, pod, change, _KUBELET)

    def end_pod(self, pod: Obj) -> None:
        """Say that a pod's containers have ended; without finalizers that is the end of the object, too."""
        self.registry.edit(
            PODS, pod, lambda p: p["metadata"].__setitem__("deletionGracePeriodSeconds", 0), manager=_KUBELET
        )
        left = self.store.get(PODS, namespace_of(pod), name_of(pod))
        if left and uid_of(left) == uid_of(pod) and not left["metadata"].get("finalizers"):
            self.store.remove(PODS, left)

    def record(
        self, about: Obj, kind: str, reason: str, message: str, component: str, *, field: str = "", host: str = ""
    ) -> None:
        """Write an Event, or count one that is there already. `kind` is Normal or Warning."""
        namespace = namespace_of(about) or "default"
        space = self.store.get(NAMESPACES, "", namespace)
        if space is None or is_terminating(space):
            return
        same = (uid_of(about), reason, message)
        found = self.store.get(EVENTS, namespace, self._recorded.get(same, ""))
        if found is not None:
            counted = {**found, "count": found["count"] + 1, "lastTimestamp": now()}
            self.store.replace(EVENTS, {**counted, "metadata": dict(found["metadata"])})
            return
        self._forget_old_events()
        source = {k: v for k, v in (("component", component), ("host", host)) if v}
        event = event_about(about, namespace, kind=kind, reason=reason, message=message, source=source, field=field)
        if component == "default-scheduler":  # it writes events.k8s.io/v1, which has no source
            event["source"] = {}
        self._recorded[same] = name_of(self.store.create(EVENTS, event))

    def _forget_old_events(self) -> None:
        events = self.store.objects[EVENTS]
        if len(events) >= _EVENTS_KEPT:  # a genuine server forgets them after an hour
            self.store.remove(EVENTS, next(iter(events.values())))
        if len(self._recorded) >= 2 * _EVENTS_KEPT:
            names = {name for _, name in events}
            self._recorded = {what: name for what, name in self._recorded.items() if name in names}


def event_about(
    about: Obj, namespace: str, *, kind: str, reason: str, message: str, source: Obj, field: str = ""
) -> Obj:
    """An Event that nobody has counted yet; `field` is the part of the object that it is about."""
    meta = about["metadata"]
    involved = {
        "kind": about["kind"],
        "namespace": meta.get("namespace"),
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": about["apiVersion"],
        "resourceVersion": meta.get("resourceVersion"),
        "fieldPath": field,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name_of(about)}.{time.time_ns():x}", "namespace": namespace},
        "involvedObject": {k: v for k, v in involved.items() if v},
        "reason": reason,
        "message": message,
        "source": source,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
        "type": kind,
        "eventTime": None,
        "reportingComponent": source.get("component", ""),
        "reportingInstance": source.get("host", ""),
    }
