"""Amazon EKS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard.aws.client import Adapter
from springboard.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection

_REMEDIES = {
    "ResourceLimitExceededException": "ask AWS for a higher quota (Service Quotas, Amazon EKS), or delete what nobody"
    " needs any more; then `springboard retry`",
    "UnsupportedAvailabilityZoneException": "EKS has no capacity in one of the zones: deploy the stack with private"
    " subnets in the zones that the cause names",
}


@dataclass(frozen=True)
class OfferedAddon:
    """An add-on that EKS offers for one Kubernetes minor."""

    versions: tuple[str, ...]  # as EKS lists them: the newest first
    default: str = ""  # not every add-on has one


class Eks(Adapter):
    """Amazon EKS: what is there, as the service describes it, and the calls that change it.

    Reads answer None where the thing, or its cluster, does not exist; deletes of what is gone are no error.
    """

    missing = frozenset({"ResourceNotFoundException"})

    def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """As any adapter's; what EKS refuses for a limit comes with what to do about it."""
        try:
            return super().call(operation, **parameters)
        except RefusedError as err:
            if err.code not in _REMEDIES:
                raise
            raise RefusedError(err.message, _REMEDIES[err.code], code=err.code) from err

    def cluster(self, name: str) -> dict[str, Any] | None:
        """DescribeCluster."""
        answer = self.find("describe_cluster", name=name)
        return answer["cluster"] if answer else None

    def create_cluster(self, **parameters: Any) -> None:
        """CreateCluster."""
        self.call("create_cluster", **parameters)

    def update_cluster_config(self, name: str, token: str, **one_kind: Any) -> None:
        """UpdateClusterConfig; EKS takes one kind of change per call, and one update at a time."""
        self._update("update_cluster_config", name=name, clientRequestToken=token, **one_kind)

    def delete_cluster(self, name: str) -> None:
        """DeleteCluster."""
        self.find("delete_cluster", name=name)

    def updates(self, name: str, **of: str) -> list[dict[str, Any]]:
        """ListUpdates and DescribeUpdate of a cluster, or of its `nodegroupName`; the last ten that are listed."""
        listed = self.call("list_updates", name=name, maxResults=10, **of)["updateIds"]
        return [self.call("describe_update", name=name, updateId=each, **of)["update"] for each in listed]

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource."""
        self.call("tag_resource", resourceArn=arn, tags=tags)

    def untag(self, arn: str, keys: list[str]) -> None:
        """UntagResource."""
        self.call("untag_resource", resourceArn=arn, tagKeys=keys)

    # Access entries

    def access_entries(self, cluster: str) -> list[str] | None:
        """ListAccessEntries: the principals; None without the cluster."""
        return self._list("list_access_entries", "accessEntries", cluster)

    def access_entry(self, cluster: str, principal: str) -> dict[str, Any] | None:
        """DescribeAccessEntry."""
        answer = self.find("describe_access_entry", clusterName=cluster, principalArn=principal)
        return answer["accessEntry"] if answer else None

    def access_policies(self, cluster: str, principal: str) -> list[dict[str, Any]]:
        """ListAssociatedAccessPolicies."""
        answer = self.find("list_associated_access_policies", clusterName=cluster, principalArn=principal)
        return list(answer["associatedAccessPolicies"]) if answer else []

    def create_access_entry(self, cluster: str, principal: str, **parameters: Any) -> None:
        """CreateAccessEntry; one that exists already is no error."""
        self._create("create_access_entry", clusterName=cluster, principalArn=principal, **parameters)

    def update_access_entry(self, cluster: str, principal: str, groups: list[str], token: str) -> None:
        """UpdateAccessEntry: the Kubernetes groups; UnavailableError where EKS does not know the entry yet."""
        self._of_entry(
            "update_access_entry",
            clusterName=cluster,
            principalArn=principal,
            kubernetesGroups=groups,
            clientRequestToken=token,
        )

    def associate_access_policy(self, cluster: str, principal: str, policy: str, scope: dict[str, Any]) -> None:
        """AssociateAccessPolicy; for a policy that is associated already it sets the scope.

        UnavailableError where EKS does not know the entry yet: right after it was made it may answer so
        (https://github.com/hashicorp/terraform-provider-aws/issues/35728, read 2026-11-26).
        """
        self._of_entry(
            "associate_access_policy", clusterName=cluster, principalArn=principal, policyArn=policy, accessScope=scope
        )

    def disassociate_access_policy(self, cluster: str, principal: str, policy: str) -> None:
        """DisassociateAccessPolicy."""
        self.find("disassociate_access_policy", clusterName=cluster, principalArn=principal, policyArn=policy)

    def delete_access_entry(self, cluster: str, principal: str) -> None:
        """DeleteAccessEntry, with its policies."""
        self.find("delete_access_entry", clusterName=cluster, principalArn=principal)

    # Add-ons

    def addons(self, cluster: str) -> list[str] | None:
        """ListAddons: the names; None without the cluster."""
        return self._list("list_addons", "addons", cluster)

    def addon(self, cluster: str, name: str) -> dict[str, Any] | None:
        """DescribeAddon."""
        answer = self.find("describe_addon", clusterName=cluster, addonName=name)
        return answer["addon"] if answer else None

    def offered_addons(self, kubernetes: str, names: Collection[str]) -> dict[str, OfferedAddon]:
        """DescribeAddonVersions: by name, what there is for that Kubernetes minor, `names` and others.

        One call tells of all add-ons of AWS and the community; those of the marketplace are asked for by name. What EKS
        does not offer for the minor is left out.
        """
        filters = {"kubernetesVersion": kubernetes}
        found = self.pages("describe_addon_versions", "addons", owners=["aws", "community"], **filters)
        for name in sorted(set(names) - {addon["addonName"] for addon in found}):
            try:
                found += self.pages("describe_addon_versions", "addons", addonName=name, **filters)
            except RefusedError as err:
                if err.code not in self.missing:
                    raise
        offered = {addon["addonName"]: _offered(addon, kubernetes) for addon in found}
        return {name: addon for name, addon in offered.items() if addon.versions}

    def default_addon_versions(self, kubernetes: str, names: Collection[str]) -> dict[str, str]:
        """DescribeAddonVersions: name → default version for that Kubernetes minor; what has none is left out."""
        offered = self.offered_addons(kubernetes, names)
        return {name: addon.default for name, addon in offered.items() if addon.default and name in names}

    def create_addon(self, cluster: str, name: str, **parameters: Any) -> None:
        """CreateAddon; one that exists already is no error."""
        self._create("create_addon", clusterName=cluster, addonName=name, **parameters)

    def update_addon(self, cluster: str, name: str, **parameters: Any) -> None:
        """UpdateAddon."""
        self._update("update_addon", clusterName=cluster, addonName=name, **parameters)

    def delete_addon(self, cluster: str, name: str, *, preserve: bool) -> None:
        """DeleteAddon; with `preserve` its pods stay, and EKS looks after them no more."""
        self.find("delete_addon", clusterName=cluster, addonName=name, preserve=preserve)

    # Managed node groups

    def node_groups(self, cluster: str) -> list[str] | None:
        """ListNodegroups: the names; None without the cluster."""
        return self._list("list_nodegroups", "nodegroups", cluster)

    def node_group(self, cluster: str, name: str) -> dict[str, Any] | None:
        """DescribeNodegroup."""
        answer = self.find("describe_nodegroup", clusterName=cluster, nodegroupName=name)
        return answer["nodegroup"] if answer else None

    def create_node_group(self, cluster: str, name: str, **parameters: Any) -> None:
        """CreateNodegroup; one that exists already is no error."""
        self._create("create_nodegroup", clusterName=cluster, nodegroupName=name, **parameters)

    def update_node_group_config(self, cluster: str, name: str, **parameters: Any) -> None:
        """UpdateNodegroupConfig: sizes, labels, taints, the pace of updates."""
        self._update("update_nodegroup_config", clusterName=cluster, nodegroupName=name, **parameters)

    def update_node_group_version(self, cluster: str, name: str, **parameters: Any) -> None:
        """UpdateNodegroupVersion: another release or version of the launch template; nodes are replaced."""
        self._update("update_nodegroup_version", clusterName=cluster, nodegroupName=name, **parameters)

    def delete_node_group(self, cluster: str, name: str) -> None:
        """DeleteNodegroup; while an update that has begun since is under way, the next look decides."""
        try:
            self.find("delete_nodegroup", clusterName=cluster, nodegroupName=name)
        except RefusedError as err:
            if err.code != "ResourceInUseException":
                raise

    # Pod Identity

    def pod_identities(self, cluster: str, namespace: str) -> list[dict[str, Any]]:
        """ListPodIdentityAssociations and, for role and tags, DescribePodIdentityAssociation of each."""
        filters = {"clusterName": cluster, "namespace": namespace}
        listed = self.pages("list_pod_identity_associations", "associations", **filters)
        found = (
            self.find(
                "describe_pod_identity_association", clusterName=cluster, associationId=association["associationId"]
            )
            for association in listed
        )
        return [answer["association"] for answer in found if answer]

    def create_pod_identity(
        self, cluster: str, *, namespace: str, service_account: str, role_arn: str, tags: dict[str, str], token: str
    ) -> None:
        """CreatePodIdentityAssociation; one that exists already is no error."""
        self._create(
            "create_pod_identity_association",
            clusterName=cluster,
            namespace=namespace,
            serviceAccount=service_account,
            roleArn=role_arn,
            tags=tags,
            clientRequestToken=token,
        )

    def update_pod_identity(self, cluster: str, association: str, role_arn: str, token: str) -> None:
        """UpdatePodIdentityAssociation: the role."""
        self.call(
            "update_pod_identity_association",
            clusterName=cluster,
            associationId=association,
            roleArn=role_arn,
            clientRequestToken=token,
        )

    def delete_pod_identity(self, cluster: str, association: str) -> None:
        """DeletePodIdentityAssociation."""
        self.find("delete_pod_identity_association", clusterName=cluster, associationId=association)

    # The support calendar

    def cluster_versions(self) -> list[dict[str, Any]]:
        """DescribeClusterVersions: every version that EKS offers, with its dates."""
        return self.pages("describe_cluster_versions", "clusterVersions", clusterType="eks")

    def _list(self, operation: str, key: str, cluster: str) -> list[str] | None:
        try:
            return self.pages(operation, key, clusterName=cluster)
        except RefusedError as err:
            if err.code in self.missing:
                return None
            raise

    def _update(self, operation: str, /, **parameters: Any) -> None:
        """One update at a time: where another is under way, or this one was made already, the next look decides."""
        try:
            self.call(operation, **parameters)
        except RefusedError as err:
            if err.code != "ResourceInUseException" and "already at the desired" not in err.message:
                raise

    def _of_entry(self, operation: str, /, **parameters: Any) -> None:
        """A call about an access entry that there must be."""
        try:
            self.call(operation, **parameters)
        except RefusedError as err:
            if err.code in self.missing:
                raise UnavailableError(err.message) from err
            raise

    def _create(self, operation: str, /, **parameters: Any) -> None:
        try:
            self.call(operation, **parameters)
        except RefusedError as err:
            if err.code != "ResourceInUseException":
                raise


def _offered(addon: dict[str, Any], kubernetes: str) -> OfferedAddon:
    versions = {
        str(each["addonVersion"]): bool(compatibility.get("defaultVersion"))
        for each in addon.get("addonVersions", ())
        for compatibility in each.get("compatibilities", ())
        if compatibility.get("clusterVersion") == kubernetes
    }
    return OfferedAddon(tuple(versions), next((version for version, default in versions.items() if default), ""))
