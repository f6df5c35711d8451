"""EC2 where moto would lie: what is in use cannot be deleted, and interfaces go with their instance."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError, InvalidLaunchTemplateVersionNotFound
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.models.subnets import Subnet
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces

from springboard_local import pipeline
from springboard_local.cloud import ACCOUNT
from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from springboard_local.cloud import Cloud
    from springboard_local.pipeline import Call

_mending = Mending()
_going: set[str] = set()  # VPCs that are being deleted, and take their default groups along
_listeners: list[Callable[[list[str]], None]] = []


def on_termination(listener: Callable[[list[str]], None]) -> None:
    """Tell `listener` the ids of instances that have been terminated, by whomever."""
    if listener not in _listeners:
        _listeners.append(listener)


def _groups(backend: Any) -> Iterable[Any]:
    return [group for groups in list(backend.groups.values()) for group in list(groups.values())]


def _refers(group: Any, group_id: str) -> bool:
    rules = [*group.ingress_rules, *group.egress_rules]
    return any((rule.source_group or {}).get("GroupId") == group_id for rule in rules)


def interfaces_with(backend: Any, group_id: str) -> list[Any]:
    """The network interfaces that a security group is on."""
    return [each for each in list(backend.enis.values()) if any(group.id == group_id for group in each.group_set)]


def _delete_security_group(self: Any, vpc_id: str | None, group_id: str) -> None:
    """Refuse while a rule of another group refers to the group, or an interface has it."""
    group = self.get_security_group_from_id(group_id)
    if group is not None and group.name == "default" and group.vpc_id not in _going:
        message = f'the specified group: "{group_id}" name: "default" cannot be deleted by a user'
        raise EC2ClientError("CannotDelete", message)
    others = [group for group in _groups(self) if group.id != group_id]
    if any(_refers(group, group_id) for group in others) or interfaces_with(self, group_id):
        raise DependencyViolationError(f"resource {group_id} has a dependent object")
    self.groups[vpc_id or self.default_vpc.id].pop(group_id)


def _delete_subnet(self: Any, subnet_id: str) -> Any:
    """Refuse while a network interface is in the subnet."""
    if any(each.subnet.id == subnet_id for each in list(self.enis.values())):
        raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    return super(EC2Backend, self).delete_subnet(subnet_id)


def _get_available_subnet_ip(self: Any, instance: Any) -> str:
    """An address that was not used before, as long as there is one: names of nodes come from addresses."""
    for address in self._subnet_ip_generator:
        if str(address) not in self._subnet_ips and address != self.cidr.broadcast_address:
            self._subnet_ips[str(address)] = instance
            return str(address)
    if not self._unused_ips:
        message = (
            f"There are not enough free addresses in subnet '{self.id}' to satisfy the requested number of instances."
        )
        raise EC2ClientError("InsufficientFreeAddressesInSubnet", message)
    again = min(self._unused_ips, key=ipaddress.ip_address)
    self._unused_ips.discard(again)
    self._subnet_ips[str(again)] = instance
    return str(again)


def _delete_vpc(self: Any, vpc_id: str) -> Any:
    """Refuse while the VPC has security groups besides its default one, a gateway, endpoint or route table."""
    extra = [group for group in self.groups.get(vpc_id, {}).values() if group.name != "default"]
    gateways = [each for each in self.internet_gateways.values() if each.vpc and each.vpc.id == vpc_id]
    endpoints = [each for each in self.vpc_end_points.values() if each.vpc_id == vpc_id and each.state != "deleted"]
    tables = [each for each in self.route_tables.values() if each.vpc_id == vpc_id]
    if extra or gateways or endpoints or len(tables) > 1:
        raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    _going.add(vpc_id)
    try:
        return super(EC2Backend, self).delete_vpc(vpc_id)
    finally:
        _going.discard(vpc_id)


def _delete_internet_gateway(self: Any, internet_gateway_id: str) -> None:
    if self.get_internet_gateway(internet_gateway_id).vpc:
        message = f"The internetGateway '{internet_gateway_id}' has dependencies and cannot be deleted."
        raise DependencyViolationError(message)
    self.internet_gateways.pop(internet_gateway_id)


def _detach_internet_gateway(self: Any, internet_gateway_id: str, vpc_id: str) -> None:
    """Refuse while public addresses are mapped into the VPC."""
    if any(each.eni is not None and each.eni.subnet.vpc_id == vpc_id for each in self.addresses):
        raise DependencyViolationError(
            f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before "
            "detaching the gateway."
        )
    super(EC2Backend, self).detach_internet_gateway(internet_gateway_id, vpc_id)


def _release_address(self: Any, address: str | None = None, allocation_id: str | None = None) -> None:
    """Refuse while a network interface, such as a NAT gateway's, has the address."""
    found = self.address_by_ip([address]) if address else self.address_by_allocation([allocation_id])
    if found[0].eni is not None:
        raise EC2ClientError("InvalidIPAddress.InUse", f"Address {found[0].public_ip} is in use.")
    super(EC2Backend, self).release_address(address, allocation_id)


# Versions of launch templates: moto finds them by their place in a list, so that none could be deleted.


def _create_version(self: Any, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """A number is never given twice."""
    number = self.highest = getattr(self, "highest", 0) + 1
    version = LaunchTemplateVersion(self, number, data, description)
    self.versions.append(version)
    return version


def _get_version(self: Any, num: Any) -> Any:
    if str(num).lower() == "$latest":
        return self.versions[-1]
    number = str(getattr(self, "default_version_number", 1)) if str(num).lower() == "$default" else str(num)
    for version in self.versions:
        if str(version.number) == number:
            return version
    raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=num)


def _delete_versions(call: Call) -> dict[str, Any]:
    """DeleteLaunchTemplateVersions: the default version stays, and that is said version by version."""
    backend, wanted = ec2_backends[ACCOUNT][call.region], call.parameters
    template = (
        backend.get_launch_template(wanted["LaunchTemplateId"])
        if wanted.get("LaunchTemplateId")
        else backend.get_launch_template_by_name(wanted["LaunchTemplateName"])
    )
    done, kept = [], []
    for number in wanted["Versions"]:
        item = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "VersionNumber": int(number)}
        found = next((each for each in template.versions if str(each.number) == str(number)), None)
        if found is None:
            code, message = "launchTemplateVersionDoesNotExist", f"The version {number} does not exist."
            kept.append({**item, "ResponseError": {"Code": code, "Message": message}})
        elif template.is_default(found):
            message = f"Could not delete default version of launch template {template.id}."
            kept.append({**item, "ResponseError": {"Code": "unexpectedError", "Message": message}})
        else:
            template.versions.remove(found)
            done.append(item)
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": done,
        "UnsuccessfullyDeletedLaunchTemplateVersions": kept,
    }


def _prep_nics(original: Callable[..., None]) -> Callable[..., None]:
    def prep_nics(self: Any, nic_spec: list[dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        """Interfaces made at launch go with the instance, unless the launch says otherwise."""
        made = {each["DeviceIndex"] for each in nic_spec if not each.get("NetworkInterfaceId")} if nic_spec else {0}
        kept = {each["DeviceIndex"] for each in nic_spec if each.get("DeleteOnTermination") is False}
        original(self, nic_spec, *args, **kwargs)
        for index, interface in self.nics.items():
            if index in made and index not in kept:
                interface.delete_on_termination = True

    return prep_nics


def _cpu_options(self: Any) -> dict[str, int] | None:
    """The cores and threads that its type has by default; None for a type that is not known."""
    found = INSTANCE_TYPES.get(self.instance_type)
    if found is None:
        return None
    cores = found["VCpuInfo"]
    return {"CoreCount": cores["DefaultCores"], "ThreadsPerCore": cores["DefaultThreadsPerCore"]}


def _terminate_instances(self: Any, instance_ids: list[str]) -> Any:
    ended = super(EC2Backend, self).terminate_instances(instance_ids)
    ids = [instance.id for instance, before in ended if before.name != "terminated"]
    for listener in list(_listeners) if ids else ():
        listener(ids)
    return ended


def _delete_network_interface(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def delete_network_interface(self: Any) -> Any:
        """Refuse interfaces that are in use, or another service's."""
        interface = self.ec2_backend.enis.get(self._get_param("NetworkInterfaceId"))
        if interface is not None and interface.requester_managed:
            message = f"You do not have permission to access the specified resource: {interface.id}"
            raise EC2ClientError("OperationNotPermitted", message)
        if interface is not None and interface.status == "in-use":
            raise EC2ClientError("InvalidParameterValue", f"Network interface '{interface.id}' is currently in use.")
        return original(self)

    return delete_network_interface


def _delete_nat_gateway(self: Any, nat_gateway_id: str) -> Any:
    """The gateway's interface goes with it, so that its subnet can be deleted and its address released."""
    gateway = super(EC2Backend, self).delete_nat_gateway(nat_gateway_id)
    self.enis.pop(gateway._eni.id, None)
    for address in self.addresses:
        if address.eni is gateway._eni:
            address.eni = address.association_id = None
    return gateway


def install(cloud: Cloud) -> None:
    """Mend moto's ec2."""
    close(cloud)
    _mending.replace(
        EC2Backend,
        _delete_security_group=_delete_security_group,
        delete_nat_gateway=_delete_nat_gateway,
        delete_subnet=_delete_subnet,
        delete_vpc=_delete_vpc,
        delete_internet_gateway=_delete_internet_gateway,
        detach_internet_gateway=_detach_internet_gateway,
        release_address=_release_address,
        terminate_instances=_terminate_instances,
    )
    _mending.replace(
        LaunchTemplate,
        create_version=_create_version,
        get_version=_get_version,
        default_version=lambda template: template.get_version("$Default"),
    )
    pipeline.operation("ec2", "DeleteLaunchTemplateVersions")(_delete_versions)
    _mending.replace(Instance, prep_nics=_prep_nics(Instance.prep_nics), cpu_options=property(_cpu_options))
    _mending.replace(Subnet, get_available_subnet_ip=_get_available_subnet_ip)
    _mending.replace(
        ElasticNetworkInterfaces,
        delete_network_interface=_delete_network_interface(ElasticNetworkInterfaces.delete_network_interface),
    )


def reset(_cloud: Cloud) -> None:
    """Nothing of its own: moto's reset drops the backends."""


def close(_cloud: Cloud) -> None:
    """Give moto its own methods back. Idempotent."""
    _mending.undo()
    _listeners.clear()
