"""What nodes do for a genuine API server: they register, keep their leases, and run pods as the embedded lane's do.

The kubelets' state machine is the embedded lane's own (`embedded/controllers/kubelet.py`); only what it reads from and
writes to differs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import aiohttp

from springboard_local.kubernetes.embedded import bootstrap
from springboard_local.kubernetes.embedded.controllers.context import event_about
from springboard_local.kubernetes.embedded.controllers.kubelet import Kubelets
from springboard_local.kubernetes.embedded.controllers.manager import Manager
from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.objects import (
    EVENTS,
    LEASES,
    NODES,
    PODS,
    Obj,
    clone,
    is_ready,
    micro_now,
    name_of,
    namespace_of,
    now,
    uid_of,
)
from springboard_local.kubernetes.real.api import MERGE, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from springboard_local.clock import Clock
    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.embedded.faults import Faults
    from springboard_local.kubernetes.embedded.objects import Key
    from springboard_local.kubernetes.embedded.store import Store
    from springboard_local.kubernetes.lane import NodeSpec
    from springboard_local.kubernetes.real.api import Api
    from springboard_local.kubernetes.real.mirror import MirrorStore

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 10.0  # as kubelets renew their leases
_LEASE_SECONDS = 40
_EVENTS_REMEMBERED = 4000


class RemoteSurroundings:
    """What kubelets read is the mirror; what they write goes to the API server, in order for each pod."""

    def __init__(
        self, api: Api, store: MirrorStore, manager: Manager, faults: Faults, resource: Callable[[Key], Resource]
    ) -> None:
        self.store: Store = store
        self._mirror = store
        self.manager = manager
        self.faults = faults
        self.kubelets: Kubelets
        self._api, self._resource = api, resource
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted: dict[str, tuple[Obj, Obj]] = {}  # by uid: a pod, and the status that it is to have
        self._writing: dict[str, Obj] = {}  # by uid: the status that is under way
        self._ending: set[str] = set()
        self._counts: dict[tuple[str, str, str], tuple[str, int]] = {}

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` on the event loop; a refusal is no news: the next look finds what there is."""
        task = asyncio.get_running_loop().create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _quietly(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("a kubelet's write: %s", error)

    async def stop(self) -> None:
        """Write nothing more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # pods

    def edit_pod_status(self, pod: Obj, change: Callable[[Obj], object]) -> None:
        """Write the status of a pod: `change` gets the latest that is known."""
        uid = uid_of(pod)
        known = self.store.get(PODS, namespace_of(pod), name_of(pod))
        if known is None or uid_of(known) != uid:
            return
        fresh = clone(known.get("status") or {})
        change(fresh)
        if fresh == known.get("status"):
            self._wanted.pop(uid, None)
            return
        self._wanted[uid] = known, fresh
        if uid not in self._writing:
            self.spawn(self._write(uid))

    async def _write(self, uid: str) -> None:
        """Write what is wanted for a pod, and what is wanted by then."""
        while uid in self._wanted:
            pod, status = self._wanted.pop(uid)
            if status == self._writing.get(uid):
                break
            self._writing[uid] = status
            try:
                await self._patch(pod, status)
            except ApiError as error:
                if error.code == 404:
                    self._wanted.pop(uid, None)
                elif error.code == 409:  # somebody else wrote: compute it from what they left
                    self._wanted.pop(uid, None)
                    self.manager.later(self.kubelets, namespace_of(pod), name_of(pod), 0.0)
                else:
                    raise
            finally:
                self._writing.pop(uid, None)

    async def _patch(self, pod: Obj, status: Obj) -> None:
        meta = {"uid": uid_of(pod), "resourceVersion": pod["metadata"]["resourceVersion"]}
        path = path_of(self._resource(PODS), namespace_of(pod), name_of(pod), "status")
        body = {"metadata": meta, "status": status}
        written = await self._api.request("PATCH", path, body, MERGE, fieldManager="kubelet")
        self._mirror.refresh(PODS, written)

    def end_pod(self, pod: Obj) -> None:
        """Say that the containers of a pod that was asked to go have ended."""
        if uid_of(pod) not in self._ending:
            self._ending.add(uid_of(pod))
            self.spawn(self._end(pod))

    async def _end(self, pod: Obj) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid_of(pod)}}
        path = path_of(self._resource(PODS), namespace_of(pod), name_of(pod))
        try:
            await self._api.request("DELETE", path, options)
        finally:
            self._ending.discard(uid_of(pod))

    # events

    def record(
        self, about: Obj, kind: str, reason: str, message: str, component: str, *, field: str = "", host: str = ""
    ) -> None:
        """Write an Event, or count one that is there already."""
        namespace = namespace_of(about) or "default"
        same = (uid_of(about), reason, message)
        if same in self._counts:
            name, count = self._counts[same]
            self._counts[same] = name, count + 1
            self.spawn(self._count(namespace, name, count + 1))
            return
        source = {k: v for k, v in (("component", component), ("host", host)) if v}
        event = event_about(about, namespace, kind=kind, reason=reason, message=message, source=source, field=field)
        if len(self._counts) >= _EVENTS_REMEMBERED:
            self._counts.clear()
        self._counts[same] = name_of(event), 1
        self.spawn(self._create_event(namespace, event))

    async def _create_event(self, namespace: str, event: Obj) -> None:
        path = path_of(self._resource(EVENTS), namespace)
        await self._api.request("POST", path, event, fieldManager="kubelet")

    async def _count(self, namespace: str, name: str, count: int) -> None:
        body = {"count": count, "lastTimestamp": now()}
        path = path_of(self._resource(EVENTS), namespace, name)
        await self._api.request("PATCH", path, body, MERGE, fieldManager="kubelet")


class NodeAgents:
    """The kubelets of a cluster's nodes, as far as the Node objects go, and the pods on them."""

    def __init__(
        self,
        api: Api,
        store: MirrorStore,
        clock: Clock,
        faults: Faults,
        resource: Callable[[Key], Resource],
        pod_start: Callable[[], float],
    ) -> None:
        self._api, self._store, self._faults, self._resource = api, store, faults, resource
        self._manager = Manager(store, asyncio.get_running_loop(), clock)
        self.surroundings = RemoteSurroundings(api, store, self._manager, faults, resource)
        self.kubelets = Kubelets(self.surroundings, pod_start)
        self.surroundings.kubelets = self.kubelets
        self._manager.add(self.kubelets)
        self._ready: dict[str, tuple[bool, str]] = {}
        self._heart = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """Fall silent."""
        self._manager.stop()
        self._heart.cancel()
        await asyncio.gather(self._heart, return_exceptions=True)
        await self.surroundings.stop()

    async def add(self, spec: NodeSpec, *, ready: bool, reason: str) -> None:
        """Register a node, or set its condition if it is there."""
        self._ready[spec.name] = ready, reason
        body = {"apiVersion": "v1", "kind": "Node", **bootstrap.node_object(spec)}
        self._set_conditions(spec.name, body["status"])
        try:
            created = await self._api.request("POST", path_of(self._resource(NODES), ""), body, fieldManager="kubelet")
        except ApiError as error:
            if error.code != 409:
                raise
            await self.post_conditions(spec.name)
            return
        self._store.put(NODES, created)
        await self._create_lease(created)

    async def set_ready(self, name: str, *, ready: bool, reason: str) -> None:
        """Change the Ready condition."""
        self._ready[name] = ready, reason
        await self.post_conditions(name)

    def forget(self, name: str) -> None:
        """A node is no more."""
        self._ready.pop(name, None)

    def serves(self, address: str) -> bool:
        """Whether a kubelet answers at the internal address."""
        for node in self._store.list(NODES):
            addresses = node["status"].get("addresses") or ()
            if any(each["address"] == address for each in addresses):
                return self._faults.of_node(name_of(node)) is None
        return False

    def _set_conditions(self, name: str, status: Obj) -> None:
        """Conditions as EKS last said, unless a fault keeps the kubelet silent."""
        ready, reason = self._ready.get(name, (True, ""))
        fault = self._faults.of_node(name)
        silent = (fault.message or "Kubelet stopped posting node status.") if fault else ""
        bootstrap.set_node_conditions(status, ready=ready, reason=reason, silent=silent)

    async def post_conditions(self, name: str) -> None:
        """Write a node's conditions, where they are others than those written."""
        node = self._store.get(NODES, "", name)
        if node is None:
            return
        conditions = {"conditions": clone(node["status"].get("conditions") or [])}
        self._set_conditions(name, conditions)
        if conditions["conditions"] == node["status"].get("conditions"):
            return
        path = path_of(self._resource(NODES), "", name, "status")
        written = await self._api.request("PATCH", path, {"status": conditions}, MERGE, fieldManager="kubelet")
        self._store.refresh(NODES, written)
        if is_ready(node) != is_ready(written):
            word, component = ("NodeReady", "kubelet") if is_ready(written) else ("NodeNotReady", "node-controller")
            self.surroundings.record(node, "Normal", word, f"Node {name} status is now: {word}", component)

    # heartbeats

    async def _create_lease(self, node: Obj) -> None:
        name = name_of(node)
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)}
        spec = {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": micro_now()}
        meta = {"name": name, "namespace": bootstrap.LEASE_NAMESPACE, "ownerReferences": [owner]}
        path = path_of(self._resource(LEASES), bootstrap.LEASE_NAMESPACE)
        try:
            await self._api.request("POST", path, {"metadata": meta, "spec": spec}, fieldManager="kubelet")
        except ApiError as error:
            if error.code != 409:
                raise

    async def _beat(self) -> None:
        """Renew the leases of all nodes that are not silent, and their conditions where somebody thought them dead."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            for node in self._store.list(NODES):
                if name_of(node) in self._ready and self._faults.of_node(name_of(node)) is None:
                    self.surroundings.spawn(self._renew(name_of(node)))

    async def _renew(self, name: str) -> None:
        path = path_of(self._resource(LEASES), bootstrap.LEASE_NAMESPACE, name)
        await self._api.request("PATCH", path, {"spec": {"renewTime": micro_now()}}, MERGE, fieldManager="kubelet")
        await self.post_conditions(name)
