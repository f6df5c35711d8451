"""EKS, through its API; a stack waits for ACTIVE as on AWS.

What an update replaces, and which attributes there are, follows the schemas of the resource types (read 2026-11-26
as cfn-lint brings them).
"""

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


def _retag(work: Work, arn: str, old: Properties, new: Properties) -> None:
    """Give a resource its tags and those of its stack; take those that have left the template."""
    eks = work.client("eks")
    wanted, present = tag_map(work.tags(new.get("Tags"))), eks.list_tags_for_resource(resourceArn=arn)["tags"]
    if left := sorted((set(tag_map(old.get("Tags"))) - set(wanted)) & set(present)):
        eks.untag_resource(resourceArn=arn, tagKeys=left)
    if missing := {key: value for key, value in wanted.items() if present.get(key) != value}:
        eks.tag_resource(resourceArn=arn, tags=missing)


def _tags(work: Work, properties: Properties) -> Properties:
    """The member for the tags of a new resource, if there are any."""
    tags = tag_map(work.tags(properties.get("Tags")))
    return {"Tags": tags} if tags else {}


def _await_update(work: Work, started: Any, name: str, **where: str) -> None:
    """Wait for an update to succeed; `where` names the node group or add-on, if it is of one."""
    identity = started["update"]["id"]

    def done() -> bool:
        update = work.client("eks").describe_update(name=name, updateId=identity, **where)["update"]
        if update["status"] in {"Failed", "Cancelled"}:
            reasons = "; ".join(each.get("errorMessage", "") for each in update.get("errors", []))
            raise ResourceError(f"{update['type']} of {name} {update['status'].lower()}: {reasons}")
        return bool(update["status"] == "Successful")

    work.wait(f"{name} update {identity}", done)


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
        {"Name", "RoleArn", "EncryptionConfig", "OutpostConfig", "BootstrapSelfManagedAddons"}
    )
    _OF_UPDATES = ("Force", "RollbackConfig")
    _NETWORK = ("SubnetIds", "SecurityGroupIds")
    _ACCESS = ("EndpointPublicAccess", "EndpointPrivateAccess", "PublicAccessCidrs")
    _EGRESS = ("ControlPlaneEgressMode",)
    _IN_PLACE = (
        "UpgradePolicy",
        "DeletionProtection",
        "ZonalShiftConfig",
        "ControlPlaneScalingConfig",
        "ComputeConfig",
        "StorageConfig",
        "RemoteNetworkConfig",
    )

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get("Name") or work.name(100)
        request = {**without(properties, "Tags", "Logging", "Name", *self._OF_UPDATES), "name": name}
        if logging := properties.get("Logging"):
            request["logging"] = self._logging(logging)
        work.call("eks", "CreateCluster", {**request, **_tags(work, properties)})
        work.exists(name)
        return self._made(self.await_active(work, name))

    @staticmethod
    def _logging(logging: Properties) -> Properties:
        """All types, on or off: the template says what is to be, not what is to change."""
        on = [each["Type"] for each in logging.get("ClusterLogging", {}).get("EnabledTypes", [])]
        off = [each for each in _LOG_TYPES if each not in on]
        setups = [{"types": types, "enabled": enabled} for types, enabled in ((on, True), (off, False)) if types]
        return {"clusterLogging": setups}

    @staticmethod
    def _made(cluster: Any) -> Made:
        keys = [each["provider"]["keyArn"] for each in cluster.get("encryptionConfig", [])]
        attributes = {
            "Arn": cluster["arn"],
            "Endpoint": cluster.get("endpoint", ""),
            "CertificateAuthorityData": cluster.get("certificateAuthority", {}).get("data", ""),
            "ClusterSecurityGroupId": cluster.get("resourcesVpcConfig", {}).get("clusterSecurityGroupId", ""),
            "EncryptionConfigKeyArn": keys[0] if keys else "",
            "OpenIdConnectIssuerUrl": cluster.get("identity", {}).get("oidc", {}).get("issuer", ""),
        }
        return Made(cluster["name"], attributes)

    @override
    def describe(self, work: Work, physical_id: str) -> Any:
        return work.client("eks").describe_cluster(name=physical_id)["cluster"]

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        """One kind of change per call, one update at a time, as EKS wants it."""
        differing = changed(old, new)
        self._check_replacement(old, new)
        if "Version" in differing and "Version" in new:
            request = {"name": physical_id, "version": str(new["Version"]), **picked(new, *self._OF_UPDATES)}
            _await_update(work, work.call("eks", "UpdateClusterVersion", request), physical_id)
        for name in self._IN_PLACE:
            if name in differing and name in new:
                self._configure(work, physical_id, {name: new[name]})
        mode = new.get("AccessConfig", {}).get("AuthenticationMode")
        if mode and mode != old.get("AccessConfig", {}).get("AuthenticationMode"):
            self._configure(work, physical_id, {"accessConfig": {"authenticationMode": mode}})
        if "Logging" in differing:
            self._configure(work, physical_id, {"logging": self._logging(new.get("Logging", {}))})
        if "ResourcesVpcConfig" in differing:
            before, after = old["ResourcesVpcConfig"], new["ResourcesVpcConfig"]
            for names in (self._NETWORK, self._ACCESS, self._EGRESS):
                if changed(picked(before, *names), picked(after, *names)):
                    self._configure(work, physical_id, {"resourcesVpcConfig": picked(after, *names)})
        made = self._made(self.describe(work, physical_id))
        _retag(work, made.attributes["Arn"], old, new)
        return made

    @staticmethod
    def _check_replacement(old: Properties, new: Properties) -> None:
        """Some members of properties can be set at creation alone, though others beside them can change."""
        for name, members in (
            ("AccessConfig", ("BootstrapClusterCreatorAdminPermissions",)),
            ("KubernetesNetworkConfig", ("IpFamily", "ServiceIpv4Cidr")),
        ):
            if changed(picked(old.get(name, {}), *members), picked(new.get(name, {}), *members)):
                raise NeedsReplacementError

    @staticmethod
    def _configure(work: Work, name: str, change: Properties) -> None:
        """One change; one that is there already, as after an update that failed half-way, is fine."""
        try:
            started = work.call("eks", "UpdateClusterConfig", {"name": name, **change})
        except ClientError as error:
            said = error.response["Error"]["Message"]
            if any(words in said for words in ("No changes needed", "already at the desired")):
                return
            raise
        _await_update(work, started, name)

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("eks").delete_cluster, name=physical_id)
        self.await_gone(work, physical_id)


_LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


class _OfCluster(_Lasting):
    """A part of a cluster: its physical ID is cluster/name (an add-on's cluster|name)."""

    separator: ClassVar[str] = "/"
    name_property: ClassVar[str]
    create_operation: ClassVar[str]
    describe_method: ClassVar[str]
    delete_method: ClassVar[str]
    name_parameter: ClassVar[str]
    answer: ClassVar[str]
    not_sent: ClassVar[tuple[str, ...]] = ()

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        name = properties.get(self.name_property) or work.name(63)
        request = {**without(properties, "Tags", *self.not_sent), self.name_property: name, **_tags(work, properties)}
        work.call("eks", self.create_operation, request)
        physical = f"{properties['ClusterName']}{self.separator}{name}"
        work.exists(physical)
        return self._made(physical, self.await_active(work, physical))

    def target(self, physical_id: str) -> dict[str, str]:
        cluster, name = physical_id.split(self.separator, 1)
        return {"clusterName": cluster, self.name_parameter: name}

    @override
    def describe(self, work: Work, physical_id: str) -> Any:
        return getattr(work.client("eks"), self.describe_method)(**self.target(physical_id))[self.answer]

    def _change(self, work: Work, operation: str, physical_id: str, request: Properties) -> None:
        """One update, to its end."""
        target = self.target(physical_id)
        started = work.call("eks", operation, {**target, **request})
        _await_update(work, started, target["clusterName"], **{self.name_parameter: target[self.name_parameter]})

    def _changed(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        """What there is after an update, with its tags."""
        made = self._made(physical_id, self.await_active(work, physical_id))
        _retag(work, made.attributes["Arn"], old, new)
        return made

    def _made(self, physical_id: str, found: Any) -> Made:
        cluster, name = physical_id.split(self.separator, 1)
        arn = found.get("nodegroupArn") or found.get("addonArn") or ""
        return Made(physical_id, {"Arn": arn, "Id": physical_id, "ClusterName": cluster, self.name_property: name})

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(getattr(work.client("eks"), self.delete_method), **self.target(physical_id), **self._deletion(properties))
        self.await_gone(work, physical_id)

    def _deletion(self, _properties: Properties) -> dict[str, Any]:
        """What a deletion is told beyond the name."""
        return {}


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
    _VERSIONS = frozenset({"Version", "ReleaseVersion"})
    _CONFIGURATION = frozenset({"ScalingConfig", "UpdateConfig", "NodeRepairConfig", "WarmPoolConfig"})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        differing = changed(old, new)
        moves = self._moves(work, physical_id, differing, new)
        if moves and differing - self._VERSIONS - {"ForceUpdateEnabled", "Tags"}:
            raise ResourceError("Version and ReleaseVersion updates cannot be combined with other updates")
        if moves or ("LaunchTemplate" in differing and "LaunchTemplate" in new):
            force = boolean(new.get("ForceUpdateEnabled", False))
            request = {**picked(new, "Version", "ReleaseVersion", "LaunchTemplate"), "force": force}
            self._change(work, "UpdateNodegroupVersion", physical_id, request)
        request = picked(new, *sorted(differing & self._CONFIGURATION))
        if "Labels" in differing:
            before, after = old.get("Labels", {}), new.get("Labels", {})
            request["labels"] = {"addOrUpdateLabels": after, "removeLabels": sorted(set(before) - set(after))}
        if "Taints" in differing:
            before, after = old.get("Taints", []), new.get("Taints", [])
            kept = {(each["Key"], each["Effect"]) for each in after}
            removed = [each for each in before if (each["Key"], each["Effect"]) not in kept]
            request["taints"] = {"addOrUpdateTaints": after, "removeTaints": removed}
        if request:
            self._change(work, "UpdateNodegroupConfig", physical_id, request)
        return self._changed(work, physical_id, old, new)

    def _moves(self, work: Work, physical_id: str, differing: set[str], new: Properties) -> bool:
        """Whether the group has another version than it is to have; after a refused update it has not."""
        members = {"Version": "version", "ReleaseVersion": "releaseVersion"}
        wanted = {members[name]: str(new[name]) for name in self._VERSIONS & differing if name in new}
        present = self.describe(work, physical_id) if wanted else {}
        return any(present[name] != value for name, value in wanted.items())


@resource
class Addon(_OfCluster):
    """An add-on."""

    TYPE = "AWS::EKS::Addon"
    replacing: ClassVar = frozenset({"ClusterName", "AddonName", "NamespaceConfig"})
    separator = "|"
    name_property, create_operation, answer = "AddonName", "CreateAddon", "addon"
    describe_method, delete_method, name_parameter = "describe_addon", "delete_addon", "addonName"
    not_sent = ("PreserveOnDelete",)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        if changed(old, new) - {"Tags", "PreserveOnDelete", "ResolveConflicts"}:
            request = without(new, "Tags", "PreserveOnDelete", "NamespaceConfig", "ClusterName", "AddonName")
            self._change(work, "UpdateAddon", physical_id, request)
        return self._changed(work, physical_id, old, new)

    @override
    def _deletion(self, properties: Properties) -> dict[str, Any]:
        return {"preserve": boolean(properties.get("PreserveOnDelete", False))}


@resource
class AccessEntry(ResourceType):
    """An access entry and the policies associated with it."""

    TYPE = "AWS::EKS::AccessEntry"
    replacing: ClassVar = frozenset({"ClusterName", "PrincipalArn", "Type"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "AccessPolicies", "Tags"), **_tags(work, properties)}
        arn = work.call("eks", "CreateAccessEntry", request)["accessEntry"]["accessEntryArn"]
        physical = f"{properties['PrincipalArn']}|{properties['ClusterName']}"
        work.exists(physical)
        self._policies(work, {}, properties)
        return Made(physical, {"AccessEntryArn": arn})

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        principal, cluster = physical_id.split("|", 1)
        if changed(old, new) & {"KubernetesGroups", "Username"}:
            request = {
                "KubernetesGroups": [],
                **picked(new, "ClusterName", "PrincipalArn", "KubernetesGroups", "Username"),
            }
            work.call("eks", "UpdateAccessEntry", request)
        self._policies(work, old, new)
        found = work.client("eks").describe_access_entry(clusterName=cluster, principalArn=principal)
        arn = found["accessEntry"]["accessEntryArn"]
        _retag(work, arn, old, new)
        return Made(physical_id, {"AccessEntryArn": arn})

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


@resource
class PodIdentityAssociation(ResourceType):
    """The role of a service account's pods; its physical ID is the association's ARN."""

    TYPE = "AWS::EKS::PodIdentityAssociation"
    replacing: ClassVar = frozenset({"ClusterName", "Namespace", "ServiceAccount"})

    @override
    def create(self, work: Work, properties: Properties) -> Made:
        request = {**without(properties, "Tags"), **_tags(work, properties)}
        return self._made(work.call("eks", "CreatePodIdentityAssociation", request)["association"])

    @staticmethod
    def _made(association: Any) -> Made:
        attributes = {
            "AssociationArn": association["associationArn"],
            "AssociationId": association["associationId"],
            "ExternalId": association.get("externalId", ""),
        }
        return Made(association["associationArn"], attributes)

    @override
    def update(self, work: Work, physical_id: str, old: Properties, new: Properties) -> Made:
        target = self._target(physical_id)
        if changed(old, new) - {"Tags"}:
            request = picked(new, "RoleArn", "TargetRoleArn", "DisableSessionTags", "Policy")
            work.call("eks", "UpdatePodIdentityAssociation", {**target, **request})
        _retag(work, physical_id, old, new)
        return self._made(work.client("eks").describe_pod_identity_association(**target)["association"])

    @staticmethod
    def _target(arn: str) -> dict[str, str]:
        _, cluster, identifier = arn.split("/")
        return {"clusterName": cluster, "associationId": identifier}

    @override
    def delete(self, work: Work, physical_id: str, properties: Properties) -> None:
        gone(work.client("eks").delete_pod_identity_association, **self._target(physical_id))
