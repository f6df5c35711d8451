"""Faults of EKS's own work, with the codes of its API: creations and updates that fail, health that suffers."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from moto.core.utils import get_service_model

from springboard_local.faults import Fault

if TYPE_CHECKING:
    from springboard_local.services.eks.state import Cluster, Eks, Fields

KINDS = ("health", "update")
RESOURCES = ("cluster", "nodegroup", "addon")
WHEN = ("create", "now")
_SHAPES = {"cluster": "ClusterIssueCode", "nodegroup": "NodegroupIssueCode", "addon": "AddonIssueCode"}


@cache
def codes(kind: str, resource: str) -> tuple[str, ...]:
    """The codes that EKS's API has for issues of a resource, or for errors of an update."""
    shape = "ErrorCode" if kind == "update" else _SHAPES[resource]
    return tuple(get_service_model("eks").shape_for(shape).enum)


@dataclass
class LifecycleFault(Fault):
    """A failure that EKS reports by itself, later than the call that led to it.

    `health` with `when: create` ends a creation FAILED or CREATE_FAILED; with `when: now` a resource that is
    there gets the issue at once (a node group or add-on turns DEGRADED, a cluster stays ACTIVE as on AWS) and
    keeps it until the fault is cleared. `update` ends an update Failed with the error.
    """

    kind: str
    resource: str = "*"  # of an update, * is any
    name: str = "*"  # a glob
    cluster: str = "*"  # a glob; of a cluster's own faults the same as `name`
    when: str = "create"
    resourceIds: list[str] = field(default_factory=list)  # EKS's own name
    service: str = "eks"

    def __post_init__(self) -> None:
        """Raise ValueError for a kind, resource or code that EKS does not have."""
        super().__post_init__()
        _one_of("kind", self.kind, KINDS)
        _one_of("resource", self.resource, RESOURCES if self.kind == "health" else (*RESOURCES, "*"))
        _one_of("when", self.when, WHEN)
        _one_of(f"code of {self.kind} of {self.resource}", self.code, codes(self.kind, self.resource))
        if self.kind == "update" and self.when == "now":
            raise ValueError("when: now is for health; an update fails when there is one")
        if not isinstance(self.resourceIds, list) or not all(isinstance(each, str) for each in self.resourceIds):
            raise ValueError("resourceIds is a list of strings")
        self.message = self.message or f"{self.code}, as injected"

    def strikes(self, kind: str, resource: str, cluster: str, name: str) -> bool:
        """Whether this step is hit; counts it."""
        return (
            self.kind == kind
            and self.when == "create"
            and self.resource in {resource, "*"}
            and fnmatch.fnmatchcase(name, self.name)
            and fnmatch.fnmatchcase(cluster, self.cluster)
            and self.draw()
        )

    @property
    def issue(self) -> dict[str, Any]:
        """As a resource's `health` shows it."""
        return {"code": self.code, "message": self.message, "resourceIds": list(self.resourceIds)}


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{what} is one of {', '.join(known)}, not {value!r}")


def _afflicted(eks: Eks, fault: LifecycleFault) -> list[tuple[Fields, bool]]:
    """The resources that a fault of present health is for, and whether they show it by their status."""
    found: list[tuple[Fields, bool]] = []
    for cluster in eks.clusters.values():
        if not fnmatch.fnmatchcase(cluster.name, fault.cluster):
            continue
        for name, fields in _resources(cluster, fault.resource):
            if fnmatch.fnmatchcase(name, fault.name):
                found.append((fields, fault.resource != "cluster"))
    return found


def _resources(cluster: Cluster, kind: str) -> list[tuple[str, Fields]]:
    if kind == "cluster":
        return [(cluster.name, cluster.fields)]
    of_kind = cluster.nodegroups if kind == "nodegroup" else cluster.addons
    return [(name, each.fields) for name, each in of_kind.items()]


def afflict(eks: Eks, fault: LifecycleFault) -> None:
    """Give resources that are there the issue; LookupError when there is none to have it."""
    with eks.lock:
        found = [each for each in _afflicted(eks, fault) if each[0]["status"] in {"ACTIVE", "DEGRADED"}]
        if not found:
            raise LookupError(f"no ACTIVE {fault.resource} of the name {fault.name}")
        for fields, by_status in found:
            if fault.draw():
                issues = [*fields.get("health", {}).get("issues", []), fault.issue]
                fields["health"] = {"issues": issues}
                if by_status:
                    fields["status"] = "DEGRADED"


def relieve(eks: Eks, fault: LifecycleFault) -> None:
    """Take the issue away again; what has no other one is ACTIVE."""
    with eks.lock:
        for fields, by_status in _afflicted(eks, fault):
            issues = fields.get("health", {}).get("issues", [])
            left = [each for each in issues if each != fault.issue]
            if len(left) < len(issues):
                fields["health"] = {"issues": left}
                if by_status and not left and fields["status"] == "DEGRADED":
                    fields["status"] = "ACTIVE"
