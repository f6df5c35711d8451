"""The EKS cluster and its control plane's log group.

The log group is made before the cluster, so that EKS finds one with retention, and goes after it: EKS's
service-linked role makes the group again as long as the control plane has something to say, so removal ends
with one more look a quarter of an hour later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import (
    Absent,
    Action,
    Change,
    Effect,
    Failed,
    Observation,
    Pace,
    Ready,
    Verdict,
    Waiting,
)
from springboard.components.idempotency import token
from springboard.components.updates import FailedUpdate, failed_update
from springboard.errors import RESTORE, NotOursError, RefusedError
from springboard.record import OperationKind, OperationStatus, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_LOG_TYPES = ("api", "audit", "authenticator")
_LATE_LOOK = 960  # seconds after its deletion; EKS's service-linked role makes the log group again for up to 900
_UPDATE_POLL = 30  # seconds; the component's own pace is that of a creation
_GOING = Pace(100, 30)
_BUSY = frozenset({"CREATING", "UPDATING", "DELETING", "PENDING"})
_REMEDIES = {
    "KmsKeyDisabled": "enable the KMS key of the stack again",
    "KmsKeyMarkedForDeletion": "cancel the deletion of the KMS key: a cluster can't outlive its key",
    "KmsGrantRevoked": "the cluster can't be saved without its grant: delete the environment and create it again",
    "KmsKeyNotFound": "the cluster can't be saved without its key: delete the environment and create it again",
    "Ec2SubnetNotFound": "bring the stack's private subnets back, or deploy the stack with the right ones",
    "Ec2SecurityGroupNotFound": f"the API-access security group is missing: {RESTORE}",
    "IamRoleNotFound": f"the cluster role is missing: {RESTORE}",
    "InsufficientFreeAddresses": "free at least 5 addresses in each private subnet, then retry",
    "VpcNotFound": "the VPC is gone: delete the environment",
}
_REMEDY = "look at the cluster's health in the EKS console, then `springboard retry` deletes the cluster and creates it"
_UPDATE_REMEDY = "mend the cause, then `springboard retry` asks for the update again"


@dataclass(frozen=True)
class Cluster:
    """The cluster that should be."""

    name: str
    version: str
    role_arn: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    public_cidrs: tuple[str, ...]  # empty: the endpoint is private
    secrets_key_arn: str
    log_types: tuple[str, ...]
    support_type: str
    protected: bool
    tags: Mapping[str, str]
    log_group: str
    retention_days: int


@dataclass(frozen=True)
class Found:
    """The cluster that is."""

    name: str
    arn: str
    status: str
    version: str
    platform_version: str
    endpoint: str
    certificate_authority: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    cluster_security_group_id: str
    public: bool
    public_cidrs: tuple[str, ...]
    log_types: tuple[str, ...]
    support_type: str
    protected: bool
    issuer: str
    issues: tuple[tuple[str, str], ...]  # code, message
    tags: Mapping[str, str]
    created_at: str


@dataclass(frozen=True)
class LogGroup:
    """The log group that is; `ours` is looked up only where it decides something."""

    name: str
    arn: str
    retention_days: int | None
    ours: bool = True


@dataclass(frozen=True)
class Observed(Observation):
    """What there is under the environment's names."""

    cluster: Found | None = None
    log_group: LogGroup | None = None
    log_group_seen: bool = False  # a busy cluster's log group is not looked at: nothing could be done
    foreign: str = ""  # the ARN of a cluster of our name that is somebody else's
    failed: FailedUpdate | None = None  # an update that this operation asked for
    retrying: bool = False  # a retry found a cluster that had failed before it began
    looked_again: bool = True  # whether the log group may still come back after the control plane
    label_keys: tuple[str, ...] = field(default=(), kw_only=True)  # labels that we set, or did earlier by the record


@dataclass(frozen=True, kw_only=True)
class CreateLogGroup(Change):
    """CreateLogGroup, or its retention and tags where the group exists."""

    name: str
    days: int
    tags: Mapping[str, str]
    arn: str = ""  # of the group that exists


@dataclass(frozen=True, kw_only=True)
class CreateCluster(Change):
    """CreateCluster."""

    cluster: Cluster


@dataclass(frozen=True, kw_only=True)
class UpdateCluster(Change):
    """UpdateClusterConfig with one kind of change."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TagCluster(Change):
    """TagResource and UntagResource."""

    arn: str
    tags: Mapping[str, str]
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeleteCluster(Change):
    """DeleteCluster."""

    name: str


@dataclass(frozen=True, kw_only=True)
class DeleteLogGroup(Change):
    """DeleteLogGroup."""

    name: str


def desired(environment: Environment, site: Site) -> Cluster:
    """The cluster as spec, admission and site say."""
    spec = environment.spec
    owner = naming.owner_tags(site.stack_name, environment.name, environment.uid)
    return Cluster(
        name=naming.cluster(site.prefix, environment.name),
        version=environment.resolved.version,
        role_arn=site.cluster_role_arn,
        subnet_ids=site.private_subnet_ids,
        security_group_ids=(site.api_access_security_group_id,),
        public_cidrs=tuple(sorted(spec.cluster.api_access.public_cidrs)),
        secrets_key_arn=site.secrets_key_arn,
        log_types=_LOG_TYPES,
        support_type=spec.cluster.support_type,
        protected=spec.protected,
        tags={**environment.labels, **owner},
        log_group=naming.log_group(site.prefix, environment.name),
        retention_days=site.log_retention_days,
    )


def changes(desired: Cluster | Absent, observed: Observed) -> Sequence[Change]:
    """What is to be done, in order; of several updates only the first is possible at a time."""
    if isinstance(desired, Absent):
        return tuple(_removal(observed))
    if observed.foreign:
        raise NotOursError(
            f"the cluster {desired.name} exists ({observed.foreign}) and was not made for this environment",
            "choose another environment name, or delete that cluster if nobody needs it",
        )
    if observed.failed:
        return tuple(_log_group(desired, observed))
    return (*_log_group(desired, observed), *_cluster(desired, observed))


def condition(desired: Cluster | Absent, observed: Observed) -> Verdict:
    """Ready when ACTIVE, healthy and as desired."""
    found = observed.cluster
    if isinstance(desired, Absent):
        return _removed(observed)
    if found is None:
        return Waiting("cluster", "the control plane is not there yet")
    failure = _failure(found, observed.failed)
    if failure:
        return failure
    if found.status != "ACTIVE":
        creating = found.status == "CREATING"
        after = 0 if creating else _UPDATE_POLL
        return Waiting("cluster", f"EKS says that the control plane is {found.status}", after, aimed=creating)
    open_changes = changes(desired, observed)
    if open_changes:
        return Waiting("cluster", f"{open_changes[0].resource}: {open_changes[0].reason}", after=_UPDATE_POLL)
    return Ready("Active", f"Kubernetes {found.version}, {found.platform_version}")


def observe(world: World, environment: Environment) -> Observed:
    """One call while the control plane is busy, two otherwise, three after it is gone."""
    name = naming.cluster(world.site.prefix, environment.name)
    described = world.eks.cluster(name)
    foreign = ""
    if described and described.get("tags", {}).get(naming.OWNER_TAG) != environment.uid:
        foreign, described = described["arn"], None
    found = _found(described) if described else None
    busy = found is not None and found.status in _BUSY
    differs = (
        found is not None and found.status == "ACTIVE" and any(_differences(desired(environment, world.site), found))
    )
    return Observed(
        cluster=found,
        log_group=None if busy or foreign else _found_log_group(world, environment, tags=found is None),
        log_group_seen=not busy and not foreign,
        foreign=foreign,
        failed=failed_update(world.eks.updates(name), environment) if differs and _running(environment) else None,
        retrying=found is not None and _failed_before(found, environment),
        looked_again="arn" not in environment.facts.get("cluster", {}),
        label_keys=tuple(sorted({*environment.labels, *environment.facts.get("cluster", {}).get("labelKeys", ())})),
    )


def apply(world: World, environment: Environment, change: Change) -> None:
    """One change; all are safe to make twice."""
    match change:
        case CreateLogGroup():
            if change.arn:
                world.logs.tag(change.arn, dict(change.tags))
            else:
                world.logs.create_group(change.name, dict(change.tags))
            world.logs.keep(change.name, change.days)
        case CreateCluster():
            _create(world, environment, change.cluster)
        case UpdateCluster():
            what = f"cluster/{sorted(change.parameters.items())!r}"
            world.eks.update_cluster_config(change.name, token(environment, what), **change.parameters)
        case TagCluster():
            if change.tags:
                world.eks.tag(change.arn, dict(change.tags))
            if change.gone:
                world.eks.untag(change.arn, list(change.gone))
        case DeleteCluster():
            _delete(world, change.name)
        case DeleteLogGroup():
            world.logs.delete_group(change.name)
        case _:
            raise TypeError(f"not a change of cluster: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """What status shows, what other components and `kubeconfig` need."""
    found = observed.cluster
    if found is None:
        return {"lookAgain": True} if not observed.looked_again else {}
    return {
        "name": found.name,
        "arn": found.arn,
        "status": found.status,
        "version": found.version,
        "platformVersion": found.platform_version,
        "endpoint": found.endpoint,
        "certificateAuthority": found.certificate_authority,
        "vpcId": found.vpc_id,
        "subnetIds": list(found.subnet_ids),
        "securityGroupId": found.cluster_security_group_id,
        "oidcIssuer": found.issuer,
        "supportType": found.support_type,
        "labelKeys": [key for key in observed.label_keys if key in found.tags],  # other tags are somebody else's
    }


@dataclass(frozen=True)
class Known:
    """What the record knows of the cluster, for the components inside it: it is ours, or it would not be there."""

    name: str
    version: str
    endpoint: str
    certificate_authority: str
    security_group_id: str


def known(environment: Environment) -> Known | Waiting:
    """The environment's cluster as its own component last saw it; that saves the others a call each."""
    facts = environment.facts.get("cluster", {})
    status = facts.get("status", "")
    if status not in {"ACTIVE", "UPDATING"}:
        return Waiting("cluster", f"the control plane is {status or 'not there'}")
    return Known(
        name=facts["name"],
        version=facts["version"],
        endpoint=facts["endpoint"],
        certificate_authority=facts["certificateAuthority"],
        security_group_id=facts["securityGroupId"],
    )


def _log_group(desired: Cluster, observed: Observed) -> Iterator[Change]:
    if not observed.log_group_seen:
        return
    group = observed.log_group
    resource = f"log group {desired.log_group}"
    tags = dict(desired.tags)
    if group is None:
        yield CreateLogGroup(
            Action.CREATE,
            resource,
            "it does not exist, and EKS would make it without retention",
            name=desired.log_group,
            days=desired.retention_days,
            tags=tags,
        )
    elif group.retention_days != desired.retention_days or not group.ours:
        yield CreateLogGroup(
            Action.UPDATE,
            resource,
            f"it is kept {_days(group.retention_days)}; it shall be this environment's, and kept"
            f" {_days(desired.retention_days)}",
            name=desired.log_group,
            days=desired.retention_days,
            tags=tags,
            arn=group.arn,
        )


def _days(retention: int | None) -> str:
    if retention is None:
        return "for ever"
    return f"{retention} day{'' if retention == 1 else 's'}"


def _cluster(desired: Cluster, observed: Observed) -> Iterator[Change]:
    found = observed.cluster
    if found is None:
        yield CreateCluster(Action.CREATE, f"cluster {desired.name}", "it does not exist", cluster=desired)
    elif found.status == "FAILED" and observed.retrying:
        yield DeleteCluster(
            Action.DELETE,
            f"cluster {desired.name}",
            "its creation failed, and a retry creates it again",
            Effect.REPLACES,
            name=desired.name,
        )
    elif found.status in {"ACTIVE", "UPDATING"}:
        yield from _tags(desired, found, observed.label_keys)
        possible = found.status == "ACTIVE"
        for reason, parameters in _differences(desired, found):
            yield UpdateCluster(
                Action.UPDATE,
                f"cluster {desired.name}",
                reason,
                possible=possible,
                name=desired.name,
                parameters=parameters,
            )
            possible = False  # EKS makes one update at a time


def _differences(desired: Cluster, found: Found) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What differs, each with the parameters of its own kind of update. The version is the upgrade's business."""
    public = bool(desired.public_cidrs)
    if public != found.public or (public and set(desired.public_cidrs) != set(found.public_cidrs)):
        who = ", ".join(desired.public_cidrs) if public else "nobody outside the VPC"
        access: dict[str, Any] = {"endpointPublicAccess": public, "endpointPrivateAccess": True}
        if public:
            access["publicAccessCidrs"] = list(desired.public_cidrs)
        yield f"the Kubernetes API shall be reached by {who}", {"resourcesVpcConfig": access}
    if not set(desired.security_group_ids) <= set(found.security_group_ids):
        groups = {"securityGroupIds": sorted({*desired.security_group_ids, *found.security_group_ids})}
        yield "the stack's API-access security group is missing", {"resourcesVpcConfig": groups}
    if set(desired.log_types) != set(found.log_types):
        yield f"the logs shall be {', '.join(desired.log_types)}", {"logging": _logging(desired, found)}
    if desired.support_type != found.support_type:
        yield (
            f"the support type shall be {desired.support_type}, not {found.support_type}",
            {"upgradePolicy": {"supportType": desired.support_type}},
        )
    if desired.protected != found.protected:
        yield (
            f"deletion protection shall be {'on' if desired.protected else 'off'}",
            {"deletionProtection": desired.protected},
        )


def _logging(desired: Cluster, found: Found | None = None) -> dict[str, Any]:
    kinds = [{"types": sorted(desired.log_types), "enabled": True}]
    extra = sorted(set(found.log_types) - set(desired.log_types)) if found else []
    if extra:
        kinds.append({"types": extra, "enabled": False})
    return {"clusterLogging": kinds}


def _tags(desired: Cluster, found: Found, label_keys: tuple[str, ...]) -> Iterator[Change]:
    wanted = {key: value for key, value in desired.tags.items() if found.tags.get(key) != value}
    gone = tuple(key for key in label_keys if key not in desired.tags and key in found.tags)
    if wanted or gone:
        yield TagCluster(
            Action.UPDATE,
            f"cluster {desired.name}",
            f"the labels differ: {', '.join(sorted([*wanted, *gone]))}",
            arn=found.arn,
            tags=wanted,
            gone=gone,
        )


def _removal(observed: Observed) -> Iterator[Change]:
    found, group = observed.cluster, observed.log_group
    if found is not None and found.status != "DELETING":
        if found.protected and found.status == "ACTIVE":
            yield UpdateCluster(
                Action.UPDATE,
                f"cluster {found.name}",
                "deletion protection must be off before EKS deletes it",
                name=found.name,
                parameters={"deletionProtection": False},
            )
        yield DeleteCluster(
            Action.DELETE,
            f"cluster {found.name}",
            "the environment is deleted",
            Effect.REPLACES,
            possible=found.status == "FAILED" or (found.status == "ACTIVE" and not found.protected),
            name=found.name,
        )
    if group is not None and group.ours:
        yield DeleteLogGroup(
            Action.DELETE,
            f"log group {group.name}",
            "the environment is deleted",
            possible=found is None,  # a living control plane would make it again, without retention
            name=group.name,
        )


def _removed(observed: Observed) -> Verdict:
    if observed.cluster is not None:
        after = _GOING if observed.cluster.status == "DELETING" else _UPDATE_POLL
        return Waiting("cluster", f"the control plane is {observed.cluster.status}", after)
    if observed.log_group is not None and observed.log_group.ours:
        return Waiting("cluster", "the log group is still there", _UPDATE_POLL)
    if not observed.looked_again:
        reason = "EKS may write it anew for a quarter of an hour; one more look follows"
        return Waiting("log group", reason, _LATE_LOOK, strictly=True)
    return Ready("Gone")


def _failure(found: Found, update: FailedUpdate | None) -> Failed | None:
    """An update that failed, a creation that failed, or an issue of a living control plane."""
    if update:
        return Failed(update.cause, _UPDATE_REMEDY, update.code)
    if found.status == "FAILED" or (found.status == "ACTIVE" and found.issues):
        return Failed(_told(found.issues) or "EKS says that the control plane FAILED", *_way_out(found.issues))
    return None


def _told(issues: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{code}: {message}" for code, message in issues)


def _way_out(issues: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Remedy and code of the first issue that has a remedy of its own."""
    for code, _ in issues:
        if code in _REMEDIES:
            return _REMEDIES[code], code
    return _REMEDY, issues[0][0] if issues else "ClusterFailed"


def _running(environment: Environment) -> bool:
    return environment.operation is not None and environment.operation.status is OperationStatus.RUNNING


def _failed_before(found: Found, environment: Environment) -> bool:
    """Whether a retry found a failed cluster that an earlier operation made."""
    operation = environment.operation
    if found.status != "FAILED" or operation is None or operation.kind is not OperationKind.RETRY:
        return False
    return operation.started_at is None or found.created_at < text(operation.started_at)


def _found(described: Mapping[str, Any]) -> Found:
    network = described.get("resourcesVpcConfig", {})
    return Found(
        name=described["name"],
        arn=described["arn"],
        status=described["status"],
        version=described.get("version", ""),
        platform_version=described.get("platformVersion", ""),
        endpoint=described.get("endpoint", ""),
        certificate_authority=described.get("certificateAuthority", {}).get("data", ""),
        vpc_id=network.get("vpcId", ""),
        subnet_ids=tuple(network.get("subnetIds", ())),
        security_group_ids=tuple(network.get("securityGroupIds", ())),
        cluster_security_group_id=network.get("clusterSecurityGroupId", ""),
        public=bool(network.get("endpointPublicAccess", False)),
        public_cidrs=tuple(network.get("publicAccessCidrs", ())),
        log_types=tuple(
            kind
            for setup in described.get("logging", {}).get("clusterLogging", ())
            if setup.get("enabled")
            for kind in setup.get("types", ())
        ),
        support_type=described.get("upgradePolicy", {}).get("supportType", "EXTENDED"),
        protected=bool(described.get("deletionProtection", False)),
        issuer=described.get("identity", {}).get("oidc", {}).get("issuer", ""),
        issues=tuple(
            (issue.get("code", "Unknown"), issue.get("message", ""))
            for issue in described.get("health", {}).get("issues", ())
        ),
        tags=dict(described.get("tags", {})),
        created_at=text(described["createdAt"]) if "createdAt" in described else "",
    )


def _found_log_group(world: World, environment: Environment, *, tags: bool) -> LogGroup | None:
    """`tags`: whether it has to be proved ours; with our own cluster there it is that cluster's by its name."""
    group = world.logs.group(naming.log_group(world.site.prefix, environment.name))
    if group is None:
        return None
    # One that EKS made anew carries no tags; after a cluster of ours it is ours by its name.
    known = "lookAgain" in environment.facts.get("cluster", {})
    ours = not tags or known or world.logs.tags(group["arn"]).get(naming.OWNER_TAG) == environment.uid
    return LogGroup(group["logGroupName"], group["arn"], group.get("retentionInDays"), ours=ours)


def _create(world: World, environment: Environment, cluster: Cluster) -> None:
    public = bool(cluster.public_cidrs)
    network: dict[str, Any] = {
        "subnetIds": list(cluster.subnet_ids),
        "securityGroupIds": list(cluster.security_group_ids),
        "endpointPrivateAccess": True,
        "endpointPublicAccess": public,
    }
    if public:
        network["publicAccessCidrs"] = list(cluster.public_cidrs)
    try:
        world.eks.create_cluster(
            name=cluster.name,
            version=cluster.version,
            roleArn=cluster.role_arn,
            resourcesVpcConfig=network,
            accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
            bootstrapSelfManagedAddons=False,
            encryptionConfig=[{"resources": ["secrets"], "provider": {"keyArn": cluster.secrets_key_arn}}],
            logging=_logging(cluster),
            upgradePolicy={"supportType": cluster.support_type},
            deletionProtection=cluster.protected,
            tags=dict(cluster.tags),
            clientRequestToken=token(environment, "cluster"),
        )
    except RefusedError as err:
        # Made a moment ago by a step that was killed, and not listed yet: the next look adopts it.
        if err.code != "ResourceInUseException":
            raise


def _delete(world: World, name: str) -> None:
    try:
        world.eks.delete_cluster(name)
    except RefusedError as err:
        # An update that began since we looked, or a node group that is still going: looked at again.
        if err.code != "ResourceInUseException":
            raise
