"""Amazon EC2: security groups, launch templates, instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard.aws.client import Adapter
from springboard.capacity import InstanceType
from springboard.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ec2(Adapter):
    """Amazon EC2: security groups, launch templates, instances."""

    missing = frozenset(
        {
            "InvalidGroup.NotFound",
            "InvalidGroupId.NotFound",
            "InvalidLaunchTemplateId.NotFound",
            "InvalidLaunchTemplateName.NotFoundException",
            "InvalidSecurityGroupRuleId.NotFound",
        }
    )

    # Launch templates

    def launch_templates(self, tag: str, value: str) -> list[str]:
        """DescribeLaunchTemplates: the names of those with that tag."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}]
        found = self.pages("describe_launch_templates", "LaunchTemplates", Filters=filters)
        return sorted(template["LaunchTemplateName"] for template in found)

    def launch_template(self, name: str) -> dict[str, Any] | None:
        """DescribeLaunchTemplateVersions: the latest version, with its number and data."""
        answer = self.find("describe_launch_template_versions", LaunchTemplateName=name, Versions=["$Latest"])
        versions = answer["LaunchTemplateVersions"] if answer else []
        return dict(versions[0]) if versions else None

    def create_launch_template(self, name: str, data: dict[str, Any], tags: dict[str, str], token: str) -> None:
        """CreateLaunchTemplate; one that exists already is no error."""
        try:
            self.call(
                "create_launch_template",
                LaunchTemplateName=name,
                LaunchTemplateData=data,
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": pairs(tags)}],
                ClientToken=token,
            )
        except RefusedError as err:
            if err.code != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise

    def create_launch_template_version(self, name: str, data: dict[str, Any], token: str) -> int:
        """CreateLaunchTemplateVersion: the new version's number."""
        answer = self.call(
            "create_launch_template_version", LaunchTemplateName=name, LaunchTemplateData=data, ClientToken=token
        )
        return int(answer["LaunchTemplateVersion"]["VersionNumber"])

    def delete_launch_template(self, name: str) -> None:
        """DeleteLaunchTemplate, with all its versions."""
        self.find("delete_launch_template", LaunchTemplateName=name)

    # Instance types

    def instance_types(self, names: list[str]) -> dict[str, InstanceType]:
        """DescribeInstanceTypes: those of `names` that EC2 offers in this region."""
        filters = [{"Name": "instance-type", "Values": names}]
        found = self.pages("describe_instance_types", "InstanceTypes", Filters=filters)
        return {
            each["InstanceType"]: InstanceType(
                int(each["VCpuInfo"]["DefaultVCpus"]),
                int(each["MemoryInfo"]["SizeInMiB"]),
                "arm64" if "arm64" in each["ProcessorInfo"]["SupportedArchitectures"] else "amd64",
            )
            for each in found
        }

    # Security groups

    def security_group_id(self, name: str, vpc_id: str) -> str:
        """DescribeSecurityGroups: the id of the group of that name; "" if there is none."""
        filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc_id]}]
        groups = self.call("describe_security_groups", Filters=filters)["SecurityGroups"]
        return str(groups[0]["GroupId"]) if groups else ""

    def security_groups(self, names: tuple[str, ...], vpc_id: str) -> list[dict[str, Any]]:
        """DescribeSecurityGroups: those of these names in the VPC, with rules and tags."""
        filters = [{"Name": "group-name", "Values": list(names)}, {"Name": "vpc-id", "Values": [vpc_id]}]
        return list(self.call("describe_security_groups", Filters=filters)["SecurityGroups"])

    def create_security_group(self, name: str, description: str, vpc_id: str, tags: dict[str, str]) -> str:
        """CreateSecurityGroup: its id; the id of the one that has the name already."""
        try:
            answer = self.call(
                "create_security_group",
                GroupName=name,
                Description=description,
                VpcId=vpc_id,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": pairs(tags)}],
            )
        except RefusedError as err:
            if err.code != "InvalidGroup.Duplicate":
                raise
            return self.known_security_group_id(name, vpc_id)
        return str(answer["GroupId"])

    def known_security_group_id(self, name: str, vpc_id: str) -> str:
        """The id of a group that there must be; UnavailableError while EC2 does not show it yet."""
        group_id = self.security_group_id(name, vpc_id)
        if not group_id:
            raise UnavailableError(f"EC2 does not show the security group {name} yet")
        return group_id

    def referrers_of(self, group_ids: list[str]) -> list[str]:
        """DescribeSecurityGroups: other groups with a rule that names one of these, as "name (sg-…)"."""
        found: dict[str, str] = {}
        for direction in ("", "egress."):
            filters = [{"Name": f"{direction}ip-permission.group-id", "Values": group_ids}]
            groups = self.pages("describe_security_groups", "SecurityGroups", Filters=filters)
            found |= {group["GroupId"]: group["GroupName"] for group in groups}
        return [f"{name} ({each})" for each, name in sorted(found.items()) if each not in group_ids]

    def open(self, group_id: str, direction: str, permissions: list[dict[str, Any]]) -> None:
        """AuthorizeSecurityGroupIngress or …Egress; rules that exist already are no error."""
        self._permit(f"authorize_security_group_{direction}", group_id, permissions, "InvalidPermission.Duplicate")

    def close(self, group_id: str, direction: str, permissions: list[dict[str, Any]]) -> None:
        """RevokeSecurityGroupIngress or …Egress; rules that are gone already are no error."""
        self._permit(f"revoke_security_group_{direction}", group_id, permissions, "InvalidPermission.NotFound")

    def _permit(self, operation: str, group_id: str, permissions: list[dict[str, Any]], done: str) -> None:
        """One call per permission; `done` is the code that says that it was made before."""
        for permission in permissions:
            try:
                self.call(operation, GroupId=group_id, IpPermissions=[permission])
            except RefusedError as err:
                if err.code in {"InvalidGroup.NotFound", "InvalidGroupId.NotFound"}:  # just made, or just gone
                    raise UnavailableError(err.message) from err
                if err.code != done:
                    raise

    def delete_security_group(self, group_id: str) -> None:
        """DeleteSecurityGroup; RefusedError with DependencyViolation while something uses it."""
        self.find("delete_security_group", GroupId=group_id)

    def users_of(self, group_ids: list[str]) -> list[str]:
        """DescribeNetworkInterfaces: who uses these groups, as "description (eni-…)"."""
        found = self.pages(
            "describe_network_interfaces", "NetworkInterfaces", Filters=[{"Name": "group-id", "Values": group_ids}]
        )
        return [f"{each.get('Description') or 'a network interface'} ({each['NetworkInterfaceId']})" for each in found]


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as EC2, Auto Scaling and ELB write them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
