"""What each EKS access policy permits, in the terms of Kubernetes' authorizer.

AWS documents the policies as lists of API groups, resources and verbs; they follow Kubernetes' own view,
edit and admin roles, with namespaces read-only and neither nodes nor evictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springboard_local.kubernetes.lane import Attributes

PREFIX = "arn:aws:eks::aws:cluster-access-policy/"
NAMES = (
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStorageClusterPolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSClusterInsightsPolicy",
    "AmazonEKSComputeClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSEventPolicy",
    "AmazonEKSHybridPolicy",
    "AmazonEKSLoadBalancingClusterPolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingClusterPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSSecretReaderPolicy",
    "AmazonEKSViewPolicy",
)

_READ = frozenset({"get", "list", "watch"})
_WRITE = frozenset({"create", "delete", "deletecollection", "patch", "update"})

# group → resources that the view policy reads; subresources are named where they count on their own.
_VIEW: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            "bindings",
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "namespaces",
            "namespaces/status",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/log",
            "pods/status",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
            "serviceaccounts",
            "services",
            "services/status",
        }
    ),
    "apps": frozenset(
        {
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        }
    ),
    "autoscaling": frozenset({"horizontalpodautoscalers", "horizontalpodautoscalers/status"}),
    "batch": frozenset({"cronjobs", "cronjobs/status", "jobs", "jobs/status"}),
    "discovery.k8s.io": frozenset({"endpointslices"}),
    "events.k8s.io": frozenset({"events"}),
    "networking.k8s.io": frozenset({"ingresses", "ingresses/status", "networkpolicies"}),
    "policy": frozenset({"poddisruptionbudgets", "poddisruptionbudgets/status"}),
}
_EDIT: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            "configmaps",
            "endpoints",
            "persistentvolumeclaims",
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
            "services/proxy",
        }
    ),
    "apps": frozenset(
        {
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        }
    ),
    "autoscaling": frozenset({"horizontalpodautoscalers"}),
    "batch": frozenset({"cronjobs", "jobs"}),
    "networking.k8s.io": frozenset({"ingresses", "networkpolicies"}),
    "policy": frozenset({"poddisruptionbudgets"}),
}
_EDIT_READS = frozenset({"secrets", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"})
_ADMIN = {
    "rbac.authorization.k8s.io": frozenset({"roles", "rolebindings"}),
    "authorization.k8s.io": frozenset({"localsubjectaccessreviews"}),
}


def _in(table: dict[str, frozenset[str]], attributes: Attributes) -> bool:
    return attributes.resource in table.get(attributes.group, ())


def _views(attributes: Attributes) -> bool:
    return attributes.verb in _READ and _in(_VIEW, attributes)


def _edits(attributes: Attributes) -> bool:
    if _views(attributes):
        return True
    if attributes.group == "" and attributes.resource == "serviceaccounts" and attributes.verb == "impersonate":
        return True
    if attributes.verb in _READ:
        return attributes.group == "" and attributes.resource in _EDIT_READS
    return attributes.verb in _WRITE and _in(_EDIT, attributes)


def _administers(attributes: Attributes) -> bool:
    return _edits(attributes) or (attributes.verb in _READ | _WRITE and _in(_ADMIN, attributes))


def permits(policy: str, attributes: Attributes) -> bool:  # noqa: PLR0911 - one answer for each policy
    """Whether the policy of that name permits the request, its scope apart."""
    match policy:
        case "AmazonEKSClusterAdminPolicy":
            return True
        case "AmazonEKSAdminViewPolicy":
            return attributes.verb in _READ and bool(attributes.resource)
        case "AmazonEKSAdminPolicy":
            return _administers(attributes)
        case "AmazonEKSEditPolicy":
            return _edits(attributes)
        case "AmazonEKSViewPolicy":
            return _views(attributes)
        case "AmazonEKSSecretReaderPolicy":
            return attributes.verb in _READ and (attributes.group, attributes.resource) == ("", "secrets")
    return False  # the policies of EKS's own components serve nobody here
