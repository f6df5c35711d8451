"""What is in use cannot be deleted, in AWS's own words: so that a teardown meets what it would meet there.

Words as users of AWS report them:

- subnets, security groups: https://github.com/aws/aws-cdk/issues/14456
- VPCs: https://github.com/gruntwork-io/cloud-nuke/issues/345
- internet gateways, route tables: https://github.com/saltstack/salt/issues/60140
- gateways of a VPC with public addresses: https://github.com/hashicorp/terraform/issues/497
- roles in instance profiles: https://github.com/rebuy-de/aws-nuke/issues/702, and those profiles:
  https://github.com/99designs/iamy/issues/47
- roles with attached policies: https://github.com/cloud-custodian/cloud-custodian/issues/4078, with inline ones:
  https://github.com/awslabs/aws-orbit-workbench/issues/633
- attached policies: https://github.com/hashicorp/terraform-provider-aws/issues/32906
- Auto Scaling groups: https://github.com/ansible/ansible/pull/8503

Without a report of AWS's own answer: the default group's words, the code for an address of a NAT gateway, and how
versions of a launch template are refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.clock import ManualClock

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}]}


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    """Code and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


class Network:
    """A VPC with one subnet."""

    def __init__(self, ec2: Any) -> None:
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        made = ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.9.0.0/24", AvailabilityZone="eu-west-1a")
        self.subnet = made["Subnet"]["SubnetId"]

    def group(self, name: str) -> str:
        return str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])

    def interface(self, *groups: str) -> str:
        made = self.ec2.create_network_interface(SubnetId=self.subnet, **({"Groups": list(groups)} if groups else {}))
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def gateway(self) -> str:
        made = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(VpcId=self.vpc, InternetGatewayId=made)
        return str(made)

    @property
    def busy(self) -> tuple[str, str]:
        return "DependencyViolation", f"The vpc '{self.vpc}' has dependencies and cannot be deleted."


@pytest.fixture
def network(aws: Any) -> Network:
    return Network(aws("ec2"))


def test_a_vpc_stays_while_it_has_a_subnet(network: Network) -> None:
    assert refused(network.ec2.delete_vpc, VpcId=network.vpc) == network.busy
    network.ec2.delete_subnet(SubnetId=network.subnet)
    network.ec2.delete_vpc(VpcId=network.vpc)


def test_a_vpc_stays_while_a_gateway_is_attached(network: Network) -> None:
    gateway = network.gateway()
    network.ec2.delete_subnet(SubnetId=network.subnet)
    assert refused(network.ec2.delete_vpc, VpcId=network.vpc) == network.busy
    code, message = refused(network.ec2.delete_internet_gateway, InternetGatewayId=gateway)
    assert code == "DependencyViolation"
    assert message == f"The internetGateway '{gateway}' has dependencies and cannot be deleted."
    network.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    network.ec2.delete_internet_gateway(InternetGatewayId=gateway)
    network.ec2.delete_vpc(VpcId=network.vpc)


def test_a_vpc_stays_while_it_has_a_group_of_its_own(network: Network) -> None:
    group = network.group("mine")
    network.ec2.delete_subnet(SubnetId=network.subnet)
    assert refused(network.ec2.delete_vpc, VpcId=network.vpc) == network.busy
    network.ec2.delete_security_group(GroupId=group)
    network.ec2.delete_vpc(VpcId=network.vpc)


def test_a_vpc_stays_while_it_has_an_endpoint_or_a_route_table(network: Network) -> None:
    endpoint = network.ec2.create_vpc_endpoint(
        VpcId=network.vpc, ServiceName="com.amazonaws.eu-west-1.s3", VpcEndpointType="Gateway"
    )["VpcEndpoint"]["VpcEndpointId"]
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.delete_subnet(SubnetId=network.subnet)
    assert refused(network.ec2.delete_vpc, VpcId=network.vpc) == network.busy
    network.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert refused(network.ec2.delete_vpc, VpcId=network.vpc) == network.busy
    network.ec2.delete_route_table(RouteTableId=table)
    network.ec2.delete_vpc(VpcId=network.vpc)


def test_a_subnet_stays_while_an_interface_is_in_it(network: Network) -> None:
    interface = network.interface()
    words = f"The subnet '{network.subnet}' has dependencies and cannot be deleted."
    assert refused(network.ec2.delete_subnet, SubnetId=network.subnet) == ("DependencyViolation", words)
    network.ec2.delete_network_interface(NetworkInterfaceId=interface)
    network.ec2.delete_subnet(SubnetId=network.subnet)


def test_a_route_table_stays_while_a_subnet_uses_it(network: Network) -> None:
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    made = network.ec2.associate_route_table(RouteTableId=table, SubnetId=network.subnet)
    words = f"The routeTable '{table}' has dependencies and cannot be deleted."
    assert refused(network.ec2.delete_route_table, RouteTableId=table) == ("DependencyViolation", words)
    network.ec2.disassociate_route_table(AssociationId=made["AssociationId"])
    network.ec2.delete_route_table(RouteTableId=table)


def test_a_group_stays_while_an_interface_or_another_groups_rule_needs_it(network: Network) -> None:
    group, other = network.group("one"), network.group("two")
    words = ("DependencyViolation", f"resource {group} has a dependent object")
    interface = network.interface(group)
    assert refused(network.ec2.delete_security_group, GroupId=group) == words
    network.ec2.delete_network_interface(NetworkInterfaceId=interface)
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": group}]}
    network.ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    network.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])  # its own does not hold it
    assert refused(network.ec2.delete_security_group, GroupId=group) == words
    network.ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[rule])
    network.ec2.delete_security_group(GroupId=group)


def test_the_default_group_is_nobodys_to_delete(network: Network) -> None:
    filters = [{"Name": "vpc-id", "Values": [network.vpc]}]
    [group] = network.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    code, message = refused(network.ec2.delete_security_group, GroupId=group["GroupId"])
    assert code == "CannotDelete"
    assert message == f'the specified group: "{group["GroupId"]}" name: "default" cannot be deleted by a user'


def test_an_address_stays_while_a_nat_gateway_has_it(network: Network) -> None:
    gateway = network.gateway()
    address = network.ec2.allocate_address(Domain="vpc")
    nat = network.ec2.create_nat_gateway(SubnetId=network.subnet, AllocationId=address["AllocationId"])
    name = nat["NatGateway"]["NatGatewayId"]
    assert refused(network.ec2.release_address, AllocationId=address["AllocationId"])[0] == "InvalidIPAddress.InUse"
    assert refused(network.ec2.delete_subnet, SubnetId=network.subnet)[0] == "DependencyViolation"
    code, message = refused(network.ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=network.vpc)
    assert code == "DependencyViolation"
    assert message.startswith(f"Network {network.vpc} has some mapped public address(es).")
    network.ec2.delete_nat_gateway(NatGatewayId=name)
    network.ec2.release_address(AllocationId=address["AllocationId"])
    network.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.vpc)
    network.ec2.delete_subnet(SubnetId=network.subnet)


def test_a_role_stays_while_something_is_attached(aws: Any) -> None:
    iam = aws("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    iam.put_role_policy(RoleName="r", PolicyName="inline", PolicyDocument=json.dumps(POLICY))
    policy = iam.create_policy(PolicyName="managed", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy)

    def conflict(words: str) -> tuple[str, str]:
        return "DeleteConflict", f"Cannot delete entity, must {words} first."

    assert refused(iam.delete_role, RoleName="r") == conflict("remove roles from instance profile")
    assert refused(iam.delete_instance_profile, InstanceProfileName="p") == conflict(
        "remove roles from instance profile"
    )
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="r")
    assert refused(iam.delete_role, RoleName="r") == conflict("detach all policies")
    assert refused(iam.delete_policy, PolicyArn=policy) == (
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    )
    iam.detach_role_policy(RoleName="r", PolicyArn=policy)
    assert refused(iam.delete_role, RoleName="r") == conflict("delete policies")
    iam.delete_role_policy(RoleName="r", PolicyName="inline")
    iam.delete_role(RoleName="r")
    iam.delete_policy(PolicyArn=policy)
    iam.delete_instance_profile(InstanceProfileName="p")


def test_a_launch_templates_default_version_stays(aws: Any) -> None:
    ec2 = aws("ec2")
    made = ec2.create_launch_template(LaunchTemplateName="template", LaunchTemplateData={"InstanceType": "m7i.large"})
    name = made["LaunchTemplate"]["LaunchTemplateId"]
    ec2.create_launch_template_version(LaunchTemplateId=name, LaunchTemplateData={"InstanceType": "m7i.xlarge"})
    answer = ec2.delete_launch_template_versions(LaunchTemplateId=name, Versions=["1", "2"])
    assert [each["VersionNumber"] for each in answer["SuccessfullyDeletedLaunchTemplateVersions"]] == [2]
    assert [each["VersionNumber"] for each in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [1]


def test_an_auto_scaling_group_with_instances_stays(aws: Any, clock: ManualClock, network: Network) -> None:
    ec2, groups = aws("ec2"), aws("autoscaling")
    image = ec2.register_image(Name="image", RootDeviceName="/dev/xvda")["ImageId"]
    data = {"InstanceType": "m7i.large", "ImageId": image}
    template = ec2.create_launch_template(LaunchTemplateName="groups", LaunchTemplateData=data)["LaunchTemplate"]
    groups.create_auto_scaling_group(
        AutoScalingGroupName="g",
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        VPCZoneIdentifier=network.subnet,
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"]},
    )
    clock.advance(120)
    code, message = refused(groups.delete_auto_scaling_group, AutoScalingGroupName="g")
    assert code == "ResourceInUse"
    assert message.startswith("You cannot delete an AutoScalingGroup while there are instances")
    assert refused(ec2.delete_subnet, SubnetId=network.subnet)[0] == "DependencyViolation"
