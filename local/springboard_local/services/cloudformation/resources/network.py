"""EC2: networks and security groups."""

from __future__ import annotations

from typing import Any, ClassVar, override

from botocore.exceptions import ClientError

from springboard_local.services.cloudformation.resources.base import (
    Made,
    NeedsReplacementError,
    Properties,
    ResourceError,
    ResourceType,
    Work,
    boolean,
    changed,
    gone,
    only,
    picked,
    resource,
    tag_map,
    without,
)


def _tagged(work: Work, kind: str, properties: Properties) -> Properties:
    """The TagSpecifications of a create call."""
    tags = work.tags(properties.get("Tags"))
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def _retag(work: Work, physical_id: str, old: Properties, new: Properties) -> None:
    client, tags = work.client("ec2"), work.tags(new.get("Tags"))
    if removed := sorted(set(tag_map(old.get("Tags"))) - set(tag_map(tags))):
        client.delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in removed])
    if tags:
        client.create_tags(Resources=[physical_id], Tags=tags)


def _dissolved(work: Work, action: str, **parameters: Any) -> None:
    """Delete what may still be in use for a while, as interfaces linger after their owner has gone."""
    failed: list[ClientError] = []

    def done() -> bool:
        try:
            gone(getattr(work.client("ec2"), action), **parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "DependencyViolation":
                raise
            failed[:] = [error]
            return False
        return True

    try:
        work.wait(action, done, seconds=600, every=15)
    except ResourceError:
        raise failed[0] from None


class _Plain(ResourceType):
    """A resource that one call creates, one deletes, and whose tags alone may change."""

    kind: ClassVar[str]  # as TagSpecifications has it
    create_operation: ClassVar[str]
    answer: ClassVar[tuple[str, str]]  # where the answer has the ID
    delete_operation: ClassVar[str]
    id_name: ClassVar[str]
    id_attribute: ClassVar[str]

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "Tags"), **_tagged(work, self.kind, properties)}
        made = work.call("ec2", self.create_operation, request)[self.answer[0]]
        return self.made(made[self.answer[1]], made)

    def made(self, physical_id: str, _made: Any) -> Made:
        return Made(physical_id, {self.id_attribute: physical_id})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        if changed(without(old, "Tags"), without(new, "Tags")):
            raise NeedsReplacementError
        _retag(work, physical_id, old, new)
        return Made(physical_id, {self.id_attribute: physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(getattr(work.client("ec2"), self.delete_operation), **{self.id_name: physical_id})


@resource
class Vpc(ResourceType):
    """A VPC; its DNS settings are calls of their own."""

    TYPE = "AWS::EC2::VPC"
    replacing: ClassVar = frozenset({"CidrBlock"})
    _DNS = ("EnableDnsSupport", "EnableDnsHostnames")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "Tags", *self._DNS), **_tagged(work, "vpc", properties)}
        vpc = work.call("ec2", "CreateVpc", request)["Vpc"]["VpcId"]
        work.exists(vpc)
        self._dns(work, vpc, {}, properties)
        return self._made(work, vpc)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        self._dns(work, physical_id, old, new)
        _retag(work, physical_id, old, new)
        return self._made(work, physical_id)

    def _dns(self, work: Work, vpc: str, old: Properties, new: Properties) -> None:
        for name in self._DNS:
            if name in new and new[name] != old.get(name):
                work.call("ec2", "ModifyVpcAttribute", {"VpcId": vpc, name: {"Value": new[name]}})

    @staticmethod
    def _made(work: Work, vpc: str) -> Made:
        client = work.client("ec2")
        found = client.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]
        groups = client.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
        acls = client.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        attributes = {"VpcId": vpc, "CidrBlock": found["CidrBlock"]}
        attributes["CidrBlockAssociations"] = [each["AssociationId"] for each in found["CidrBlockAssociationSet"]]
        if groups:
            attributes["DefaultSecurityGroup"] = groups[0]["GroupId"]
        if acls:
            attributes["DefaultNetworkAcl"] = acls[0]["NetworkAclId"]
        return Made(vpc, attributes)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        _dissolved(work, "delete_vpc", VpcId=physical_id)


@resource
class Subnet(ResourceType):
    """A subnet."""

    TYPE = "AWS::EC2::Subnet"
    replacing: ClassVar = frozenset({"VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "Tags", "MapPublicIpOnLaunch"), **_tagged(work, "subnet", properties)}
        made = work.call("ec2", "CreateSubnet", request)["Subnet"]
        work.exists(made["SubnetId"])
        self._public(work, made["SubnetId"], {}, properties)
        return self._made(made)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        if changed(without(old, "Tags", "MapPublicIpOnLaunch"), without(new, "Tags", "MapPublicIpOnLaunch")):
            raise NeedsReplacementError
        self._public(work, physical_id, old, new)
        _retag(work, physical_id, old, new)
        return self._made(work.client("ec2").describe_subnets(SubnetIds=[physical_id])["Subnets"][0])

    @staticmethod
    def _public(work: Work, subnet: str, old: Properties, new: Properties) -> None:
        before, after = (boolean(each.get("MapPublicIpOnLaunch", False)) for each in (old, new))
        if before != after:
            work.client("ec2").modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": after})

    @staticmethod
    def _made(subnet: Any) -> Made:
        names = ("SubnetId", "VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId")
        return Made(subnet["SubnetId"], {name: subnet[name] for name in names if name in subnet})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        _dissolved(work, "delete_subnet", SubnetId=physical_id)


@resource
class InternetGateway(_Plain):
    """An internet gateway."""

    TYPE = "AWS::EC2::InternetGateway"
    kind, create_operation, answer = (
        "internet-gateway",
        "CreateInternetGateway",
        ("InternetGateway", "InternetGatewayId"),
    )
    delete_operation, id_name, id_attribute = "delete_internet_gateway", "InternetGatewayId", "InternetGatewayId"


@resource
class RouteTable(_Plain):
    """A route table."""

    TYPE = "AWS::EC2::RouteTable"
    kind, create_operation, answer = "route-table", "CreateRouteTable", ("RouteTable", "RouteTableId")
    delete_operation, id_name, id_attribute = "delete_route_table", "RouteTableId", "RouteTableId"


@resource
class VpcGatewayAttachment(ResourceType):
    """An internet gateway at a VPC."""

    TYPE = "AWS::EC2::VPCGatewayAttachment"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, ("VpcId", "InternetGatewayId"))
        work.call("ec2", "AttachInternetGateway", properties)
        return Made(f"IGW|{properties['VpcId']}", {"AttachmentType": "IGW"})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ec2").detach_internet_gateway, "Gateway.NotAttached", **properties)


@resource
class Eip(ResourceType):
    """An elastic IP address."""

    TYPE = "AWS::EC2::EIP"

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, ("Domain", "Tags"))
        request = {"Domain": properties.get("Domain", "vpc"), **_tagged(work, "elastic-ip", properties)}
        made = work.call("ec2", "AllocateAddress", request)
        attributes = {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]}
        return Made(made["PublicIp"], attributes)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        found = self._address(work, physical_id)
        if not found or changed(without(old, "Tags"), without(new, "Tags")):
            raise NeedsReplacementError
        _retag(work, found["AllocationId"], old, new)
        return Made(physical_id, {"AllocationId": found["AllocationId"], "PublicIp": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        if found := self._address(work, physical_id):
            gone(work.client("ec2").release_address, AllocationId=found["AllocationId"])

    @staticmethod
    def _address(work: Work, address: str) -> Any:
        try:
            found = work.client("ec2").describe_addresses(PublicIps=[address])["Addresses"]
        except ClientError:
            return None
        return found[0] if found else None


@resource
class NatGateway(_Plain):
    """A NAT gateway."""

    TYPE = "AWS::EC2::NatGateway"
    kind, create_operation, answer = "natgateway", "CreateNatGateway", ("NatGateway", "NatGatewayId")
    delete_operation, id_name, id_attribute = "delete_nat_gateway", "NatGatewayId", "NatGatewayId"

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        made = super().create(work, properties)
        work.exists(made.physical_id)
        work.wait(made.physical_id, lambda: self._state(work, made.physical_id) == "available", seconds=900)
        return made

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        super().delete(work, physical_id, properties)
        work.wait(physical_id, lambda: self._state(work, physical_id) == "deleted", seconds=900)

    @staticmethod
    def _state(work: Work, physical_id: str) -> str:
        try:
            found = work.client("ec2").describe_nat_gateways(NatGatewayIds=[physical_id])["NatGateways"]
        except ClientError:
            return "deleted"
        return str(found[0]["State"]) if found else "deleted"


@resource
class Route(ResourceType):
    """One route of a table."""

    TYPE = "AWS::EC2::Route"
    replacing: ClassVar = frozenset({"RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"})
    _KEY = ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        work.call("ec2", "CreateRoute", properties)
        where = properties.get("DestinationCidrBlock") or properties.get("DestinationIpv6CidrBlock") or ""
        return Made(f"{properties['RouteTableId']}|{where}", {"CidrBlock": where})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        work.call("ec2", "ReplaceRoute", new)
        return Made(physical_id, {"CidrBlock": new.get("DestinationCidrBlock", "")})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ec2").delete_route, **picked(properties, *self._KEY))


@resource
class SubnetRouteTableAssociation(ResourceType):
    """A subnet's route table."""

    TYPE = "AWS::EC2::SubnetRouteTableAssociation"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        made = work.call("ec2", "AssociateRouteTable", properties)["AssociationId"]
        return Made(made, {"Id": made})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ec2").disassociate_route_table, AssociationId=physical_id)


_RULE = ("IpProtocol", "FromPort", "ToPort")


def _permission(rule: Properties, *, ingress: bool) -> Properties:
    """One rule of a template as an IpPermission."""
    peer = "Source" if ingress else "Destination"
    known = (
        *_RULE,
        "CidrIp",
        "CidrIpv6",
        "Description",
        f"{peer}SecurityGroupId",
        f"{peer}PrefixListId",
        "SourceSecurityGroupOwnerId",
        "GroupId",
    )
    only("a security group rule", rule, known)
    described = picked(rule, "Description")
    permission: Properties = {"IpProtocol": str(rule["IpProtocol"])}
    permission |= {name: int(rule[name]) for name in ("FromPort", "ToPort") if name in rule}
    if "CidrIp" in rule:
        permission["IpRanges"] = [{"CidrIp": rule["CidrIp"], **described}]
    elif "CidrIpv6" in rule:
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **described}]
    elif group := rule.get(f"{peer}SecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": group, **described}]
    elif prefix_list := rule.get(f"{peer}PrefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": prefix_list, **described}]
    else:
        raise ResourceError(f"A security group rule needs a {peer.lower()}")
    return permission


def _authorize(work: Work, group: str, rules: list[Properties], *, ingress: bool) -> None:
    action = "authorize_security_group_ingress" if ingress else "authorize_security_group_egress"
    if rules:
        permissions = [_permission(rule, ingress=ingress) for rule in rules]
        getattr(work.client("ec2"), action)(GroupId=group, IpPermissions=permissions)


def _revoke(work: Work, group: str, rules: list[Properties], *, ingress: bool) -> None:
    action = "revoke_security_group_ingress" if ingress else "revoke_security_group_egress"
    for rule in rules:
        permission = _permission(rule, ingress=ingress)
        gone(getattr(work.client("ec2"), action), GroupId=group, IpPermissions=[permission])


_ALL = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


@resource
class SecurityGroup(ResourceType):
    """A security group with rules of its own; egress rules take the place of the one that allows all."""

    TYPE = "AWS::EC2::SecurityGroup"
    replacing: ClassVar = frozenset({"GroupName", "GroupDescription", "VpcId"})
    _KNOWN = ("GroupName", "GroupDescription", "VpcId", "SecurityGroupIngress", "SecurityGroupEgress", "Tags")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, self._KNOWN)
        request = {
            "GroupName": properties.get("GroupName") or work.name(255),
            "Description": properties["GroupDescription"],
            **picked(properties, "VpcId"),
            **_tagged(work, "security-group", properties),
        }
        group = work.call("ec2", "CreateSecurityGroup", request)["GroupId"]
        work.exists(group)
        _authorize(work, group, properties.get("SecurityGroupIngress", []), ingress=True)
        if "SecurityGroupEgress" in properties:
            _revoke(work, group, [_ALL], ingress=False)
            _authorize(work, group, properties["SecurityGroupEgress"], ingress=False)
        return Made(group, {"GroupId": group, **picked(properties, "VpcId")})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, self._KNOWN)
        for name, default in (("SecurityGroupIngress", []), ("SecurityGroupEgress", [_ALL])):
            before, after = old.get(name, default), new.get(name, default)
            ingress = name == "SecurityGroupIngress"
            _authorize(work, physical_id, [rule for rule in after if rule not in before], ingress=ingress)
            _revoke(work, physical_id, [rule for rule in before if rule not in after], ingress=ingress)
        _retag(work, physical_id, old, new)
        return Made(physical_id, {"GroupId": physical_id, **picked(new, "VpcId")})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        _dissolved(work, "delete_security_group", GroupId=physical_id)


class _Rule(ResourceType):
    """One rule of a security group."""

    updatable = False
    ingress: ClassVar[bool]

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        action = "authorize_security_group_ingress" if self.ingress else "authorize_security_group_egress"
        permission = _permission(properties, ingress=self.ingress)
        client = work.client("ec2")
        answer = getattr(client, action)(GroupId=properties["GroupId"], IpPermissions=[permission])
        rules = answer.get("SecurityGroupRules") or []
        identity = rules[0]["SecurityGroupRuleId"] if rules else work.name()
        return Made(identity, {"Id": identity})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        _revoke(work, properties["GroupId"], [properties], ingress=self.ingress)


@resource
class SecurityGroupIngress(_Rule):
    """An ingress rule."""

    TYPE = "AWS::EC2::SecurityGroupIngress"
    ingress = True


@resource
class SecurityGroupEgress(_Rule):
    """An egress rule."""

    TYPE = "AWS::EC2::SecurityGroupEgress"
    ingress = False


@resource
class VpcEndpoint(ResourceType):
    """A gateway or interface endpoint."""

    TYPE = "AWS::EC2::VPCEndpoint"
    replacing: ClassVar = frozenset({"VpcId", "ServiceName", "VpcEndpointType"})
    _KNOWN = (
        "VpcId",
        "ServiceName",
        "VpcEndpointType",
        "RouteTableIds",
        "SubnetIds",
        "SecurityGroupIds",
        "PrivateDnsEnabled",
        "PolicyDocument",
        "Tags",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, self._KNOWN)
        request = {**without(properties, "Tags"), **_tagged(work, "vpc-endpoint", properties)}
        made = work.call("ec2", "CreateVpcEndpoint", request)["VpcEndpoint"]
        return Made(made["VpcEndpointId"], {"Id": made["VpcEndpointId"]})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request: Properties = {"VpcEndpointId": physical_id, **picked(new, "PolicyDocument", "PrivateDnsEnabled")}
        for name, plural in (
            ("RouteTable", "RouteTableIds"),
            ("Subnet", "SubnetIds"),
            ("SecurityGroup", "SecurityGroupIds"),
        ):
            before, after = set(old.get(plural, [])), set(new.get(plural, []))
            request |= {f"Add{name}Ids": sorted(after - before)} if after - before else {}
            request |= {f"Remove{name}Ids": sorted(before - after)} if before - after else {}
        if len(request) > 1 and changed(without(old, "Tags"), without(new, "Tags")):
            work.call("ec2", "ModifyVpcEndpoint", request)
        _retag(work, physical_id, old, new)
        return Made(physical_id, {"Id": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ec2").delete_vpc_endpoints, VpcEndpointIds=[physical_id])


@resource
class FlowLog(ResourceType):
    """A flow log."""

    TYPE = "AWS::EC2::FlowLog"

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {
            **without(properties, "Tags", "ResourceId"),
            "ResourceIds": [properties["ResourceId"]],
            **_tagged(work, "vpc-flow-log", properties),
        }
        answer = work.call("ec2", "CreateFlowLogs", request)
        if answer.get("Unsuccessful"):
            raise ResourceError(answer["Unsuccessful"][0]["Error"]["Message"])
        made = answer["FlowLogIds"][0]
        return Made(made, {"Id": made})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        if changed(without(old, "Tags"), without(new, "Tags")):
            raise NeedsReplacementError
        _retag(work, physical_id, old, new)
        return Made(physical_id, {"Id": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ec2").delete_flow_logs, FlowLogIds=[physical_id])


@resource
class LaunchTemplate(ResourceType):
    """A launch template."""

    TYPE = "AWS::EC2::LaunchTemplate"
    replacing: ClassVar = frozenset({"LaunchTemplateName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("LaunchTemplateName") or work.name(128)
        request = {**without(properties, "TagSpecifications"), "LaunchTemplateName": name}
        made = work.call("ec2", "CreateLaunchTemplate", request)["LaunchTemplate"]
        return self._made(made)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = {"LaunchTemplateId": physical_id, **picked(new, "LaunchTemplateData", "VersionDescription")}
        work.call("ec2", "CreateLaunchTemplateVersion", request)
        found = work.client("ec2").describe_launch_templates(LaunchTemplateIds=[physical_id])
        return self._made(found["LaunchTemplates"][0])

    @staticmethod
    def _made(template: Any) -> Made:
        attributes = {
            "LaunchTemplateId": template["LaunchTemplateId"],
            "LatestVersionNumber": str(template["LatestVersionNumber"]),
            "DefaultVersionNumber": str(template["DefaultVersionNumber"]),
        }
        return Made(template["LaunchTemplateId"], attributes)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("ec2").delete_launch_template, LaunchTemplateId=physical_id)
