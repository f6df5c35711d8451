"""EndpointSlices and Endpoints: which pods stand behind a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NODES,
    PODS,
    SERVICES,
    Obj,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    node_of,
    owner_reference,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.embedded.controllers.manager import Item
    from springboard_local.kubernetes.embedded.store import Change, Store

SERVICE_LABEL = "kubernetes.io/service-name"
_MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
_MANAGED_BY = "endpointslice-controller.k8s.io"


def selected_pods(store: Store, service: Obj) -> list[Obj]:
    """The pods that a Service's selector selects; none without a selector."""
    selector = (service["spec"].get("selector") or {}).items()
    if not selector:
        return []
    return store.list(PODS, namespace_of(service), lambda pod: selector <= labels_of(pod).items())


def target_port(pod: Obj, port: Obj) -> int | None:
    """The container port that a Service port leads to in a pod."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for own in container.get("ports") or ():
            if own.get("name") == target:
                return int(own["containerPort"])
    return None


class Endpoints:
    """Writes both kinds for every Service with a selector."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def items(self, change: Change) -> Iterable[Item]:
        """Services, and those that select a pod that changed."""
        if change.key == SERVICES:
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.key == PODS:
            versions = [labels_of(o).items() for o in (change.obj, change.previous) if o]
            for service in self._store.list(SERVICES, namespace_of(change.obj)):
                selector = (service["spec"].get("selector") or {}).items()
                if selector and any(selector <= labels for labels in versions):
                    yield namespace_of(service), name_of(service)

    def reconcile(self, namespace: str, name: str) -> None:
        """Write what is behind a Service, or nothing once it is gone."""
        service = self._store.get(SERVICES, namespace, name)
        slices = self._store.list(
            ENDPOINT_SLICES,
            namespace,
            lambda s: labels_of(s).get(SERVICE_LABEL) == name and labels_of(s).get(_MANAGED_LABEL) == _MANAGED_BY,
        )
        if service is None or is_terminating(service):
            for found in slices:
                self._store.remove(ENDPOINT_SLICES, found)
            old = self._store.get(ENDPOINTS, namespace, name)
            if old:
                self._store.remove(ENDPOINTS, old)
        elif service["spec"].get("selector"):
            pods = [p for p in selected_pods(self._store, service) if _has_address(p)]
            self._write_slice(service, slices[0] if slices else None, pods)
            self._write_endpoints(service, pods)

    def _write_slice(self, service: Obj, found: Obj | None, pods: list[Obj]) -> None:
        labels = {**labels_of(service), SERVICE_LABEL: name_of(service), _MANAGED_LABEL: _MANAGED_BY}
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        body: Obj = {
            "addressType": "IPv4",
            "endpoints": [self._endpoint(pod) for pod in pods],
            "ports": _slice_ports(service, pods),
        }
        if found is None:
            meta = {
                "generateName": f"{name_of(service)}-",
                "labels": labels,
                "ownerReferences": [owner_reference(service)],
            }
            self._context.create(ENDPOINT_SLICES, namespace_of(service), {"metadata": meta, **body})
            return

        def change(target: Obj) -> None:
            target.update(body)
            target["metadata"]["labels"] = labels

        self._context.registry.edit(ENDPOINT_SLICES, found, change)

    def _endpoint(self, pod: Obj) -> Obj:
        leaving = is_terminating(pod)
        node = self._store.get(NODES, "", node_of(pod))
        endpoint: Obj = {
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": is_ready(pod) and not leaving, "serving": is_ready(pod), "terminating": leaving},
            "nodeName": node_of(pod),
            "targetRef": {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)},
        }
        zone = labels_of(node).get("topology.kubernetes.io/zone") if node else None
        return {**endpoint, "zone": zone} if zone else endpoint

    def _write_endpoints(self, service: Obj, pods: list[Obj]) -> None:
        serving = [p for p in pods if is_ready(p)] or pods
        ports = [{k: v for k, v in port.items() if v} for port in _slice_ports(service, serving)]
        addresses: dict[str, list[Obj]] = {"addresses": [], "notReadyAddresses": []}
        for pod in pods:
            if not is_terminating(pod):
                addresses["addresses" if is_ready(pod) else "notReadyAddresses"].append(_address(pod))
        subset: Obj = {k: v for k, v in addresses.items() if v}
        subsets = [{**subset, "ports": ports}] if subset else []
        namespace, name = namespace_of(service), name_of(service)
        found = self._store.get(ENDPOINTS, namespace, name)
        if found is None:
            labels = {**labels_of(service), "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
            meta = {"name": name, "labels": labels}
            self._context.create(ENDPOINTS, namespace, {"metadata": meta, "subsets": subsets})
        else:
            self._context.registry.edit(ENDPOINTS, found, lambda e: e.__setitem__("subsets", subsets))


def _has_address(pod: Obj) -> bool:
    return bool(pod.get("status", {}).get("podIP")) and not is_finished(pod)


def _address(pod: Obj) -> Obj:
    target = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}
    return {"ip": pod["status"]["podIP"], "nodeName": node_of(pod), "targetRef": target}


def _slice_ports(service: Obj, pods: list[Obj]) -> list[Obj]:
    ports: list[Obj] = []
    for port in service["spec"].get("ports") or ():
        numbers = {target_port(pod, port) for pod in pods} or {None}
        protocol, name = port["protocol"], port.get("name", "")
        known = sorted(n for n in numbers if n is not None)
        ports += [{"name": name, "port": number, "protocol": protocol} for number in known]
    return ports
