"""What a NodePort leads to, and whether NetworkPolicies let it through."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded.controllers.endpoints import selected_pods, target_port
from springboard_local.kubernetes.embedded.objects import (
    NETWORK_POLICIES,
    NODES,
    SERVICES,
    Obj,
    find_condition,
    internal_ip,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    node_of,
)
from springboard_local.kubernetes.embedded.selectors import matches
from springboard_local.kubernetes.lane import Backend

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.store import Store


def backends(store: Store, node_port: int) -> list[Backend]:
    """The pods behind the Service that has the NodePort."""
    for service in store.list(SERVICES):
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort") == node_port:
                pods = selected_pods(store, service)
                return [_backend(store, pod, port) for pod in pods if not is_finished(pod)]
    return []


def _backend(store: Store, pod: Obj, port: Obj) -> Backend:
    target = target_port(pod, port)
    ready = is_ready(pod) and not is_terminating(pod) and target is not None
    return Backend(
        namespace=namespace_of(pod),
        pod=name_of(pod),
        node=node_of(pod),
        ip=pod.get("status", {}).get("podIP") or "",
        ready=ready,
        reason="" if ready else _why_unready(pod, target),
        admits_vpc=target is not None and _admits_nodes(store, pod, target, port.get("protocol", "TCP")),
        image=pod["spec"]["containers"][0].get("image", ""),
    )


def _why_unready(pod: Obj, target: int | None) -> str:
    """The first thing that keeps a pod from serving."""
    if is_terminating(pod):
        return "Terminating"
    for status in pod.get("status", {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    scheduled = find_condition(pod, "PodScheduled")
    if scheduled and scheduled["status"] == "False":
        return str(scheduled.get("reason") or "Unschedulable")
    if is_ready(pod) and target is None:
        return "NoTargetPort"
    return "ContainersNotReady" if node_of(pod) else "Pending"


def _admits_nodes(store: Store, pod: Obj, port: int, protocol: str) -> bool:
    """Whether traffic from every node's address reaches the port: a NodePort may be entered at any node."""
    policies = store.list(
        NETWORK_POLICIES,
        namespace_of(pod),
        lambda p: (
            "Ingress" in (p["spec"].get("policyTypes") or ()) and matches(p["spec"]["podSelector"], labels_of(pod))
        ),
    )
    if not policies:
        return True
    rules = [rule for policy in policies for rule in policy["spec"].get("ingress") or ()]
    fitting = [rule for rule in rules if _opens_port(rule, pod, port, protocol)]
    addresses = [internal_ip(node) for node in store.list(NODES)]
    own = next((internal_ip(n) for n in store.list(NODES) if name_of(n) == node_of(pod)), "")
    # Traffic from a pod's own node is never blocked.
    return all(any(_admits(rule, a) for rule in fitting) for a in addresses if a and a != own) and bool(fitting)


def _opens_port(rule: Obj, pod: Obj, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if not ports:
        return True
    for entry in ports:
        wanted = entry.get("port")
        if isinstance(wanted, str):
            wanted = target_port(pod, {"port": 0, "targetPort": wanted})
        last = entry.get("endPort", wanted)
        if entry.get("protocol", "TCP") == protocol and (wanted is None or wanted <= port <= last):
            return True
    return False


def _admits(rule: Obj, address: str) -> bool:
    peers = rule.get("from")
    if not peers:
        return True
    source = ipaddress.ip_address(address)
    for peer in peers:
        block = peer.get("ipBlock")
        if block and source in ipaddress.ip_network(block["cidr"], strict=False):
            excluded = (ipaddress.ip_network(e, strict=False) for e in block.get("except") or ())
            if not any(source in network for network in excluded):
                return True
    return False
