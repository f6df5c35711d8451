"""The real lane: each cluster has a kube-apiserver, a controller manager and a scheduler of its own, on one etcd."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from springboard_local.kubernetes.embedded import bootstrap, evictions, network
from springboard_local.kubernetes.embedded.catalog import catalog
from springboard_local.kubernetes.embedded.errors import ApiError
from springboard_local.kubernetes.embedded.faults import Faults
from springboard_local.kubernetes.embedded.lane import Loop
from springboard_local.kubernetes.embedded.objects import (
    NODES,
    PODS,
    controller_of,
    is_terminating,
    name_of,
    namespace_of,
    node_of,
)
from springboard_local.kubernetes.embedded.pki import create_identity
from springboard_local.kubernetes.lane import Backend, ControlPlane, Eviction, Lane, NodeSpec
from springboard_local.kubernetes.real import toolchain
from springboard_local.kubernetes.real.api import APPLY, MERGE, Access, Api, path_of
from springboard_local.kubernetes.real.etcd import Etcd
from springboard_local.kubernetes.real.kubelet_server import KubeletServer
from springboard_local.kubernetes.real.mirror import Mirror, MirrorStore
from springboard_local.kubernetes.real.node_agents import NodeAgents
from springboard_local.kubernetes.real.processes import Processes
from springboard_local.kubernetes.real.programs import Programs, Site
from springboard_local.kubernetes.real.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from springboard_local.clock import Clock
    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.embedded.objects import Key, Obj
    from springboard_local.kubernetes.lane import AccessPolicies, TokenReviewer
    from springboard_local.kubernetes.real.toolchain import Toolchain

log = logging.getLogger(__name__)

_MANAGER = "eks"
_HOSTS = ("127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class RealControlPlane(ControlPlane):
    """One cluster: its programs, and what this process does for it on the lane's event loop."""

    def __init__(
        self,
        name: str,
        version: str,
        base: _Base,
        *,
        review: TokenReviewer,
        allow: AccessPolicies,
        pod_start: Callable[[], float],
        service_cidr: str,
    ) -> None:
        self._base, self._loop = base, base.loop
        self._identity = create_identity(_HOSTS)
        self._faults = Faults()
        self._store = MirrorStore()
        self._catalog = catalog(version)
        both = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        kubelets = create_identity(["127.0.0.1"], both)
        self._kubelet_server = KubeletServer(kubelets, self._store)
        self._webhooks = Webhooks(review, allow, self._faults, base.executor)
        self._stopped = False
        self._api: Api | None = None
        self._mirror: Mirror | None = None
        self._agents: NodeAgents | None = None
        self._programs: Programs | None = None
        self._lock = threading.Lock()
        number = next(base.numbers)
        self._prefix = f"/registry/{name}-{number}"
        self._folder = base.folder / f"{name}-{number}"
        try:
            self._loop.wait(self._listen())
            site = Site(
                folder=self._folder,
                etcd=base.etcd.url,
                prefix=self._prefix,
                service_cidr=service_cidr,
                webhooks=self._webhooks.url,
                identity=self._identity,
                kubelets=kubelets,
                kubelet_tunnel=self._kubelet_server.tunnel,
            )
            self._programs = Programs(base.tools, base.processes, site)
            self._programs.serve(version)
            access = Access(self.endpoint, self.certificate_authority, site.token)
            self._loop.wait(self._begin(access, base.clock, pod_start))
        except BaseException:
            self.stop()
            raise

    async def _listen(self) -> None:
        await self._webhooks.start()
        await self._kubelet_server.start()

    async def _begin(self, access: Access, clock: Clock, pod_start: Callable[[], float]) -> None:
        api = self._api = Api(access)
        self._agents = NodeAgents(api, self._store, clock, self._faults, self._resource_of, pod_start)
        self._kubelet_server.attach(self._agents)
        self._mirror = Mirror(api, self._store, self._resource_of)
        await self._mirror.start()
        storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", **bootstrap.STORAGE_CLASS}
        await self._apply(storage)

    @property
    def endpoint(self) -> str:
        """The address clients use: the front's, which stays whatever version is served."""
        return f"https://127.0.0.1:{self._running(self._programs).port}"

    @property
    def certificate_authority(self) -> bytes:
        """The cluster's CA certificate, PEM."""
        return self._identity.authority

    @property
    def version(self) -> str:
        """The minor version it serves."""
        return self._running(self._programs).version

    def set_version(self, version: str) -> None:
        """Serve another minor: a new API server takes over at the same endpoint, on the same objects."""
        served = catalog(version)
        with self._lock:
            self._running(self._programs).serve(version)
            self._catalog = served

    # Nodes

    def add_node(self, node: NodeSpec, *, ready: bool, reason: str = "") -> None:
        """Register a Node, or do nothing but set its condition if it is there."""
        self._loop.wait(self._running(self._agents).add(node, ready=ready, reason=reason))

    def set_node_ready(self, name: str, *, ready: bool, reason: str = "") -> None:
        """Change the Ready condition."""
        self._loop.wait(self._running(self._agents).set_ready(name, ready=ready, reason=reason))

    def cordon(self, name: str, *, unschedulable: bool = True) -> None:
        """Mark a node unschedulable, or schedulable again."""
        body = {"spec": {"unschedulable": True if unschedulable else None}}
        path = path_of(self._resource_of(NODES), "", name)
        self._loop.wait(_unless_gone(self._ask("PATCH", path, body, MERGE, fieldManager=_MANAGER)))

    def evict(self, name: str) -> list[Eviction]:
        """Try once to evict each pod of a node; those on their way out count as evicted."""
        return self._loop.wait(self._evict_all(name))

    async def _evict_all(self, node: str) -> list[Eviction]:
        def stays(pod: Obj) -> bool:
            owner = controller_of(pod)
            return owner is not None and owner["kind"] == "DaemonSet"

        answer = await self._ask("GET", path_of(self._resource_of(PODS), ""), fieldSelector=f"spec.nodeName={node}")
        return [await self._evict(pod) for pod in answer["items"] if not stays(pod)]

    async def _evict(self, pod: Obj) -> Eviction:
        place = namespace_of(pod), name_of(pod)
        if is_terminating(pod):
            return Eviction(*place, "evicted")
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": place[1], "namespace": place[0]}}
        try:
            await self._ask("POST", path_of(self._resource_of(PODS), *place, "eviction"), body)
        except ApiError as error:
            if error.code == 404:
                return Eviction(*place, "gone")
            if error.code not in (429, 500):
                raise
            budgets = evictions.budgets_of(self._store, pod)
            return Eviction(*place, "blocked", ", ".join(name_of(each) for each in budgets))
        return Eviction(*place, "evicted")

    def remove_node(self, name: str) -> None:
        """Delete the Node and the pods bound to it."""
        self._loop.wait(self._remove_node(name))

    async def _remove_node(self, name: str) -> None:
        self._running(self._agents).forget(name)
        await _unless_gone(self._ask("DELETE", path_of(self._resource_of(NODES), "", name)))
        pods = path_of(self._resource_of(PODS), "")
        answer = await self._ask("GET", pods, fieldSelector=f"spec.nodeName={name}")
        for pod in answer["items"]:
            path = path_of(self._resource_of(PODS), namespace_of(pod), name_of(pod))
            await _unless_gone(self._ask("DELETE", path, {"gracePeriodSeconds": 0}))

    def nodes(self) -> list[dict[str, Any]]:
        """All Node objects."""
        answer = self._loop.wait(self._ask("GET", path_of(self._resource_of(NODES), "")))
        return [{"apiVersion": "v1", "kind": "Node", **each} for each in answer["items"]]

    # Objects

    def _resource_of(self, key: Key) -> Resource:
        return self._catalog.by_key[key]

    def _resource(self, api_version: str, kind: str) -> Resource:
        resource = self._catalog.resource(api_version, kind)
        if resource is None:
            raise ValueError(f"no resource of kind {kind} in {api_version}")
        return resource

    def _place(self, manifest: Mapping[str, Any]) -> str:
        meta = manifest["metadata"]
        resource = self._resource(manifest["apiVersion"], manifest["kind"])
        return path_of(resource, meta.get("namespace") or "default", meta["name"])

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Server-side apply as field manager `eks`, conflicts forced."""
        self._loop.wait(self._apply(manifest))

    async def _apply(self, manifest: Mapping[str, Any]) -> None:
        body = dict(manifest)
        await self._ask("PATCH", self._place(body), body, APPLY, fieldManager=_MANAGER, force="true")

    def delete(self, manifest: Mapping[str, Any]) -> None:
        """Delete the object that the manifest names."""
        options = {"propagationPolicy": "Background"}
        self._loop.wait(_unless_gone(self._ask("DELETE", self._place(manifest), options)))

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, or None."""
        path = path_of(self._resource(api_version, kind), namespace, name)
        return self._loop.wait(_unless_gone(self._ask("GET", path)))

    def backends(self, node_port: int) -> list[Backend]:
        """The pods behind a Service's NodePort."""
        return self._loop.call(lambda: network.backends(self._store, node_port))

    def inject(self, condition: Mapping[str, Any]) -> None:
        """Make something go wrong, or end it; the API itself is a genuine server's, which has no such faults."""
        if condition.get("kind") == "Api":
            raise ValueError("only the embedded control plane has faults of the Api")
        kind = self._loop.wait(self._inject(condition))
        waits = self._loop.call(lambda: any(not node_of(pod) for pod in self._store.list(PODS)))
        if kind == "Pod" and waits:
            with self._lock:
                self._running(self._programs).restart_scheduler()

    async def _inject(self, condition: Mapping[str, Any]) -> str:
        fault = self._faults.inject(condition)
        agents = self._running(self._agents)
        if fault.kind == "Node":
            for node in self._store.list(NODES):
                await agents.post_conditions(name_of(node))
        else:
            agents.kubelets.refresh()
        return fault.kind

    def stop(self) -> None:
        """End all of it, and forget the objects. Idempotent."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        self._loop.wait(self._end())
        if self._programs:
            self._programs.stop()
        self._loop.wait(self._fall_silent())
        self._base.etcd.forget(self._prefix)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _end(self) -> None:
        if self._mirror:
            await self._mirror.stop()
        if self._agents:
            await self._agents.stop()
        if self._api:
            await self._api.close()

    async def _fall_silent(self) -> None:
        await self._webhooks.stop()
        await self._kubelet_server.stop()

    async def _ask(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Obj:
        return await self._running(self._api).request(method, path, body, content, **query)

    def _running[T](self, part: T | None) -> T:
        if part is None or self._stopped:
            raise RuntimeError("the control plane does not run")
        return part


async def _unless_gone(request: Coroutine[Any, Any, Obj]) -> Obj | None:
    """The answer, or None where the object isn't there."""
    try:
        return await request
    except ApiError as error:
        if error.code == 404:
            return None
        raise


class _Base:
    """What all clusters of a lane share."""

    def __init__(self, tools: Toolchain, clock: Clock, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.tools, self.clock, self.folder = tools, clock, folder
        self.numbers = itertools.count(1)
        self.processes = Processes(tools)
        try:
            self.etcd = Etcd(tools, self.processes, folder / "etcd")
        except BaseException:
            self.processes.close()
            raise
        self.loop = Loop()
        self.executor = ThreadPoolExecutor(8, thread_name_prefix="kubernetes-access")

    def close(self) -> None:
        """End what they share."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.loop.close()
        self.processes.close()


class RealLane(Lane):
    """Starts control planes of genuine programs; `make kubernetes` builds them."""

    def __init__(self, clock: Clock, state: Path) -> None:
        """`state` is the folder for logs, keys and etcd's data. NotBuiltError, a ValueError, without the programs.

        ValueError for a manual clock: it has to know when all are idle, and other programs do not tell.
        """
        if not clock.speed:
            raise ValueError("the real Kubernetes lane needs a clock that moves by itself: use ScaledClock")
        self._tools = toolchain.find()
        self._clock, self._folder = clock, state
        self._lock = threading.Lock()
        self._base: _Base | None = None
        self._planes: list[RealControlPlane] = []

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
    ) -> RealControlPlane:
        """A new control plane, serving when this returns; several may start at once."""
        del kill  # the genuine API server has no faults
        with self._lock:
            if self._base is None:
                self._base = _Base(self._tools, self._clock, self._folder)
            base = self._base
        plane = RealControlPlane(
            name, version, base, review=review, allow=allow, pod_start=pod_start, service_cidr=service_cidr
        )
        with self._lock:
            self._planes.append(plane)
        return plane

    def close(self) -> None:
        """Stop all control planes and what they share. Idempotent."""
        with self._lock:
            for plane in self._planes:
                plane.stop()
            self._planes.clear()
            if self._base:
                self._base.close()
                self._base = None
