"""The embedded lane: control planes of many clusters on one event loop in this process."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded import bootstrap, evictions, network
from springboard_local.kubernetes.embedded.access import Access
from springboard_local.kubernetes.embedded.admission import Admission
from springboard_local.kubernetes.embedded.catalog import catalog
from springboard_local.kubernetes.embedded.controllers.autoscaling import Autoscaling
from springboard_local.kubernetes.embedded.controllers.context import Context
from springboard_local.kubernetes.embedded.controllers.daemonsets import DaemonSets
from springboard_local.kubernetes.embedded.controllers.deployments import Deployments
from springboard_local.kubernetes.embedded.controllers.disruption import Disruption
from springboard_local.kubernetes.embedded.controllers.endpoints import Endpoints
from springboard_local.kubernetes.embedded.controllers.garbage import GarbageCollector
from springboard_local.kubernetes.embedded.controllers.jobs import Jobs
from springboard_local.kubernetes.embedded.controllers.kubelet import Kubelets
from springboard_local.kubernetes.embedded.controllers.manager import Manager
from springboard_local.kubernetes.embedded.controllers.namespaces import Namespaces
from springboard_local.kubernetes.embedded.controllers.nodes import Nodes
from springboard_local.kubernetes.embedded.controllers.replicasets import ReplicaSets
from springboard_local.kubernetes.embedded.controllers.scheduler import Scheduler
from springboard_local.kubernetes.embedded.controllers.statefulsets import StatefulSets
from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.faults import Faults
from springboard_local.kubernetes.embedded.objects import (
    NODES,
    PODS,
    Obj,
    clone,
    controller_of,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    node_of,
)
from springboard_local.kubernetes.embedded.pki import create_identity
from springboard_local.kubernetes.embedded.rbac import RoleBasedAccess
from springboard_local.kubernetes.embedded.registry import Registry, Write
from springboard_local.kubernetes.embedded.server import ApiServer
from springboard_local.kubernetes.embedded.store import Store
from springboard_local.kubernetes.lane import Backend, ControlPlane, Eviction, Lane, NodeSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from springboard_local.clock import Clock
    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.lane import AccessPolicies, TokenReviewer

_PATIENCE = 30.0
_MANAGER = "eks"


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kubernetes", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call[T](self, work: Callable[[], T]) -> T:
        """Run `work` on the loop and wait for its answer."""

        async def run() -> T:
            return work()

        return self.wait(run())

    def wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine on the loop."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the event loop can't wait for itself")
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # the lane is closed: whoever comes late is told, and leaves nothing behind
            work.close()
            raise
        return future.result(_PATIENCE)

    def close(self) -> None:
        """End the loop and its thread."""

        async def finish() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self.loop.shutdown_asyncgens()

        self.wait(finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)
        self.loop.close()


class EmbeddedControlPlane(ControlPlane):
    """One cluster: store, controllers, server."""

    def __init__(
        self,
        version: str,
        loop: Loop,
        clock: Clock,
        executor: ThreadPoolExecutor,
        *,
        review: TokenReviewer,
        allow: AccessPolicies,
        pod_start: Callable[[], float],
        service_cidr: str,
        kill: Callable[[str], None] | None,
    ) -> None:
        self._loop = loop
        self._identity = create_identity(["127.0.0.1", "localhost", "kubernetes.default.svc"])
        self._store = Store()
        admission = Admission(self._store, service_cidr)
        self._registry = Registry(self._store, catalog(version), admission)
        self._faults = Faults()
        self._manager = Manager(self._store, loop.loop, clock)
        self._context = Context(self._store, self._registry, self._manager, self._faults)
        self._kubelets = Kubelets(self._context, pod_start)
        self._scheduler = Scheduler(self._context)
        access = Access(review, allow, RoleBasedAccess(self._store), executor)
        self._ready: dict[str, tuple[bool, str]] = {}
        self._stopped = False
        self._server: ApiServer
        self._port: int = loop.wait(self._start(access, admission.first_address, kill))

    async def _start(self, access: Access, service_address: str, kill: Callable[[str], None] | None) -> int:
        for controller in (
            Namespaces(self._context, self._identity.authority),
            Nodes(self._context),
            self._scheduler,
            self._kubelets,
            Deployments(self._context),
            ReplicaSets(self._context, self._kubelets),
            DaemonSets(self._context),
            StatefulSets(self._context),
            Jobs(self._context),
            Endpoints(self._context),
            Disruption(self._context),
            Autoscaling(self._context),
            GarbageCollector(self._context),
        ):
            self._manager.add(controller)
        self._server = ApiServer(self._registry, access, self._kubelets, self._faults, kill)
        port = await self._server.start(self._identity.server_context())
        bootstrap.fill(self._context, service_address, port)
        return port

    @property
    def endpoint(self) -> str:
        """The address clients use."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def certificate_authority(self) -> bytes:
        """The cluster's CA certificate, PEM."""
        return self._identity.authority

    @property
    def version(self) -> str:
        """The minor version it serves."""
        return self._registry.catalog.version

    def set_version(self, version: str) -> None:
        """Serve another minor, all objects kept."""
        served = catalog(version)

        def change() -> None:
            self._registry.catalog = served
            self._server.version_changed()

        self._loop.call(change)

    # Nodes

    def add_node(self, node: NodeSpec, *, ready: bool, reason: str = "") -> None:
        """Create the Node, or do nothing but set its condition if it is there."""

        def add() -> None:
            self._ready[node.name] = ready, reason
            if self._store.get(NODES, "", node.name) is None:
                body = bootstrap.node_object(node)
                self._set_conditions(node.name, body["status"])
                created = self._context.create(NODES, "", body, "kubelet")
                bootstrap.create_lease(self._context, created)
                text = f"Node {node.name} event: Registered Node {node.name} in Controller"
                self._context.record(created, "Normal", "RegisteredNode", text, "node-controller")
            else:
                self._post_conditions(node.name)

        self._loop.call(add)

    def set_node_ready(self, name: str, *, ready: bool, reason: str = "") -> None:
        """Change the Ready condition."""

        def change() -> None:
            self._ready[name] = ready, reason
            self._post_conditions(name)

        self._loop.call(change)

    def _set_conditions(self, name: str, status: Obj) -> None:
        """Conditions as EKS last said, unless a fault keeps the kubelet silent."""
        ready, reason = self._ready.get(name, (True, ""))
        fault = self._faults.of_node(name)
        silent = (fault.message or "Kubelet stopped posting node status.") if fault else ""
        bootstrap.set_node_conditions(status, ready=ready, reason=reason, silent=silent)

    def _post_conditions(self, name: str) -> None:
        node = self._store.get(NODES, "", name)
        if node is None:
            return
        before = is_ready(node)
        posted = self._registry.edit_status(NODES, node, lambda s: self._set_conditions(name, s), "kubelet")
        ready = posted is not None and is_ready(posted)
        if before != ready:
            word, component = ("NodeReady", "kubelet") if ready else ("NodeNotReady", "node-controller")
            self._context.record(node, "Normal", word, f"Node {name} status is now: {word}", component)

    def cordon(self, name: str, *, unschedulable: bool = True) -> None:
        """Mark a node unschedulable, or schedulable again."""

        def change(node: Obj) -> None:
            node["spec"].pop("unschedulable", None)
            if unschedulable:
                node["spec"]["unschedulable"] = True

        def run() -> None:
            node = self._store.get(NODES, "", name)
            if node is not None:
                self._registry.edit(NODES, node, change, manager=_MANAGER)

        self._loop.call(run)

    def evict(self, name: str) -> list[Eviction]:
        """Try once to evict each pod of a node; those on their way out count as evicted."""
        return self._loop.call(lambda: [self._evict(pod) for pod in self._evictable(name)])

    def _evictable(self, node: str) -> list[Obj]:
        def stays(pod: Obj) -> bool:
            owner = controller_of(pod)
            return owner is not None and owner["kind"] == "DaemonSet"

        return self._store.list(PODS, "", lambda p: node_of(p) == node and not stays(p))

    def _evict(self, pod: Obj) -> Eviction:
        place = namespace_of(pod), name_of(pod)
        latest = self._store.get(PODS, *place)
        if latest is None:
            return Eviction(*place, "gone")
        if is_terminating(latest):
            return Eviction(*place, "evicted")
        try:
            evictions.evict(self._registry, latest)
        except ApiError as error:
            if error.code not in (429, 500):
                raise
            budgets = evictions.budgets_of(self._store, latest)
            return Eviction(*place, "blocked", ", ".join(name_of(b) for b in budgets))
        return Eviction(*place, "evicted")

    def remove_node(self, name: str) -> None:
        """Delete the Node and the pods bound to it."""

        def remove() -> None:
            self._ready.pop(name, None)
            node = self._store.get(NODES, "", name)
            if node is not None:
                self._context.remove(NODES, node)
            for pod in self._store.list(PODS, "", lambda p: node_of(p) == name):
                self._registry.delete(self._registry.resource(PODS), pod, {"gracePeriodSeconds": 0})

        self._loop.call(remove)

    def nodes(self) -> list[dict[str, Any]]:
        """All Node objects."""
        return self._loop.call(lambda: [clone(node) for node in self._store.list(NODES)])

    # Objects

    def _resource(self, api_version: str, kind: str) -> Resource:
        resource = self._registry.catalog.resource(api_version, kind)
        if resource is None:
            raise ValueError(f"no resource of kind {kind} in {api_version}")
        return resource

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Server-side apply as field manager `eks`, conflicts forced."""

        def apply() -> None:
            resource = self._resource(manifest["apiVersion"], manifest["kind"])
            meta = manifest["metadata"]
            self._registry.apply(
                resource,
                meta.get("namespace") or "default",
                meta["name"],
                clone(dict(manifest)),
                Write(_MANAGER, force=True),
            )

        self._loop.call(apply)

    def delete(self, manifest: Mapping[str, Any]) -> None:
        """Delete the object that the manifest names."""

        def delete() -> None:
            resource = self._resource(manifest["apiVersion"], manifest["kind"])
            meta = manifest["metadata"]
            space = (meta.get("namespace") or "default") if resource.namespaced else ""
            found = self._store.get(resource.key, space, meta["name"])
            if found is not None:
                self._context.remove(resource.key, found)

        self._loop.call(delete)

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, or None."""

        def get() -> dict[str, Any] | None:
            resource = self._resource(api_version, kind)
            found: dict[str, Any] | None = clone(
                self._store.get(resource.key, namespace if resource.namespaced else "", name)
            )
            return found

        return self._loop.call(get)

    def backends(self, node_port: int) -> list[Backend]:
        """The pods behind a Service's NodePort."""
        return self._loop.call(lambda: network.backends(self._store, node_port))

    def inject(self, condition: Mapping[str, Any]) -> None:
        """Make something go wrong, or end it."""

        def inject() -> None:
            fault = self._faults.inject(condition)
            if fault.kind == "Node":
                for node in self._store.list(NODES):
                    self._post_conditions(name_of(node))
            elif fault.kind != "Api":
                self._kubelets.refresh()
                self._scheduler.refresh()

        self._loop.call(inject)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped: it serves no more."""
        return self._stopped

    def stop(self) -> None:
        """End the server and the controllers."""
        if self._stopped:
            return
        self._stopped = True

        async def stop() -> None:
            self._manager.stop()
            await self._server.stop()

        self._loop.wait(stop())


class EmbeddedLane(Lane):
    """Starts control planes in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._planes: list[EmbeddedControlPlane] = []

    def start(
        self,
        name: str,
        version: str,
        *,
        review: TokenReviewer,
        allow: AccessPolicies,
        pod_start: Callable[[], float],
        service_cidr: str = "172.20.0.0/16",
        kill: Callable[[str], None] | None = None,
    ) -> EmbeddedControlPlane:
        """A new control plane, serving when this returns."""
        del name  # it lives in this process: nothing is named after the cluster
        with self._lock:
            if self._loop is None or self._executor is None:
                self._loop = Loop()
                self._executor = ThreadPoolExecutor(8, thread_name_prefix="kubernetes-access")
            plane = EmbeddedControlPlane(
                version,
                self._loop,
                self._clock,
                self._executor,
                review=review,
                allow=allow,
                pod_start=pod_start,
                service_cidr=service_cidr,
                kill=kill,
            )
            # One that was stopped has a whole cluster's objects and their history to let go of.
            self._planes = [each for each in self._planes if not each.stopped] + [plane]
        return plane

    def close(self) -> None:
        """Stop all control planes and the loop."""
        with self._lock:
            for plane in self._planes:
                plane.stop()
            self._planes.clear()
            if self._executor:
                self._executor.shutdown(wait=False, cancel_futures=True)
                self._executor = None
            if self._loop:
                self._loop.close()
                self._loop = None
