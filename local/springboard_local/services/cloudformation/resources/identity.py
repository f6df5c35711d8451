"""IAM."""

from __future__ import annotations

from typing import ClassVar, override

from springboard_local.services.cloudformation.resources.base import (
    Made,
    Properties,
    ResourceType,
    Work,
    document,
    gone,
    only,
    picked,
    resource,
    tag_map,
)


@resource
class Role(ResourceType):
    """A role with its inline and managed policies."""

    TYPE = "AWS::IAM::Role"
    replacing: ClassVar = frozenset({"RoleName", "Path"})
    _KNOWN = (
        "RoleName",
        "Path",
        "AssumeRolePolicyDocument",
        "Description",
        "MaxSessionDuration",
        "PermissionsBoundary",
        "Policies",
        "ManagedPolicyArns",
        "Tags",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, self._KNOWN)
        name = properties.get("RoleName") or work.name()
        request = {
            **picked(properties, "Path", "Description", "MaxSessionDuration", "PermissionsBoundary"),
            "RoleName": name,
            "AssumeRolePolicyDocument": document(properties["AssumeRolePolicyDocument"]),
            "Tags": work.tags(properties.get("Tags")),
        }
        role = work.call("iam", "CreateRole", request)["Role"]
        work.exists(name)
        self._policies(work, name, {}, properties)
        return Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, self._KNOWN)
        client = work.client("iam")
        trust = document(new["AssumeRolePolicyDocument"])
        client.update_assume_role_policy(RoleName=physical_id, PolicyDocument=trust)
        work.call("iam", "UpdateRole", {"RoleName": physical_id, **picked(new, "Description", "MaxSessionDuration")})
        self._policies(work, physical_id, old, new)
        tags = work.tags(new.get("Tags"))
        if removed := sorted(set(tag_map(old.get("Tags"))) - set(tag_map(tags))):
            client.untag_role(RoleName=physical_id, TagKeys=removed)
        if tags:
            client.tag_role(RoleName=physical_id, Tags=tags)
        role = client.get_role(RoleName=physical_id)["Role"]
        return Made(physical_id, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    @staticmethod
    def _policies(work: Work, name: str, old: Properties, new: Properties) -> None:
        client = work.client("iam")
        kept = {policy["PolicyName"] for policy in new.get("Policies", [])}
        for policy in new.get("Policies", []):
            client.put_role_policy(
                RoleName=name,
                PolicyName=policy["PolicyName"],
                PolicyDocument=document(policy["PolicyDocument"]),
            )
        for policy in old.get("Policies", []):
            if policy["PolicyName"] not in kept:
                gone(client.delete_role_policy, RoleName=name, PolicyName=policy["PolicyName"])
        before, after = set(old.get("ManagedPolicyArns", [])), set(new.get("ManagedPolicyArns", []))
        for arn in sorted(after - before):
            client.attach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in sorted(before - after):
            gone(client.detach_role_policy, RoleName=name, PolicyArn=arn)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        client = work.client("iam")
        for policy in properties.get("Policies", []):
            gone(client.delete_role_policy, RoleName=physical_id, PolicyName=policy["PolicyName"])
        for arn in properties.get("ManagedPolicyArns", []):
            gone(client.detach_role_policy, RoleName=physical_id, PolicyArn=arn)
        gone(client.delete_role, RoleName=physical_id)


@resource
class Policy(ResourceType):
    """One inline policy of several roles."""

    TYPE = "AWS::IAM::Policy"
    replacing: ClassVar = frozenset({"PolicyName"})
    _KNOWN = ("PolicyName", "PolicyDocument", "Roles")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = work.name()
        work.exists(name)
        return self.update(work, name, {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, self._KNOWN)
        client, name = work.client("iam"), new["PolicyName"]
        for role in new.get("Roles", []):
            client.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document(new["PolicyDocument"]))
        for role in set(old.get("Roles", [])) - set(new.get("Roles", [])):
            gone(client.delete_role_policy, RoleName=role, PolicyName=name)
        return Made(physical_id, {"Id": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        for role in properties.get("Roles", []):
            gone(work.client("iam").delete_role_policy, RoleName=role, PolicyName=properties["PolicyName"])


@resource
class RolePolicy(ResourceType):
    """One inline policy of one role."""

    TYPE = "AWS::IAM::RolePolicy"
    replacing: ClassVar = frozenset({"PolicyName", "RoleName"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        return self.update(work, f"{properties['PolicyName']}|{properties['RoleName']}", {}, properties)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = {**new, "PolicyDocument": document(new["PolicyDocument"])}
        work.call("iam", "PutRolePolicy", request)
        return Made(physical_id)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("iam").delete_role_policy, **picked(properties, "RoleName", "PolicyName"))


@resource
class ManagedPolicy(ResourceType):
    """A managed policy and the roles that it is attached to."""

    TYPE = "AWS::IAM::ManagedPolicy"
    replacing: ClassVar = frozenset({"ManagedPolicyName", "Path", "Description"})
    _KNOWN = ("ManagedPolicyName", "Path", "Description", "PolicyDocument", "Roles")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, self._KNOWN)
        request = {
            **picked(properties, "Path", "Description"),
            "PolicyName": properties.get("ManagedPolicyName") or work.name(128),
            "PolicyDocument": document(properties["PolicyDocument"]),
        }
        arn = work.call("iam", "CreatePolicy", request)["Policy"]["Arn"]
        work.exists(arn)
        for role in properties.get("Roles", []):
            work.client("iam").attach_role_policy(RoleName=role, PolicyArn=arn)
        return Made(arn, {"PolicyArn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        only(self.TYPE, new, self._KNOWN)
        client = work.client("iam")
        if old["PolicyDocument"] != new["PolicyDocument"]:
            versions = client.list_policy_versions(PolicyArn=physical_id)["Versions"]
            previous = next(each["VersionId"] for each in versions if each["IsDefaultVersion"])
            client.create_policy_version(
                PolicyArn=physical_id, PolicyDocument=document(new["PolicyDocument"]), SetAsDefault=True
            )
            client.delete_policy_version(PolicyArn=physical_id, VersionId=previous)
        before, after = set(old.get("Roles", [])), set(new.get("Roles", []))
        for role in sorted(after - before):
            client.attach_role_policy(RoleName=role, PolicyArn=physical_id)
        for role in sorted(before - after):
            gone(client.detach_role_policy, RoleName=role, PolicyArn=physical_id)
        return Made(physical_id, {"PolicyArn": physical_id})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        client = work.client("iam")
        for role in properties.get("Roles", []):
            gone(client.detach_role_policy, RoleName=role, PolicyArn=physical_id)
        gone(client.delete_policy, PolicyArn=physical_id)


@resource
class InstanceProfile(ResourceType):
    """An instance profile with its role."""

    TYPE = "AWS::IAM::InstanceProfile"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        only(self.TYPE, properties, ("InstanceProfileName", "Path", "Roles"))
        name = properties.get("InstanceProfileName") or work.name(128)
        client = work.client("iam")
        answer = client.create_instance_profile(InstanceProfileName=name, **picked(properties, "Path"))
        work.exists(name)
        for role in properties["Roles"]:
            client.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
        return Made(name, {"Arn": answer["InstanceProfile"]["Arn"]})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        client = work.client("iam")
        for role in properties["Roles"]:
            gone(client.remove_role_from_instance_profile, InstanceProfileName=physical_id, RoleName=role)
        gone(client.delete_instance_profile, InstanceProfileName=physical_id)


@resource
class ServiceLinkedRole(ResourceType):
    """A role that a service owns; it stays when the stack goes, as others may rely on it."""

    TYPE = "AWS::IAM::ServiceLinkedRole"
    updatable = False

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        role = work.call("iam", "CreateServiceLinkedRole", properties)["Role"]
        return Made(role["RoleName"], {"RoleName": role["RoleName"]})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("iam").delete_service_linked_role, RoleName=physical_id)
