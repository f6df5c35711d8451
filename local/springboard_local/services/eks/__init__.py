"""Amazon EKS, following the documented lifecycle.

Other modules of the local cloud may ask for a cluster's control plane and for the node behind an
instance, and may let asynchronous steps fail; all else goes through the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from springboard_local.services import autoscaling, iam
from springboard_local.services.eks import responses, updates
from springboard_local.services.eks.faults import LifecycleFault, afflict, relieve
from springboard_local.services.eks.nodes import Follower
from springboard_local.services.eks.state import Eks

if TYPE_CHECKING:
    from springboard_local.cloud import Cloud
    from springboard_local.kubernetes.lane import ControlPlane


class _Present:
    """The EKS of the cloud that runs; one at a time, as moto's backends are the process's."""

    eks: Eks | None = None


def _eks() -> Eks:
    if _Present.eks is None:
        raise RuntimeError("no local cloud runs")
    return _Present.eks


def install(cloud: Cloud) -> None:
    """Serve EKS for `cloud`."""
    close(cloud)
    _begin(cloud)
    responses.register(_eks)
    iam.tags_of("eks", lambda arn: updates.tags_of(_eks(), arn))


def _begin(cloud: Cloud) -> None:
    _Present.eks = Eks(cloud)
    autoscaling.follow("eks", Follower(_Present.eks))


def reset(cloud: Cloud) -> None:
    """Forget all clusters, and stop their control planes."""
    close(cloud)
    _begin(cloud)


def close(_cloud: Cloud) -> None:
    """Stop all control planes. Idempotent."""
    eks, _Present.eks = _Present.eks, None
    if eks:
        eks.close()


def control_plane(cluster_name: str) -> ControlPlane | None:
    """The control plane of a cluster that is, or was, ACTIVE; None for any other."""
    cluster = _Present.eks.clusters.get(cluster_name) if _Present.eks else None
    return cluster.plane if cluster and "endpoint" in cluster.fields else None


def existing_arn(named: str) -> str:
    """The ARN of a node group, add-on or access entry that is named with a star for the uuid in it, if there is one."""
    return updates.existing_arn(_Present.eks, named) if _Present.eks else named


def node_of_instance(instance_id: str) -> tuple[str, str] | None:
    """Cluster and node name of an instance; None for one that is no node, or not yet."""
    for cluster in list(_Present.eks.clusters.values()) if _Present.eks else ():
        for group in list(cluster.nodegroups.values()):
            if name := group.instances.get(instance_id):
                return cluster.name, name
    return None


def inject(fault: LifecycleFault) -> LifecycleFault:
    """Let EKS's asynchronous work fail, or what is there fall ill.

    Raises LookupError when `when: now` finds no resource.
    """
    eks = _eks()
    if fault.when == "now":
        afflict(eks, fault)
        fault.withdraw = lambda: relieve(eks, fault)
    eks.cloud.pipeline.inject(fault)
    return fault


def fail_next(kind: str, name_glob: str, code: str, message: str) -> None:
    """Let the next asynchronous step of a matching resource fail with a code of EKS's own.

    `kind` is cluster, nodegroup, addon (their creation) or update (any update of a matching cluster, node
    group or add-on).
    """
    if kind == "update":
        inject(LifecycleFault(kind="update", name=name_glob, code=code, message=message))
    else:
        inject(LifecycleFault(kind="health", resource=kind, name=name_glob, code=code, message=message))
