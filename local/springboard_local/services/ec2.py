"""EC2 where moto would lie: what is in use cannot be deleted, and interfaces go with their instance."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.models.subnets import Subnet
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from springboard_local.cloud import Cloud

_mending = Mending()
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
    """Refuse while the VPC has security groups besides its default one, or a gateway."""
    extra = [group for group in self.groups.get(vpc_id, {}).values() if group.name != "default"]
    gateways = [each for each in self.internet_gateways.values() if each.vpc and each.vpc.id == vpc_id]
    if extra or gateways:
        raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    return super(EC2Backend, self).delete_vpc(vpc_id)


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
    for address in self.address_by_ip([each["PublicIp"] for each in gateway.address_set if "PublicIp" in each]):
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
        terminate_instances=_terminate_instances,
    )
    _mending.replace(Instance, prep_nics=_prep_nics(Instance.prep_nics))
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
