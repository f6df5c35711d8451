"""Nodes follow instances: what Auto Scaling launches joins the cluster, what ends leaves it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from springboard_local.cloud import REGION
from springboard_local.kubernetes.lane import NodeSpec
from springboard_local.services.eks import calendar, manifests, network
from springboard_local.services.eks.instance_types import instance_type

if TYPE_CHECKING:
    from springboard_local.services.eks.state import Cluster, Eks, Nodegroup

LAUNCH_FAILURE = "AsgInstanceLaunchFailures"
JOIN = 60  # virtual seconds from an instance's launch to its node
NO_NETWORK = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"  # noqa: E501 - the kubelet's own words
EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


def has_network(cluster: Cluster) -> bool:
    """Whether new nodes get a network: from the vpc-cni add-on, or one that EKS installed unasked."""
    addon = cluster.addons.get("vpc-cni")
    if addon is None:
        return cluster.self_managed
    return cluster.self_managed or addon.status not in {"CREATING", "CREATE_FAILED"}


def find(eks: Eks, group: Any) -> tuple[Cluster, Nodegroup] | None:
    """The node group that an Auto Scaling group belongs to."""
    tags = {tag["Key"]: tag["Value"] for tag in group.tags}
    cluster = eks.clusters.get(tags.get("eks:cluster-name", ""))
    nodegroup = cluster.nodegroups.get(tags.get("eks:nodegroup-name", "")) if cluster else None
    if cluster is None or nodegroup is None or nodegroup.group_name != group.name:
        return None
    return cluster, nodegroup


class Follower:
    """Listens to Auto Scaling on behalf of EKS."""

    def __init__(self, eks: Eks) -> None:
        self._eks = eks

    def launched(self, group: Any, instance_ids: list[str]) -> None:
        """Let the instances join in a while."""
        found = find(self._eks, group)
        if not found:
            return
        cluster, nodegroup = found
        nodegroup.launch_error = ""
        self._eks.soon(partial(_judge, nodegroup))
        for each in instance_ids:
            nodegroup.instances[each] = ""
            self._eks.after(nodegroup.join_seconds, partial(join, cluster, nodegroup, each))

    def terminated(self, group: Any, instance_ids: list[str]) -> None:
        """Take the instances' nodes away."""
        found = find(self._eks, group)
        if found:
            cluster, nodegroup = found
            self._eks.soon(lambda: leave(cluster, nodegroup, instance_ids))

    def launch_failed(self, group: Any, reason: str) -> None:
        """Remember why, for the health of a group that does not come up."""
        found = find(self._eks, group)
        if found:
            nodegroup = found[1]
            nodegroup.launch_error = reason
            self._eks.soon(partial(_judge, nodegroup))


def _judge(group: Nodegroup) -> None:
    """A group that cannot launch is DEGRADED, and says why, until it can."""
    if group.launch_error and group.status == "ACTIVE":
        name = group.group_name or ""
        issue = {"code": LAUNCH_FAILURE, "message": group.launch_error, "resourceIds": [name]}
        group.fields.update(status="DEGRADED", health={"issues": [issue]})
    elif not group.launch_error and group.status == "DEGRADED":
        group.fields.update(status="ACTIVE", health={"issues": []})


def join(cluster: Cluster, group: Nodegroup, instance_id: str) -> None:
    """Make the Node of an instance that still runs."""
    instance = network.ec2().get_instance_by_id(instance_id)
    plane = cluster.plane
    if plane is None or cluster.deleted or instance_id not in group.instances or instance is None:
        return
    if instance.state != "running":
        return
    node = spec(cluster, group, instance)
    ready = has_network(cluster)
    plane.add_node(node, ready=ready, reason="" if ready else NO_NETWORK)
    group.instances[instance_id] = node.name


def leave(cluster: Cluster, group: Nodegroup, instance_ids: list[str]) -> None:
    """Remove the Nodes of instances that have ended."""
    for each in instance_ids:
        name = group.instances.pop(each, "")
        if name and cluster.plane and not cluster.deleted:
            cluster.plane.remove_node(name)


def spec(cluster: Cluster, group: Nodegroup, instance: Any) -> NodeSpec:
    """The Node that the instance registers."""
    kind = instance_type(instance.instance_type)
    assert kind is not None  # noqa: S101 - checked when the group was made
    fields = group.fields
    running = running_release(instance) or (fields["version"], fields["releaseVersion"])
    labels = {
        **fields["labels"],
        "eks.amazonaws.com/nodegroup": group.name,
        "eks.amazonaws.com/nodegroup-image": str(instance.image_id),
        "eks.amazonaws.com/capacityType": fields["capacityType"],
    }
    return NodeSpec(
        name=instance.private_dns_name,
        internal_ip=instance.private_ip,
        provider_id=f"aws:///{instance.placement.zone}/{instance.id}",
        instance_type=instance.instance_type,
        zone=instance.placement.zone,
        region=REGION,
        kubelet_version=f"v{running[1].partition('-')[0]}-eks-{instance.image_id[4:11]}",
        cpu=str(kind.cpus),
        memory=kind.memory,
        pods=110 if _prefixes(cluster) else kind.pods,
        architecture=kind.kubernetes_architecture,
        labels=labels,
        taints=tuple(
            {"key": each["key"], "value": each.get("value", ""), "effect": EFFECTS[each["effect"]]}
            for each in fields["taints"]
        ),
    )


def running_release(instance: Any) -> tuple[str, str] | None:
    """Version and release of the image that an instance runs."""
    image = network.ec2().amis.get(instance.image_id)
    if image is None or not image.description:
        return None
    release = image.description.rpartition(" ")[2]
    version = ".".join(release.split(".")[:2])
    return (version, release) if version in calendar.versions() else None


def _prefixes(cluster: Cluster) -> bool:
    """Whether vpc-cni delegates prefixes, so that a small node holds 110 pods."""
    from springboard_local.services.eks.addons import values  # noqa: PLC0415 - the two modules need each other

    addon = cluster.addons.get("vpc-cni")
    environment = values(addon).get("env", {}) if addon else {}
    return str(environment.get("ENABLE_PREFIX_DELEGATION", "false")).lower() == "true"


def ready(cluster: Cluster, group: Nodegroup) -> list[str]:
    """Names of the group's nodes whose Ready condition is true."""
    mine = {name for name in group.instances.values() if name}
    found = cluster.plane.nodes() if cluster.plane else []
    return [node["metadata"]["name"] for node in found if node["metadata"]["name"] in mine and manifests.ready(node)]


def relabel(cluster: Cluster, group: Nodegroup) -> None:
    """Give the group's nodes its present labels and taints."""
    for instance_id, name in group.instances.items():
        instance = network.ec2().get_instance_by_id(instance_id)
        if not name or instance is None or cluster.plane is None:
            continue
        node = spec(cluster, group, instance)
        cluster.plane.apply(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": dict(node.labels)},
                "spec": {"taints": [dict(each) for each in node.taints]},
            }
        )
