"""Who may talk to a cluster's Kubernetes API: access entries, their policies, and pod identity."""

from __future__ import annotations

import fnmatch
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends

from springboard_local.cloud import ACCOUNT, REGION
from springboard_local.kubernetes.lane import User
from springboard_local.services.eks import policies as permissions
from springboard_local.services.eks import tokens, validation
from springboard_local.services.eks.errors import in_use, invalid_parameter, invalid_request, limit_exceeded, not_found
from springboard_local.services.eks.state import AccessEntry, Cluster, Eks, Fields, paged, shown

if TYPE_CHECKING:
    from springboard_local.kubernetes.lane import AccessPolicies, Attributes, TokenReviewer

LIMIT = 2_000
TYPES = ("STANDARD", "FARGATE_LINUX", "EC2_LINUX", "EC2_WINDOWS", "EC2", "HYBRID_LINUX", "HYPERPOD_LINUX")
_RESERVED = ("system:", "eks:", "aws:", "amazon:", "iam:")
_ASSUMED = re.compile(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/(.+)")
_NODE_GROUPS = ("system:nodes",)


def entry_principal(arn: str) -> str:
    """The IAM principal of a caller: the role's ARN, with its path, of an assumed-role session."""
    session = _ASSUMED.fullmatch(arn)
    if not session:
        return arn
    account, name, _ = session.groups()
    roles = iam_backends[account]["aws"].roles.values()
    return next((str(each.arn) for each in roles if each.name == name), f"arn:aws:iam::{account}:role/{name}")


def _exists(principal: str) -> bool:
    backend = iam_backends[ACCOUNT]["aws"]
    if principal == f"arn:aws:iam::{ACCOUNT}:root":
        return True
    known = [*backend.roles.values(), *backend.users.values()]
    return f"::{ACCOUNT}:" not in principal or any(each.arn == principal for each in known)


def _username(principal: str, kind: str) -> str:
    if kind != "STANDARD":
        return "system:node:{{EC2PrivateDNSName}}"
    account, _, resource = principal.removeprefix("arn:aws:iam::").partition(":")
    name = resource.rpartition("/")[2]
    if resource.startswith("role/"):
        return f"arn:aws:sts::{account}:assumed-role/{name}/{{{{SessionName}}}}"
    return principal


def _make(eks: Eks, cluster: Cluster, principal: str, kind: str = "STANDARD", **given: Any) -> AccessEntry:
    resource = principal.removeprefix("arn:aws:iam::").replace(":", "/", 1)
    account, _, rest = resource.partition("/")
    place = rest.partition("/")[0] + f"/{account}/" + rest.rpartition("/")[2]
    entry = AccessEntry(
        {
            "clusterName": cluster.name,
            "principalArn": principal,
            "kubernetesGroups": list(given.get("groups") or (() if kind == "STANDARD" else _NODE_GROUPS)),
            "accessEntryArn": eks.arn(f"access-entry/{cluster.name}/{place}/{eks.uuid()}"),
            "createdAt": eks.now,
            "modifiedAt": eks.now,
            "tags": given.get("tags") or {},
            "username": given.get("username") or _username(principal, kind),
            "type": kind,
        },
        effective=eks.now + timedelta(seconds=eks.draw("eks:AccessEntryVisible")),
    )
    cluster.access[principal] = entry
    return entry


def bootstrap(eks: Eks, cluster: Cluster) -> None:
    """The creator's own entry, where the request asks for it or leaves it at the default."""
    config = cluster.fields["accessConfig"]
    if config["authenticationMode"] == "CONFIG_MAP" or not config["bootstrapClusterCreatorAdminPermissions"]:
        return
    principal = entry_principal(cluster.creator)
    if validation.PRINCIPAL.fullmatch(principal):
        entry = _make(eks, cluster, principal)
        _associate(
            eks, entry, permissions.PREFIX + "AmazonEKSClusterAdminPolicy", {"type": "cluster", "namespaces": []}
        )


def admit_nodes(eks: Eks, cluster: Cluster, role_arn: str) -> None:
    """The entry that EKS makes for the role of a managed node group."""
    if cluster.fields["accessConfig"]["authenticationMode"] != "CONFIG_MAP" and role_arn not in cluster.access:
        _make(eks, cluster, role_arn, "EC2_LINUX")


# access entries


def _cluster(eks: Eks, parameters: Fields) -> Cluster:
    cluster = eks.cluster(parameters["clusterName"])
    if cluster.fields["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        modes = "[API, API_AND_CONFIG_MAP]"
        message = f"The cluster's authentication mode must be set to one of {modes} to perform this operation."
        raise invalid_request(message, cluster.name)
    return cluster


def _entry(cluster: Cluster, principal: str) -> AccessEntry:
    if principal not in cluster.access:
        message = (
            "The specified principalArn could not be found. You can view your available access entries with "
            "'aws eks list-access-entries'."
        )
        raise not_found(message, cluster.name)
    return cluster.access[principal]


def _check_groups(groups: list[str], cluster: Cluster) -> None:
    for each in groups:
        if each.startswith(_RESERVED):
            prefix = next(prefix for prefix in _RESERVED if each.startswith(prefix))
            message = f"The kubernetes group name {each} is invalid, it cannot start with {prefix}"
            raise invalid_parameter(message, cluster.name)


def create_entry(eks: Eks, parameters: Fields) -> Fields:
    """CreateAccessEntry."""
    if made := eks.remembered("CreateAccessEntry", parameters):
        return {"accessEntry": shown(made.fields)}
    cluster = _cluster(eks, parameters)
    principal, kind = parameters["principalArn"], parameters.get("type") or "STANDARD"
    if not validation.PRINCIPAL.fullmatch(principal) or not _exists(principal):
        raise invalid_parameter("The specified principalArn is invalid: invalid principal.", cluster.name)
    if kind != "STANDARD" and ":role/" not in principal:
        raise invalid_parameter(f"The principalArn of an access entry of type {kind} must be a role.", cluster.name)
    if "/aws-service-role/" in principal:
        raise invalid_parameter(
            "The caller is not allowed to modify access entries with a principalArn value of a Service Linked Role",
            cluster.name,
        )
    if kind not in TYPES:
        raise invalid_parameter(f"The type {kind} is invalid, it must be one of {list(TYPES)}", cluster.name)
    if principal in cluster.access:
        raise in_use("The specified access entry resource is already in use on this cluster.", cluster.name)
    if len(cluster.access) >= LIMIT:
        raise limit_exceeded("The cluster has as many access entries as it can have.", cluster.name)
    groups, username = parameters.get("kubernetesGroups") or [], parameters.get("username")
    if kind != "STANDARD" and (groups or username):
        raise invalid_parameter(f"kubernetesGroups and username cannot be set for type {kind}", cluster.name)
    _check_groups(groups, cluster)
    _check_username(username, cluster)
    tags = validation.tags(parameters.get("tags"))
    entry = _make(eks, cluster, principal, kind, groups=groups, username=username, tags=tags)
    eks.remember("CreateAccessEntry", parameters, entry)
    return {"accessEntry": shown(entry.fields)}


def _check_username(username: str | None, cluster: Cluster) -> None:
    if username and username.startswith(_RESERVED):
        raise invalid_parameter(f"The username {username} is invalid, it has a reserved prefix", cluster.name)


def describe_entry(eks: Eks, parameters: Fields) -> Fields:
    """DescribeAccessEntry."""
    return {"accessEntry": shown(_entry(_cluster(eks, parameters), parameters["principalArn"]).fields)}


def list_entries(eks: Eks, parameters: Fields) -> Fields:
    """ListAccessEntries."""
    wanted = parameters.get("associatedPolicyArn")
    entries = _cluster(eks, parameters).access
    return paged(
        parameters, "accessEntries", sorted(k for k, e in entries.items() if not wanted or wanted in e.policies)
    )


def update_entry(eks: Eks, parameters: Fields) -> Fields:
    """UpdateAccessEntry."""
    if made := eks.remembered("UpdateAccessEntry", parameters):
        return {"accessEntry": shown(made.fields)}
    cluster = _cluster(eks, parameters)
    entry = _entry(cluster, parameters["principalArn"])
    if entry.fields["type"] != "STANDARD":
        raise invalid_request(f"An access entry of type {entry.fields['type']} cannot be updated", cluster.name)
    groups = parameters.get("kubernetesGroups")
    if groups is not None:
        _check_groups(groups, cluster)
        entry.fields["kubernetesGroups"] = list(groups)
    if username := parameters.get("username"):
        _check_username(username, cluster)
        entry.fields["username"] = username
    entry.fields["modifiedAt"] = eks.now
    eks.remember("UpdateAccessEntry", parameters, entry)
    return {"accessEntry": shown(entry.fields)}


def delete_entry(eks: Eks, parameters: Fields) -> Fields:
    """DeleteAccessEntry."""
    cluster = _cluster(eks, parameters)
    _entry(cluster, parameters["principalArn"])
    del cluster.access[parameters["principalArn"]]
    return {}


# access policies


def list_policies(_eks: Eks, parameters: Fields) -> Fields:
    """ListAccessPolicies."""
    return paged(
        parameters, "accessPolicies", [{"name": each, "arn": permissions.PREFIX + each} for each in permissions.NAMES]
    )


def _associate(eks: Eks, entry: AccessEntry, arn: str, scope: Fields) -> Fields:
    made = entry.policies.get(arn, {}).get("associatedAt", eks.now)
    entry.policies[arn] = {"policyArn": arn, "accessScope": scope, "associatedAt": made, "modifiedAt": eks.now}
    entry.policies_effective[arn] = eks.now + timedelta(seconds=eks.draw("eks:AccessEntryVisible"))
    return entry.policies[arn]


def associate_policy(eks: Eks, parameters: Fields) -> Fields:
    """AssociateAccessPolicy; a second association of the policy changes its scope."""
    cluster = _cluster(eks, parameters)
    entry = _entry(cluster, parameters["principalArn"])
    arn, scope = parameters["policyArn"], parameters["accessScope"]
    if arn.removeprefix(permissions.PREFIX) not in permissions.NAMES:
        raise not_found("The specified policyArn could not be found.", cluster.name)
    if entry.fields["type"] != "STANDARD":
        message = f"Access policies cannot be associated with an access entry of type {entry.fields['type']}"
        raise invalid_request(message, cluster.name)
    namespaces = list(scope.get("namespaces") or [])
    if scope.get("type") == "namespace" and not namespaces:
        raise invalid_parameter("The namespaces cannot be empty for the access scope type namespace", cluster.name)
    if scope.get("type") == "cluster" and namespaces:
        raise invalid_parameter("The namespaces must be empty for the access scope type cluster", cluster.name)
    made = _associate(eks, entry, arn, {"type": scope.get("type"), "namespaces": namespaces})
    return {
        "clusterName": cluster.name,
        "principalArn": parameters["principalArn"],
        "associatedAccessPolicy": shown(made),
    }


def disassociate_policy(eks: Eks, parameters: Fields) -> Fields:
    """DisassociateAccessPolicy."""
    cluster = _cluster(eks, parameters)
    entry = _entry(cluster, parameters["principalArn"])
    if parameters["policyArn"] not in entry.policies:
        raise not_found("The specified policyArn is not associated with the access entry.", cluster.name)
    del entry.policies[parameters["policyArn"]]
    return {}


def list_associated(eks: Eks, parameters: Fields) -> Fields:
    """ListAssociatedAccessPolicies."""
    cluster = _cluster(eks, parameters)
    entry = _entry(cluster, parameters["principalArn"])
    page = paged(parameters, "associatedAccessPolicies", [shown(each) for each in entry.policies.values()])
    return {"clusterName": cluster.name, "principalArn": parameters["principalArn"], **page}


# pod identity


def _association(cluster: Cluster, identifier: str) -> Fields:
    if identifier not in cluster.associations:
        raise not_found(f"No pod identity association found for id: {identifier}", cluster.name)
    return cluster.associations[identifier]


def create_association(eks: Eks, parameters: Fields) -> Fields:
    """CreatePodIdentityAssociation."""
    if made := eks.remembered("CreatePodIdentityAssociation", parameters):
        return {"association": shown(made)}
    cluster = eks.cluster(parameters["clusterName"])
    namespace, account = parameters["namespace"], parameters["serviceAccount"]
    if any(
        (each["namespace"], each["serviceAccount"]) == (namespace, account) for each in cluster.associations.values()
    ):
        message = f"Association already exists: {namespace}/{account}"
        raise in_use(message, cluster.name)
    check_pod_role(parameters["roleArn"], cluster)
    tags = validation.tags(parameters.get("tags"))
    options = _options({"namespace": namespace, "serviceAccount": account}, parameters, cluster)
    made = associate_service_account(eks, cluster, (namespace, account), parameters["roleArn"])
    made.update(tags=tags, **options)
    eks.remember("CreatePodIdentityAssociation", parameters, made)
    return {"association": shown(made)}


_ASSOCIATION_OPTIONS = ("disableSessionTags", "targetRoleArn", "policy")


def check_pod_role(arn: str, cluster: Cluster) -> None:
    """A role of this account has to be there and to trust pods.eks.amazonaws.com."""
    validation.role(arn, cluster=cluster.name)
    if f"::{ACCOUNT}:" not in arn:
        return
    found = next((each for each in iam_backends[ACCOUNT]["aws"].roles.values() if each.arn == arn), None)
    if found is None:
        raise invalid_parameter("Role provided in the request does not exist.", cluster.name)
    if "pods.eks.amazonaws.com" not in validation.trusted_services(found):
        raise invalid_parameter("Trust policy of the role provided is invalid.", cluster.name)


def _options(association: Fields, parameters: Fields, cluster: Cluster) -> Fields:
    """What an association has beyond its role; with a target role it has an external id for that one's trust policy."""
    wanted = {key: parameters[key] for key in _ASSOCIATION_OPTIONS if parameters.get(key) is not None}
    after = {**association, **wanted}
    if after.get("policy") and not after.get("disableSessionTags"):
        raise invalid_parameter("A policy needs disableSessionTags to be true.", cluster.name)
    if after.get("targetRoleArn"):
        validation.role(after["targetRoleArn"], "target role", cluster.name)
        place = (REGION, ACCOUNT, cluster.name, association["namespace"], association["serviceAccount"])
        wanted["externalId"] = "/".join(place)
    return wanted


def associate_service_account(
    eks: Eks, cluster: Cluster, account: tuple[str, str], role_arn: str, owner: str | None = None
) -> Fields:
    """Make an association of a service account (namespace, name); `owner` is the add-on's ARN, if one asks."""
    identifier = f"a-{eks.hexadecimal(17)}"
    made: Fields = {
        "clusterName": cluster.name,
        "namespace": account[0],
        "serviceAccount": account[1],
        "roleArn": role_arn,
        "associationArn": eks.arn(f"podidentityassociation/{cluster.name}/{identifier}"),
        "associationId": identifier,
        "tags": {},
        "createdAt": eks.now,
        "modifiedAt": eks.now,
        "disableSessionTags": False,
    }
    if owner:
        made["ownerArn"] = owner
    cluster.associations[identifier] = made
    return made


def describe_association(eks: Eks, parameters: Fields) -> Fields:
    """DescribePodIdentityAssociation."""
    return {"association": shown(_association(eks.cluster(parameters["clusterName"]), parameters["associationId"]))}


def list_associations(eks: Eks, parameters: Fields) -> Fields:
    """ListPodIdentityAssociations."""
    keys = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn")
    found = [
        {key: each[key] for key in keys if key in each}
        for each in eks.cluster(parameters["clusterName"]).associations.values()
        if all(each[key] == parameters[key] for key in ("namespace", "serviceAccount") if parameters.get(key))
    ]
    return paged(parameters, "associations", found)


def update_association(eks: Eks, parameters: Fields) -> Fields:
    """UpdatePodIdentityAssociation."""
    if made := eks.remembered("UpdatePodIdentityAssociation", parameters):
        return {"association": shown(made)}
    cluster = eks.cluster(parameters["clusterName"])
    found = _association(cluster, parameters["associationId"])
    options = _options(found, parameters, cluster)
    if parameters.get("roleArn"):
        check_pod_role(parameters["roleArn"], cluster)
        options["roleArn"] = parameters["roleArn"]
    found.update(options)
    found["modifiedAt"] = eks.now
    eks.remember("UpdatePodIdentityAssociation", parameters, found)
    return {"association": shown(found)}


def delete_association(eks: Eks, parameters: Fields) -> Fields:
    """DeletePodIdentityAssociation."""
    cluster = eks.cluster(parameters["clusterName"])
    found = _association(cluster, parameters["associationId"])
    if found.get("ownerArn"):
        raise invalid_request(f"The association is owned by {found['ownerArn']}", cluster.name)
    del cluster.associations[found["associationId"]]
    return {"association": shown(found)}


# authentication and authorization; called by control planes from their own threads, without the lock


def reviewer(eks: Eks, cluster: Cluster) -> TokenReviewer:
    """The token webhook of a cluster."""

    def review(token: str) -> User | None:
        caller = tokens.caller(token, cluster.name)
        if caller is None:
            return None
        principal = entry_principal(caller.arn)
        entry = cluster.access.get(principal)
        if entry is None or entry.effective is None or entry.effective > eks.cloud.clock.now():
            return None
        session = caller.arn.rpartition("/")[2] if caller.arn != principal else ""
        name = entry.fields["username"].replace("{{SessionName}}", session.replace("@", "-"))
        name = name.replace("{{SessionNameRaw}}", session).replace("{{AccountID}}", ACCOUNT)
        return User(
            username=name.replace("{{EC2PrivateDNSName}}", session),
            groups=(*entry.fields["kubernetesGroups"], "system:authenticated"),
            uid=f"aws-iam-authenticator:{ACCOUNT}:{caller.user_id}",
            extra={
                "accessKeyId": (caller.access_key,),
                "arn": (caller.arn,),
                "canonicalArn": (principal,),
                "principalId": (caller.user_id,),
                "sessionName": (session,),
            },
        )

    return review


def policies(eks: Eks, cluster: Cluster) -> AccessPolicies:
    """The authorizer of a cluster's access policies."""

    def allow(attributes: Attributes) -> bool:
        canonical = attributes.user.extra.get("canonicalArn", ())
        entry = cluster.access.get(canonical[0]) if canonical else None
        if entry is None:
            return False
        now = eks.cloud.clock.now()
        return any(
            entry.policies_effective[arn] <= now
            and _in_scope(each["accessScope"], attributes)
            and permissions.permits(arn.removeprefix(permissions.PREFIX), attributes)
            for arn, each in list(entry.policies.items())
        )

    return allow


def _in_scope(scope: Fields, attributes: Attributes) -> bool:
    if scope["type"] == "cluster":
        return True
    return bool(attributes.namespace) and any(fnmatch.fnmatchcase(attributes.namespace, x) for x in scope["namespaces"])
