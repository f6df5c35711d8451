"""The Kubernetes objects of the add-ons: enough of each for kubectl to show it and for pods to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard_local.cloud import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "kube-system"
_REGISTRY = f"602401143452.dkr.ecr.{REGION}.amazonaws.com/eks"
_EVERYWHERE = [{"operator": "Exists"}]


def ready(node: dict[str, Any]) -> bool:
    """Whether a Node's Ready condition is true."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _labels(name: str, version: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/version": version.partition("-")[0],
        "app.kubernetes.io/managed-by": "EKS",
    }


def _workload(kind: str, name: str, version: str, selector: dict[str, str], pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {**_labels(name, version), **selector}},
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": {**selector, "app.kubernetes.io/name": name}}, "spec": pod},
        },
    }


def _container(name: str, version: str, requests: dict[str, str], **more: Any) -> dict[str, Any]:
    image = f"{_REGISTRY}/{name}:{version}"
    return {"name": name, "image": image, "resources": {"requests": requests}, **more}


def _service_account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}


def of(addon: str, version: str, values: dict[str, Any], *, dns_address: str) -> Iterator[dict[str, Any]]:
    """The objects of an add-on in a version with these configuration values; the cluster's DNS has that address."""
    match addon:
        case "coredns":
            yield from _coredns(version, values, dns_address)
        case "metrics-server":
            yield from _metrics_server(version, values)
        case "aws-ebs-csi-driver":
            yield from _ebs(version)
        case "vpc-cni":
            yield from _daemon_set("aws-node", "amazon-k8s-cni", version, values, {"cpu": "25m"})
        case "kube-proxy":
            yield from _daemon_set("kube-proxy", "kube-proxy", version, values, {"cpu": "100m"})
        case _:
            yield from _daemon_set(addon, addon, version, values, {"cpu": "10m"})


def _daemon_set(
    name: str, image: str, version: str, values: dict[str, Any], requests: dict[str, str]
) -> Iterator[dict[str, Any]]:
    container = _container(image, version, values.get("resources", {}).get("requests") or requests)
    container["name"] = name
    if environment := values.get("env"):
        container["env"] = [{"name": key, "value": str(each)} for key, each in sorted(environment.items())]
    pod = {
        "serviceAccountName": name,
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "tolerations": _EVERYWHERE,
        "containers": [container],
    }
    yield _service_account(name)
    yield _workload("DaemonSet", name, version, {"k8s-app": name}, pod)


def _coredns(version: str, values: dict[str, Any], address: str) -> Iterator[dict[str, Any]]:
    selector = {"k8s-app": "kube-dns"}
    port = {"containerPort": 53, "name": "dns", "protocol": "UDP"}
    container = _container("coredns", version, {"cpu": "100m", "memory": "70Mi"}, ports=[port])
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "tolerations": values.get("tolerations")
        or [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "containers": [container],
    }
    deployment = _workload("Deployment", "coredns", version, selector, pod)
    deployment["spec"]["replicas"] = values.get("replicaCount", 2)
    yield _service_account("coredns")
    yield deployment
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": NAMESPACE,
            "labels": {**selector, "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "selector": selector,
            "clusterIP": address,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
    }
    yield _budget("coredns", selector)


def _budget(name: str, selector: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }


def _metrics_server(version: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    selector = {"app.kubernetes.io/name": "metrics-server", "app.kubernetes.io/instance": "metrics-server"}
    container = _container("metrics-server", version, {"cpu": "100m", "memory": "200Mi"})
    pod = {"serviceAccountName": "metrics-server", "containers": [container]}
    deployment = _workload("Deployment", "metrics-server", version, selector, pod)
    deployment["spec"]["replicas"] = values.get("replicas", 2)
    yield _service_account("metrics-server")
    yield deployment
    yield _budget("metrics-server", selector)


def _ebs(version: str) -> Iterator[dict[str, Any]]:
    container = _container("aws-ebs-csi-driver", version, {"cpu": "10m", "memory": "40Mi"})
    deployment = _workload(
        "Deployment",
        "ebs-csi-controller",
        version,
        {"app": "ebs-csi-controller"},
        {"serviceAccountName": "ebs-csi-controller-sa", "containers": [container]},
    )
    deployment["spec"]["replicas"] = 2
    yield _service_account("ebs-csi-controller-sa")
    yield deployment
