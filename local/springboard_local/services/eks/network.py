"""What EKS makes and looks up in EC2: subnets, the cluster security group, network interfaces, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.services.eks.errors import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def ec2() -> Any:
    """The account's EC2."""
    return ec2_backends[ACCOUNT][REGION]


def subnets(ids: Sequence[str], cluster: str | None = None) -> list[Any]:
    """The subnets of these ids, all in one VPC; InvalidParameterException otherwise."""
    known = {subnet.id: subnet for zone in ec2().subnets.values() for subnet in zone.values()}
    missing = [each for each in ids if each not in known]
    if missing:
        names = ", ".join(missing)
        raise invalid_parameter(f"The subnet ID '{names}' does not exist (Service: AmazonEC2)", cluster)
    found = [known[each] for each in dict.fromkeys(ids)]
    if len({subnet.vpc_id for subnet in found}) > 1:
        raise invalid_parameter("Subnets must belong to the same VPC", cluster)
    return found


def security_groups(ids: Iterable[str], vpc_id: str, cluster: str | None = None) -> list[str]:
    """The ids again, if each is a security group of the VPC."""
    checked = list(ids)
    for each in checked:
        group = ec2().get_security_group_from_id(each)
        if group is None:
            raise invalid_parameter(f"The security group ID '{each}' does not exist (Service: AmazonEC2)", cluster)
        if group.vpc_id != vpc_id:
            message = f"Security group(s) [{each}] are not in the same VPC as the subnets."
            raise invalid_parameter(message, cluster)
    return checked


def make_cluster_group(cluster: str, vpc_id: str, suffix: str) -> str:
    """The security group that EKS makes for a cluster; it admits itself and lets everything out."""
    group = ec2().create_security_group(
        f"eks-cluster-sg-{cluster}-{suffix}",
        "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        vpc_id=vpc_id,
        tags={
            "Name": f"eks-cluster-sg-{cluster}-{suffix}",
            "aws:eks:cluster-name": cluster,
            f"kubernetes.io/cluster/{cluster}": "owned",
        },
    )
    ec2().authorize_security_group_ingress(
        group.id, "-1", None, None, [], source_groups=[{"GroupId": group.id, "UserId": ACCOUNT}]
    )
    return str(group.id)


def make_control_plane_interfaces(cluster: str, subnet_ids: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The requester-managed interfaces by which a control plane reaches the VPC, one in each of two subnets."""
    made = []
    chosen: dict[str, Any] = {}
    for subnet in subnets(subnet_ids):
        chosen.setdefault(subnet.availability_zone, subnet)
    for subnet in list(chosen.values())[:2]:
        interface = ec2().create_network_interface(
            subnet,
            subnet.get_available_subnet_ip(instance=None),
            group_ids=list(groups),
            description=f"Amazon EKS {cluster}",
            tags={"cluster.k8s.amazonaws.com/name": cluster},
        )
        interface.requester_managed = True
        interface.requester_id = "amazon-eks"
        interface.status = "in-use"
        made.append(interface.id)
    return made


def remove_interfaces(ids: Iterable[str]) -> None:
    """Delete network interfaces; those gone already are fine."""
    for each in ids:
        interface = ec2().enis.get(each)
        if interface:
            interface.delete()


def remove_security_group(group_id: str) -> None:
    """Delete EKS's own security group; it stays, as on AWS, where something still needs it."""
    try:
        ec2().delete_security_group(group_id=group_id)
    except EC2ClientError:
        return


def image(version: str, release: str, architecture: str) -> str:
    """Id of the EKS-optimised image, registered when it is first asked for."""
    name = f"amazon-eks-node-al2023-{architecture}-standard-{version}-v{release.rpartition('-')[2]}"
    backend = ec2()
    found = next((each for each in backend.amis.values() if each.name == name), None)
    if found is None:
        found = backend.register_image(name=name, description=f"EKS-optimized Kubernetes node, {release}")
        found.architecture = architecture
        found.root_device_name = "/dev/xvda"
        found.owner_id = "602401143452"
        found.public = True
    return str(found.id)


def launch_template(reference: Mapping[str, str]) -> tuple[Any, Any]:
    """The launch template and the version that a node group's specification means."""
    backend = ec2()
    if bool(reference.get("id")) == bool(reference.get("name")):
        raise invalid_parameter("You must specify either the launch template ID or the launch template name.")
    try:
        template = (
            backend.get_launch_template(reference["id"])
            if reference.get("id")
            else backend.get_launch_template_by_name(reference["name"])
        )
        return template, template.get_version(reference.get("version") or "$Default")
    except EC2ClientError as err:
        raise invalid_parameter(f"Launch template not found: {reference}") from err
