"""The operations of the EKS API: which are emulated, and which are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from springboard_local import pipeline
from springboard_local.pipeline import ApiError
from springboard_local.services.eks import access, addons, clusters, insights, nodegroups, updates, validation
from springboard_local.services.eks.state import Eks, Fields, paged
from springboard_local.services.iam.principals import principal_of

if TYPE_CHECKING:
    from collections.abc import Callable

type Handler = Callable[[Eks, Fields], Fields]


def _nothing(key: str, parent: str = "clusterName") -> Handler:
    def listed(eks: Eks, parameters: Fields) -> Fields:
        eks.cluster(parameters[parent])
        return paged(parameters, key, [])

    return listed


EMULATED: dict[str, Handler] = {
    "AssociateAccessPolicy": access.associate_policy,
    "AssociateEncryptionConfig": updates.associate_encryption,
    "CancelUpdate": updates.cancel,
    "CreateAccessEntry": access.create_entry,
    "CreateAddon": addons.create,
    "CreateCluster": lambda eks, parameters: clusters.create(eks, parameters, ""),
    "CreateNodegroup": nodegroups.create,
    "CreatePodIdentityAssociation": access.create_association,
    "DeleteAccessEntry": access.delete_entry,
    "DeleteAddon": addons.delete,
    "DeleteCluster": clusters.delete,
    "DeleteNodegroup": nodegroups.delete,
    "DeletePodIdentityAssociation": access.delete_association,
    "DescribeAccessEntry": access.describe_entry,
    "DescribeAddon": addons.describe,
    "DescribeAddonConfiguration": addons.describe_configuration,
    "DescribeAddonVersions": addons.describe_versions,
    "DescribeCluster": clusters.describe,
    "DescribeClusterVersions": updates.describe_versions,
    "DescribeInsight": insights.describe,
    "DescribeInsightsRefresh": insights.describe_refresh,
    "DescribeNodegroup": nodegroups.describe,
    "DescribePodIdentityAssociation": access.describe_association,
    "DescribeUpdate": updates.describe,
    "DisassociateAccessPolicy": access.disassociate_policy,
    "ListAccessEntries": access.list_entries,
    "ListAccessPolicies": access.list_policies,
    "ListAddons": addons.list_names,
    "ListAssociatedAccessPolicies": access.list_associated,
    "ListCapabilities": _nothing("capabilities"),
    "ListClusters": clusters.list_names,
    "ListEksAnywhereSubscriptions": lambda _, parameters: paged(parameters, "subscriptions", []),
    "ListFargateProfiles": _nothing("fargateProfileNames"),
    "ListIdentityProviderConfigs": _nothing("identityProviderConfigs"),
    "ListInsights": insights.list_insights,
    "ListNodegroups": nodegroups.list_names,
    "ListPodIdentityAssociations": access.list_associations,
    "ListTagsForResource": updates.list_tags,
    "ListUpdates": updates.list_ids,
    "StartInsightsRefresh": insights.start_refresh,
    "TagResource": updates.tag,
    "UntagResource": updates.untag,
    "UpdateAccessEntry": access.update_entry,
    "UpdateAddon": addons.update,
    "UpdateClusterConfig": updates.update_config,
    "UpdateClusterVersion": updates.update_version,
    "UpdateNodegroupConfig": nodegroups.update_config,
    "UpdateNodegroupVersion": nodegroups.update_version,
    "UpdatePodIdentityAssociation": access.update_association,
}

REFUSED = frozenset(
    {
        "ActivateCertificateAuthority",
        "AssociateIdentityProviderConfig",
        "CreateCapability",
        "CreateCertificateAuthority",
        "CreateEksAnywhereSubscription",
        "CreateFargateProfile",
        "DeleteCapability",
        "DeleteCertificateAuthority",
        "DeleteEksAnywhereSubscription",
        "DeleteFargateProfile",
        "DeregisterCluster",
        "DescribeCapability",
        "DescribeCertificateAuthority",
        "DescribeEksAnywhereSubscription",
        "DescribeFargateProfile",
        "DescribeIdentityProviderConfig",
        "DisassociateIdentityProviderConfig",
        "ListCertificateAuthorities",
        "RegisterCluster",
        "UpdateCapability",
        "UpdateEksAnywhereSubscription",
    }
)


def register(present: Callable[[], Eks]) -> None:
    """Serve all operations of EKS; `present` gives the EKS of the cloud that runs."""
    for name, handler in EMULATED.items():
        pipeline.operation("eks", name)(_emulated(present, name, handler))
    for name in REFUSED:
        pipeline.operation("eks", name)(_refused(name))


def _emulated(present: Callable[[], Eks], name: str, handler: Handler) -> pipeline.Handler:
    def handle(call: pipeline.Call) -> dict[str, Any]:
        eks = present()
        parameters = dict(call.parameters)
        validation.check(name, parameters)
        with eks.lock:
            if name == "CreateCluster":
                return clusters.create(eks, parameters, call.principal or _owner(call.access_key))
            return handler(eks, parameters)

    return handle


def _owner(access_key: str) -> str:
    """Whose key it is, where IAM is not enforced and nobody has looked."""
    principal = principal_of(access_key)
    return principal.arn if principal else ""


def _refused(name: str) -> pipeline.Handler:
    def handle(_: pipeline.Call) -> dict[str, Any]:
        raise ApiError("NotImplemented", f"The local cloud does not emulate eks:{name}.", 400)

    return handle
