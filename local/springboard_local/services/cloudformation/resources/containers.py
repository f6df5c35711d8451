"""EKS, through its API; a stack waits for ACTIVE as on AWS."""

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
    picked,
    resource,
    tag_map,
    without,
)


def _missing(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in {"ResourceNotFoundException", "NotFoundException"}


class _Lasting(ResourceType):
    """A resource with a lifecycle, which ends in ACTIVE, in a failure, or in its absence."""

    def describe(self, work: Work, physical_id: str) -> Any:
        """The resource as the API has it."""
        raise NotImplementedError

    def await_active(self, work: Work, physical_id: str) -> Any:
        def done() -> bool:
            found = self.describe(work, physical_id)
            if "FAILED" in found["status"]:
                issues = found.get("health", {}).get("issues", [])
                reasons = "; ".join(f"{each.get('code')}: {each.get('message')}" for each in issues)
                raise ResourceError(f"{physical_id} is {found['status']}. {reasons}")
            return bool(found["status"] == "ACTIVE")

        work.wait(physical_id, done)
        return self.describe(work, physical_id)

    def await_gone(self, work: Work, physical_id: str) -> None:
        def done() -> bool:
            try:
                found = self.describe(work, physical_id)
            except ClientError as error:
                if _missing(error):
                    return True
                raise
            if found["status"] == "DELETE_FAILED":
                raise ResourceError(f"{physical_id} is DELETE_FAILED")
            return False

        work.wait(physical_id, done)


@resource
class Cluster(_Lasting):
    """A control plane."""

    TYPE = "AWS::EKS::Cluster"
    replacing: ClassVar = frozenset(
        {"Name", "RoleArn", "EncryptionConfig", "KubernetesNetworkConfig", "BootstrapSelfManagedAddons"}
    )
    _VPC = ("SubnetIds", "SecurityGroupIds", "EndpointPublicAccess", "EndpointPrivateAccess", "PublicAccessCidrs")

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("Name") or work.name(100)
        request = {**without(properties, "Tags", "Logging", "Name"), "name": name}
        if logging := properties.get("Logging"):
            request["logging"] = self._logging(logging)
        request["tags"] = tag_map(work.tags(properties.get("Tags")))
        work.call("eks", "CreateCluster", request)
        work.exists(name)
        return self._made(self.await_active(work, name))

    @staticmethod
    def _logging(logging: Properties) -> Properties:
        enabled = [each["Type"] for each in logging.get("ClusterLogging", {}).get("EnabledTypes", [])]
        return {"clusterLogging": [{"types": enabled, "enabled": True}]}

    @staticmethod
    def _made(cluster: Any) -> Made:
        attributes = {
            "Arn": cluster["arn"],
            "Endpoint": cluster.get("endpoint", ""),
            "CertificateAuthorityData": cluster.get("certificateAuthority", {}).get("data", ""),
            "ClusterSecurityGroupId": cluster.get("resourcesVpcConfig", {}).get("clusterSecurityGroupId", ""),
            "OpenIdConnectIssuerUrl": cluster.get("identity", {}).get("oidc", {}).get("issuer", ""),
            "Id": cluster.get("id", ""),
        }
        return Made(cluster["name"], attributes)

    @override
    def describe(self, work: Work, physical_id: str) -> Any:
        return work.client("eks").describe_cluster(name=physical_id)["cluster"]

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        """One kind of change per call, one update at a time, as EKS wants it."""
        differing = changed(old, new)
        if "Version" in differing and "Version" in new:
            request = {"name": physical_id, "version": str(new["Version"])}
            self._await_update(work, physical_id, work.call("eks", "UpdateClusterVersion", request))
        for name in ("UpgradePolicy", "DeletionProtection", "ZonalShiftConfig", "AccessConfig"):
            if name in differing and name in new:
                wanted = (
                    without(new[name], "BootstrapClusterCreatorAdminPermissions")
                    if name == "AccessConfig"
                    else new[name]
                )
                self._configure(work, physical_id, {name: wanted})
        if "Logging" in differing:
            self._configure(work, physical_id, {"logging": self._logging(new.get("Logging", {}))})
        if "ResourcesVpcConfig" in differing:
            before, after = old["ResourcesVpcConfig"], new["ResourcesVpcConfig"]
            for names in (("SubnetIds", "SecurityGroupIds"), self._VPC[2:]):
                if changed(picked(before, *names), picked(after, *names)):
                    self._configure(work, physical_id, {"resourcesVpcConfig": picked(after, *names)})
        made = self._made(self.describe(work, physical_id))
        if tags := tag_map(work.tags(new.get("Tags"))):
            work.client("eks").tag_resource(resourceArn=made.attributes["Arn"], tags=tags)
        return made

    def _configure(self, work: Work, name: str, change: Properties) -> None:
        self._await_update(work, name, work.call("eks", "UpdateClusterConfig", {"name": name, **change}))

    @staticmethod
    def _await_update(work: Work, name: str, started: Any) -> None:
        identity = started["update"]["id"]

        def done() -> bool:
            update = work.client("eks").describe_update(name=name, updateId=identity)["update"]
            if update["status"] in {"Failed", "Cancelled"}:
                reasons = "; ".join(each.get("errorMessage", "") for each in update.get("errors", []))
                raise ResourceError(f"{update['type']} of {name} {update['status'].lower()}: {reasons}")
            return bool(update["status"] == "Successful")

        work.wait(f"{name} update {identity}", done)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("eks").delete_cluster, name=physical_id)
        self.await_gone(work, physical_id)


class _OfCluster(_Lasting):
    """A part of a cluster: its physical ID is cluster/name (an add-on's cluster|name)."""

    separator: ClassVar[str] = "/"
    name_property: ClassVar[str]
    create_operation: ClassVar[str]
    describe_method: ClassVar[str]
    delete_method: ClassVar[str]
    name_parameter: ClassVar[str]
    answer: ClassVar[str]

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get(self.name_property) or work.name(63)
        tags = tag_map(work.tags(properties.get("Tags")))
        request = {**without(properties, "Tags", *self.not_sent), self.name_property: name, "Tags": tags}
        work.call("eks", self.create_operation, request)
        physical = f"{properties['ClusterName']}{self.separator}{name}"
        work.exists(physical)
        return self._made(physical, self.await_active(work, physical))

    not_sent: ClassVar[tuple[str, ...]] = ()

    def target(self, physical_id: str) -> dict[str, str]:
        cluster, name = physical_id.split(self.separator, 1)
        return {"clusterName": cluster, self.name_parameter: name}

    @override
    def describe(self, work: Work, physical_id: str) -> Any:
        return getattr(work.client("eks"), self.describe_method)(**self.target(physical_id))[self.answer]

    def _made(self, physical_id: str, found: Any) -> Made:
        cluster, name = physical_id.split(self.separator, 1)
        arn = found.get("nodegroupArn") or found.get("addonArn") or ""
        return Made(physical_id, {"Arn": arn, "Id": physical_id, "ClusterName": cluster, self.name_property: name})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(getattr(work.client("eks"), self.delete_method), **self.target(physical_id))
        self.await_gone(work, physical_id)


@resource
class Nodegroup(_OfCluster):
    """A managed node group."""

    TYPE = "AWS::EKS::Nodegroup"
    replacing: ClassVar = frozenset(
        {
            "ClusterName",
            "NodegroupName",
            "Subnets",
            "InstanceTypes",
            "AmiType",
            "CapacityType",
            "DiskSize",
            "NodeRole",
            "RemoteAccess",
        }
    )
    name_property, create_operation, answer = "NodegroupName", "CreateNodegroup", "nodegroup"
    describe_method, delete_method, name_parameter = "describe_nodegroup", "delete_nodegroup", "nodegroupName"
    not_sent = ("ForceUpdateEnabled",)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        target, differing = self.target(physical_id), changed(old, new)
        if differing & {"Version", "ReleaseVersion", "LaunchTemplate"}:
            force = boolean(new.get("ForceUpdateEnabled", False))
            request = {**target, **picked(new, "Version", "ReleaseVersion", "LaunchTemplate"), "force": force}
            work.call("eks", "UpdateNodegroupVersion", request)
            self.await_active(work, physical_id)
        if differing & {"ScalingConfig", "UpdateConfig", "Labels", "Taints"}:
            request = {**target, **picked(new, *sorted(differing & {"ScalingConfig", "UpdateConfig"}))}
            if "Labels" in differing:
                before, after = old.get("Labels", {}), new.get("Labels", {})
                request["labels"] = {"addOrUpdateLabels": after, "removeLabels": sorted(set(before) - set(after))}
            if "Taints" in differing:
                before, after = old.get("Taints", []), new.get("Taints", [])
                removed = [each for each in before if each not in after]
                request["taints"] = {"addOrUpdateTaints": after, "removeTaints": removed}
            work.call("eks", "UpdateNodegroupConfig", request)
            self.await_active(work, physical_id)
        return self._made(physical_id, self.describe(work, physical_id))


@resource
class Addon(_OfCluster):
    """An add-on."""

    TYPE = "AWS::EKS::Addon"
    replacing: ClassVar = frozenset({"ClusterName", "AddonName"})
    separator = "|"
    name_property, create_operation, answer = "AddonName", "CreateAddon", "addon"
    describe_method, delete_method, name_parameter = "describe_addon", "delete_addon", "addonName"
    not_sent = ("PreserveOnDelete",)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        request = without(new, "Tags", "PreserveOnDelete", "NamespaceConfig")
        work.call("eks", "UpdateAddon", request)
        return self._made(physical_id, self.await_active(work, physical_id))


@resource
class AccessEntry(ResourceType):
    """An access entry and the policies associated with it."""

    TYPE = "AWS::EKS::AccessEntry"
    replacing: ClassVar = frozenset({"ClusterName", "PrincipalArn", "Type"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        tags = tag_map(work.tags(properties.get("Tags")))
        request = {**without(properties, "AccessPolicies", "Tags"), "Tags": tags}
        arn = work.call("eks", "CreateAccessEntry", request)["accessEntry"]["accessEntryArn"]
        physical = f"{properties['PrincipalArn']}|{properties['ClusterName']}"
        work.exists(physical)
        self._policies(work, {}, properties)
        return Made(physical, {"AccessEntryArn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        if changed(old, new) & {"Username"}:
            raise NeedsReplacementError
        request = picked(new, "ClusterName", "PrincipalArn", "KubernetesGroups")
        answer = work.call("eks", "UpdateAccessEntry", request)
        self._policies(work, old, new)
        return Made(physical_id, {"AccessEntryArn": answer["accessEntry"]["accessEntryArn"]})

    @staticmethod
    def _policies(work: Work, old: Properties, new: Properties) -> None:
        target = picked(new, "ClusterName", "PrincipalArn")
        for policy in new.get("AccessPolicies", []):
            if policy not in old.get("AccessPolicies", []):
                work.call("eks", "AssociateAccessPolicy", {**target, **policy})
        kept = {policy["PolicyArn"] for policy in new.get("AccessPolicies", [])}
        for policy in old.get("AccessPolicies", []):
            if policy["PolicyArn"] not in kept:
                work.call("eks", "DisassociateAccessPolicy", {**target, "PolicyArn": policy["PolicyArn"]})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        principal, cluster = physical_id.split("|", 1)
        gone(work.client("eks").delete_access_entry, clusterName=cluster, principalArn=principal)
