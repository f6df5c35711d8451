"""What happens to an object between decoding and validation: names, addresses and ports are given out."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.defaults import apply_defaults, containers_of
from springboard_local.kubernetes.embedded.errors import Cause, forbidden, invalid
from springboard_local.kubernetes.embedded.objects import (
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    SERVICES,
    Obj,
    is_terminating,
    namespace_of,
    uid_of,
)
from springboard_local.kubernetes.embedded.validation import validate

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.catalog import Resource
    from springboard_local.kubernetes.embedded.store import Store

NODE_PORTS = range(30000, 32768)
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_PROTECTED_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})


def random_suffix(length: int = 5) -> str:
    """Characters as generateName appends them."""
    return "".join(secrets.choice(_SUFFIX) for _ in range(length))


class Admission:
    """Defaults, allocation, validation."""

    def __init__(self, store: Store, service_cidr: str) -> None:
        self._store = store
        self._addresses = ipaddress.ip_network(service_cidr)

    @property
    def first_address(self) -> str:
        """The address of the Service `kubernetes`."""
        return str(self._addresses[1])

    def admit(self, resource: Resource, obj: Obj, old: Obj | None) -> None:
        """Complete an object in place; ApiError 403 or 422 if it can't be accepted."""
        apply_defaults(resource.kind, obj)
        if resource.kind == "Pod" and old is None:
            self._admit_pod(resource, obj)
        causes = validate(resource.kind, obj, old)
        if causes:
            raise invalid(resource, obj["metadata"].get("name", ""), causes)
        if resource.key == SERVICES:
            self._allocate(resource, obj, old)

    def check_delete(self, resource: Resource, name: str) -> None:
        """403 for the namespaces that can't be deleted."""
        if resource.kind == "Namespace" and name in _PROTECTED_NAMESPACES:
            raise forbidden(resource, name, "this namespace may not be deleted")

    # Pods

    def _admit_pod(self, resource: Resource, pod: Obj) -> None:
        spec, name = pod["spec"], pod["metadata"].get("name", "")
        self._resolve_priority(resource, name, spec)
        account = self._store.get(SERVICE_ACCOUNTS, namespace_of(pod), spec["serviceAccountName"])
        if account is None:
            wanted = f"{namespace_of(pod)}/{spec['serviceAccountName']}"
            why = f'error looking up service account {wanted}: serviceaccount "{spec["serviceAccountName"]}" not found'
            raise forbidden(resource, name, why)
        automount = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        if automount:
            _mount_token(spec)

    def _resolve_priority(self, resource: Resource, name: str, spec: Obj) -> None:
        wanted = spec.get("priorityClassName")
        if not wanted:
            return
        found = self._store.get(PRIORITY_CLASSES, "", wanted)
        if found is None:
            raise forbidden(resource, name, f"no PriorityClass with name {wanted} was found")
        spec["priority"] = found["value"]
        spec["preemptionPolicy"] = found.get("preemptionPolicy", "PreemptLowerPriority")

    # Services

    def _allocate(self, resource: Resource, service: Obj, old: Obj | None) -> None:
        spec, before = service["spec"], (old or {}).get("spec", {})
        if spec["type"] == "ExternalName":
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        else:
            if not spec.get("clusterIP"):
                spec["clusterIP"] = before.get("clusterIP") or self._free_address(service)
            elif spec["clusterIP"] != before.get("clusterIP"):
                self._check_address(resource, service)
            spec["clusterIPs"] = [spec["clusterIP"]]
        balanced = spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
        if spec["type"] == "NodePort" or balanced:
            self._allocate_ports(resource, service, before.get("ports") or [])
        else:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)

    def _others(self, service: Obj) -> list[Obj]:
        uid = service["metadata"].get("uid")
        return [other for other in self._store.list(SERVICES) if uid_of(other) != uid and not is_terminating(other)]

    def _free_address(self, service: Obj) -> str:
        taken = {other["spec"].get("clusterIP") for other in self._others(service)}
        while True:
            address = str(self._addresses[2 + secrets.randbelow(self._addresses.num_addresses - 3)])
            if address not in taken:
                return address

    def _check_address(self, resource: Resource, service: Obj) -> None:
        address = service["spec"]["clusterIP"]
        if address == "None":
            return
        field, name = "spec.clusterIPs", service["metadata"]["name"]
        shown = f'Invalid value: ["{address}"]: failed to allocate IP {address}: '
        try:
            inside = ipaddress.ip_address(address) in self._addresses
        except ValueError:
            raise invalid(
                resource,
                name,
                [
                    Cause(
                        "spec.clusterIPs[0]",
                        "FieldValueInvalid",
                        f'Invalid value: "{address}": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
                    )
                ],
            ) from None
        if not inside:
            why = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {self._addresses}"
            raise invalid(resource, name, [Cause(field, "FieldValueInvalid", shown + why)])
        if any(other["spec"].get("clusterIP") == address for other in self._others(service)):
            raise invalid(
                resource, name, [Cause(field, "FieldValueInvalid", shown + "provided IP is already allocated")]
            )

    def _allocate_ports(self, resource: Resource, service: Obj, before: list[Obj]) -> None:
        ports: list[Obj] = service["spec"].get("ports") or []
        # A port that was changed in other ways keeps its node port, by name.
        known = {port.get("name", ""): port["nodePort"] for port in before if port.get("nodePort")}
        given = {port["nodePort"] for port in ports if port.get("nodePort")}
        for port in ports:
            kept = known.get(port.get("name", ""))
            if not port.get("nodePort") and kept and kept not in given:
                port["nodePort"] = kept
        taken = {
            port["nodePort"]
            for other in self._others(service)
            for port in other["spec"].get("ports") or ()
            if port.get("nodePort")
        }
        mine = set(known.values())
        for i, port in enumerate(ports):
            wanted = port.get("nodePort")
            if not wanted:
                port["nodePort"] = _free_port(taken | {p["nodePort"] for p in ports if p.get("nodePort")})
            elif wanted not in mine:
                self._check_port(resource, service, i, taken)

    @staticmethod
    def _check_port(resource: Resource, service: Obj, index: int, taken: set[int]) -> None:
        wanted = service["spec"]["ports"][index]["nodePort"]
        if wanted in taken:
            why = "provided port is already allocated"
        elif wanted not in NODE_PORTS:
            why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
        else:
            return
        cause = Cause(f"spec.ports[{index}].nodePort", "FieldValueInvalid", f"Invalid value: {wanted}: {why}")
        raise invalid(resource, service["metadata"]["name"], [cause])


def _free_port(taken: set[int]) -> int:
    # The lower 86 ports are for those who ask for one; a genuine server keeps them free as long as it can.
    while (port := NODE_PORTS.start + 86 + secrets.randbelow(len(NODE_PORTS) - 86)) in taken:
        pass
    return port


def _mount_token(spec: Obj) -> None:
    """The projected volume with the service account's token, which every container sees."""
    if any(v["name"].startswith("kube-api-access-") for v in spec.get("volumes") or ()):
        return
    name = f"kube-api-access-{random_suffix()}"
    sources: list[Obj] = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]
    spec.setdefault("volumes", []).append({"name": name, "projected": {"defaultMode": 420, "sources": sources}})
    for container in containers_of(spec):
        mounts = container.setdefault("volumeMounts", [])
        if not any(mount.get("mountPath") == _MOUNT_PATH for mount in mounts):
            mounts.append({"name": name, "readOnly": True, "mountPath": _MOUNT_PATH})
