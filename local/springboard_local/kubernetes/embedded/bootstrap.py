"""What a new cluster holds before anybody has used it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from springboard_local.kubernetes.embedded import rbac
from springboard_local.kubernetes.embedded.objects import (
    LEASES,
    NAMESPACES,
    PRIORITY_CLASSES,
    SERVICES,
    STORAGE_CLASSES,
    Obj,
    clone,
    micro_now,
    now,
    set_condition,
)

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.controllers.context import Context
    from springboard_local.kubernetes.lane import NodeSpec

LEASE_NAMESPACE = "kube-node-lease"
_NAMESPACES = ("default", "kube-system", "kube-public", LEASE_NAMESPACE)
_PRIORITIES = (
    (
        "system-node-critical",
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
)
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
# The one object of EKS's own that a new cluster has.
STORAGE_CLASS: Obj = {
    "metadata": {"name": "gp2"},
    "provisioner": "kubernetes.io/aws-ebs",
    "volumeBindingMode": "WaitForFirstConsumer",
    "parameters": {"type": "gp2", "fsType": "ext4"},
}
_NETWORK_NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
    "returns error: cni plugin not initialized"
)


def fill(context: Context, service_address: str, port: int) -> None:
    """Namespaces, roles, priorities, and the Service `kubernetes`."""
    for name in _NAMESPACES:
        context.create(NAMESPACES, "", {"metadata": {"name": name}}, "kube-apiserver")
    for obj in rbac.default_roles():
        resource = context.registry.catalog.resource(obj["apiVersion"], obj["kind"])
        if resource:
            context.create(resource.key, "", clone(obj), "kube-apiserver")
    for name, value, description in _PRIORITIES:
        body = {"metadata": {"name": name}, "value": value, "description": description}
        context.create(PRIORITY_CLASSES, "", body, "kube-apiserver")
    context.create(STORAGE_CLASSES, "", clone(STORAGE_CLASS), "eks")
    labels = {"component": "apiserver", "provider": "kubernetes"}
    spec = {
        "clusterIP": service_address,
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
    }
    service = {"metadata": {"name": "kubernetes", "labels": labels}, "spec": spec}
    context.create(SERVICES, "default", service, "kube-apiserver")


def node_object(spec: NodeSpec) -> Obj:
    """The Node that a kubelet on EC2 registers; its Ready condition is set apart."""
    labels = {
        "beta.kubernetes.io/arch": spec.architecture,
        "beta.kubernetes.io/instance-type": spec.instance_type,
        "beta.kubernetes.io/os": "linux",
        "failure-domain.beta.kubernetes.io/region": spec.region,
        "failure-domain.beta.kubernetes.io/zone": spec.zone,
        "kubernetes.io/arch": spec.architecture,
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": spec.instance_type,
        "topology.k8s.aws/zone-id": "",
        "topology.kubernetes.io/region": spec.region,
        "topology.kubernetes.io/zone": spec.zone,
        **spec.labels,
    }
    capacity = {
        "cpu": spec.cpu,
        "ephemeral-storage": "50Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": spec.memory,
        "pods": str(spec.pods),
    }
    identity = hashlib.sha256(spec.provider_id.encode()).hexdigest()
    node_spec: Obj = {"providerID": spec.provider_id}
    if spec.taints:
        node_spec["taints"] = [dict(taint) for taint in spec.taints]
    return {
        "metadata": {"name": spec.name, "labels": {k: v for k, v in labels.items() if v}},
        "spec": node_spec,
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": spec.internal_ip},
                {"type": "InternalDNS", "address": spec.name},
                {"type": "Hostname", "address": spec.name},
            ],
            "allocatable": dict(capacity),
            "capacity": capacity,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": spec.architecture,
                "bootID": identity[:32],
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.46-66.121.amzn2023.x86_64"
                if spec.architecture == "amd64"
                else "6.12.46-66.121.amzn2023.aarch64",
                "kubeProxyVersion": "",
                "kubeletVersion": spec.kubelet_version,
                "machineID": identity[:32],
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023",
                "systemUUID": identity[32:64],
            },
        },
    }


def set_node_conditions(status: Obj, *, ready: bool, reason: str, silent: str = "") -> None:
    """The conditions that a kubelet posts; `silent` is the message about one that has stopped to."""
    if silent:
        for kind, _, _ in _PRESSURES:
            set_condition(status, kind, "Unknown", "NodeStatusUnknown", silent, lastHeartbeatTime=now())
        set_condition(status, "Ready", "Unknown", "NodeStatusUnknown", silent, lastHeartbeatTime=now())
        return
    for kind, why, message in _PRESSURES:
        set_condition(status, kind, "False", why, message, lastHeartbeatTime=now())
    if ready:
        why, message = "KubeletReady", "kubelet is posting ready status"
        set_condition(status, "Ready", "True", why, message, lastHeartbeatTime=now())
    else:
        # A text with spaces is a message; a word is a reason.
        worded = " " in reason
        why = "KubeletNotReady" if worded or not reason else reason
        message = reason if worded else _NETWORK_NOT_READY
        set_condition(status, "Ready", "False", why, message, lastHeartbeatTime=now())


def create_lease(context: Context, node: Obj) -> None:
    """The heartbeat object of a node, which `kubectl describe node` shows."""
    name = node["metadata"]["name"]
    if context.store.get(LEASES, LEASE_NAMESPACE, name):
        return
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_now()}
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    body = {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": spec}
    context.create(LEASES, LEASE_NAMESPACE, body, "kubelet")
