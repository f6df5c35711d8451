"""Managed node groups and their launch templates.

EKS refuses to say more than an issue code when nodes don't come up, and its codes fall into two kinds: those
that pass (then the group is made again, twice at most) and those that somebody has to do something about.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components import cluster
from springboard.components.addons import CNI
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
from springboard.errors import RESTORE, NotOursError, UnavailableError
from springboard.record import OperationKind, OperationStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

TRIES = 3
TRY_TAG = "springboard:try"  # operation/number: how often this operation has made the group
_AMI_TYPES = {"amd64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}
_BUSY = frozenset({"CREATING", "UPDATING", "DELETING"})
_IDLE = frozenset({"ACTIVE", "DEGRADED"})
_NEED_POLL, _GOING_POLL = 15, 60  # seconds
_GOING = Pace(300, 45)  # drained node by node: six minutes, or nine
_PASSING = frozenset(
    {
        "AsgInstanceLaunchFailures",
        "AutoScalingGroupRateLimitExceeded",
        "ClusterUnreachable",
        "IamThrottling",
        "InternalFailure",
        "NodeCreationFailure",
        "Unknown",
    }
)
_REMEDIES = {
    "AccessDenied": f"the node role or EKS's service-linked role lacks a permission: {RESTORE}",
    "AsgInstanceLaunchFailures": "EC2 did not launch the instances: offer more instance types, or look at the Auto"
    " Scaling group's activity",
    "Ec2InstanceTypeDoesNotExist": "choose instance types that the region offers in every zone of the stack",
    "Ec2SubnetInvalidConfiguration": "the private subnets need a route to the internet or VPC endpoints, and must not"
    " expect public addresses",
    "Ec2SubnetNotFound": "bring the stack's private subnets back, or deploy the stack with the right ones",
    "IamNodeRoleNotFound": f"the node role is missing: {RESTORE}",
    "InstanceLimitExceeded": "ask AWS for a higher vCPU quota, or make the node group smaller; then retry",
    "InsufficientFreeAddresses": "free addresses in the private subnets (prefixes need whole /28 blocks), then retry",
    "KubernetesLabelInvalid": "correct spec.nodeGroups[].labels",
    "NodeCreationFailure": "look at the instances' system log (EC2 console, Get system log): nodes need the cluster's"
    " endpoint, ECR and STS within reach",
    "PodEvictionFailure": "a PodDisruptionBudget or a pod that does not end kept a node from being drained",
}
_REMEDY = "look at the node group's health issues in the EKS console, then `springboard retry`"


@dataclass(frozen=True)
class Content:
    """What decides between launch template versions. Tags don't: a changed label must not replace nodes."""

    disk: int
    security_group_ids: tuple[str, ...]  # sorted
    encrypted: bool = True
    volume_type: str = "gp3"
    tokens: str = "required"
    hops: int = 1


@dataclass(frozen=True)
class Template:
    """A launch template that is; `content` is looked at only where it decides something."""

    name: str
    version: str = ""
    content: Content | None = None


@dataclass(frozen=True)
class Group:
    """A node group that should be."""

    name: str
    template: str
    disk: int
    instance_types: tuple[str, ...]
    capacity_type: str
    ami_type: str
    size: int
    labels: Mapping[str, str]
    taints: tuple[tuple[str, str, str], ...]  # key, value, effect; sorted
    max_unavailable: int


@dataclass(frozen=True)
class Groups:
    """All node groups that should be, and what they have in common."""

    groups: tuple[Group, ...]
    subnet_ids: tuple[str, ...]
    role_arn: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """A node group that is."""

    name: str
    status: str
    version: str
    release_version: str
    template: str
    template_version: str
    instance_types: tuple[str, ...]
    capacity_type: str
    ami_type: str
    sizes: tuple[int, int, int]  # min, max, desired
    labels: Mapping[str, str]
    taints: tuple[tuple[str, str, str], ...]
    max_unavailable: int
    autoscaling_groups: tuple[str, ...]
    issues: tuple[tuple[str, str, tuple[str, ...]], ...]  # code, message, resource ids
    ours: bool
    failed: FailedUpdate | None = None  # an update that the running operation asked for
    tries: int = 0  # by the running operation; 0: made by an earlier one


@dataclass(frozen=True)
class Observed(Observation):
    """What there is, and what new groups need."""

    groups: tuple[Found, ...] = ()
    templates: tuple[Template, ...] = ()
    security_group_ids: tuple[str, ...] = ()  # the cluster's and node-ingress; empty: not looked up
    operation: str = ""  # the running one
    tries: Mapping[str, int] = field(default_factory=dict)  # of groups that this operation made
    known_templates: Mapping[str, Any] = field(default_factory=dict)  # from the record, kept where not looked at


@dataclass(frozen=True, kw_only=True)
class CreateGroup(Change):
    """The launch template where it is missing or differs, then CreateNodegroup."""

    group: Group
    content: Content
    template_version: str  # "": to be made
    latest_version: str  # of a launch template whose content differs; "": there is none, or it was not looked at
    shared: Groups
    number: int  # of the try


@dataclass(frozen=True, kw_only=True)
class UpdateGroup(Change):
    """UpdateNodegroupConfig."""

    group: Group
    gone_labels: tuple[str, ...]
    gone_taints: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class RollGroup(Change):
    """A launch template version where the latest differs, then UpdateNodegroupVersion: nodes are replaced."""

    group: Group
    content: Content
    template_version: str
    latest_version: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DeleteGroup(Change):
    """DeleteNodegroup."""

    name: str


@dataclass(frozen=True, kw_only=True)
class DeleteTemplate(Change):
    """DeleteLaunchTemplate."""

    name: str


def desired(environment: Environment, site: Site) -> Groups:
    """The spec's node groups, over all private subnets."""
    owner = naming.owner_tags(site.stack_name, environment.name, environment.uid)
    return Groups(
        tuple(
            Group(
                name=group.name,
                template=naming.launch_template(site.prefix, environment.name, environment.uid, group.name),
                disk=group.disk_gi_b,
                instance_types=tuple(group.instance_types),
                capacity_type=group.capacity_type,
                ami_type=_AMI_TYPES[environment.resolved.architecture],
                size=group.size,
                labels=group.labels,
                taints=tuple(sorted((taint.key, taint.value, taint.effect) for taint in group.taints)),
                max_unavailable=group.max_unavailable,
            )
            for group in environment.spec.node_groups
        ),
        site.private_subnet_ids,
        site.node_role_arn,
        {**environment.labels, **owner},
    )


def changes(desired: Groups | Absent, observed: Observed) -> Sequence[Change]:
    """Groups to create, change, roll and delete, and launch templates that nothing uses any more."""
    wanted = () if isinstance(desired, Absent) else desired.groups
    found = {group.name: group for group in observed.groups}
    for group in wanted:
        if group.name in found and not found[group.name].ours:
            raise NotOursError(
                f"the cluster has a node group {group.name} that was not made for this environment",
                "give the node group another name in the spec, or delete the other one",
            )
    planned: list[Change] = []
    if not isinstance(desired, Absent):
        planned += [change for group in wanted for change in _group(group, found.get(group.name), desired, observed)]
        if observed.waiting:
            planned = [replace(change, possible=False) for change in planned]
    return (*planned, *_superfluous(wanted, observed, gone=isinstance(desired, Absent)))


def condition(desired: Groups | Absent, observed: Observed) -> Verdict:
    """Ready when every group is ACTIVE, without an issue, and as desired."""
    if isinstance(desired, Absent):
        return _removed(observed)
    found = {group.name: group for group in observed.groups}
    standing = [(want.name, found.get(want.name)) for want in desired.groups]
    for _, have in standing:
        if have and (failure := _failure(have)):
            return failure
    if observed.waiting:
        return observed.waiting
    for name, have in standing:
        if have is None or have.status != "ACTIVE" or have.issues:
            status = f"{have.status}. {_told(have)}".strip() if have else "not there yet"
            creating = have is not None and have.status == "CREATING"
            return Waiting("node_groups", f"{name} is {status}", aimed=creating)
    open_changes = changes(desired, observed)
    if open_changes:
        return Waiting("node_groups", f"{open_changes[0].resource}: {open_changes[0].reason}")
    return Ready(
        "Active",
        ", ".join(f"{group.name}: {group.size} node{'' if group.size == 1 else 's'}" for group in desired.groups),
    )


def observe(world: World, environment: Environment) -> Observed:
    """One call per group while it is busy; launch templates and security groups only where they decide something."""
    running = _running(environment)
    name = naming.cluster(world.site.prefix, environment.name)
    groups = tuple(
        group
        for candidate in _candidates(world, environment, name)
        if (group := _found(world.eks.node_group(name, candidate), environment.uid, running))
    )
    observed = Observed(
        groups=groups,
        operation=running,
        tries=_tries(environment, running, groups),
        known_templates=environment.facts.get("node_groups", {}).get("templates", {}),
    )
    if not environment.under(OperationKind.DELETE):
        return _with_needs(observed, world, environment)
    if groups:  # a launch template goes after its group
        return observed
    templates = world.ec2.launch_templates(naming.OWNER_TAG, environment.uid)
    return replace(observed, templates=tuple(Template(template) for template in templates))


def apply(world: World, environment: Environment, change: Change) -> None:
    """One change; all are safe to make twice."""
    name = naming.cluster(world.site.prefix, environment.name)
    match change:
        case CreateGroup(group=group):
            _create(world, environment, name, change)
        case UpdateGroup(group=group):
            world.eks.update_node_group_config(name, group.name, **_config(environment, change))
        case RollGroup(group=group):
            version = change.template_version or _template_version(world, environment, change, change.tags)
            world.eks.update_node_group_version(
                name,
                group.name,
                launchTemplate={"name": group.template, "version": version},
                clientRequestToken=token(environment, f"node-group/{group.name}/template/{version}"),
            )
        case DeleteGroup():
            world.eks.delete_node_group(name, change.name)
        case DeleteTemplate():
            world.ec2.delete_launch_template(change.name)
        case _:
            raise TypeError(f"not a change of node groups: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """What status shows, what `targets` attaches to, and how often this operation made each group."""
    return {
        "operation": observed.operation,
        "tries": dict(observed.tries),
        "templates": dict(observed.known_templates)
        | {
            template.name: {"version": template.version, "disk": template.content.disk}
            for template in observed.templates
            if template.content
        },
        "groups": [
            {
                "name": group.name,
                "status": group.status,
                "version": group.version,
                "releaseVersion": group.release_version,
                "size": group.sizes[2],
                "instanceTypes": list(group.instance_types),
                "capacityType": group.capacity_type,
                "autoScalingGroups": list(group.autoscaling_groups),
                "failed": group.failed.cause if group.failed else "",
                "issues": [f"{code}: {message}" for code, message, _ in group.issues],
            }
            for group in observed.groups
            if group.ours
        ],
    }


def _group(group: Group, found: Found | None, shared: Groups, observed: Observed) -> Iterator[Change]:
    resource = f"managed node group {group.name}"
    content = Content(group.disk, tuple(sorted(observed.security_group_ids)))
    template = next((template for template in observed.templates if template.name == group.template), None)
    current = template.version if template and template.content == content else ""
    latest = template.version if template else ""
    if found is None:
        number = observed.tries.get(group.name, 0) + 1
        yield CreateGroup(
            Action.CREATE,
            resource,
            "it does not exist" if number == 1 else f"its creation failed, try {number} of {TRIES}",
            possible=bool(observed.security_group_ids),
            group=group,
            content=content,
            template_version=current,
            latest_version=latest,
            shared=shared,
            number=number,
        )
    elif found.status == "CREATE_FAILED":
        yield from _again(found, observed)
    elif immutable := _immutable(group, found):
        yield DeleteGroup(
            Action.DELETE,
            resource,
            f"{immutable}; that can't be changed in place, so its nodes go and come again",
            Effect.REPLACES,
            possible=found.status not in _BUSY,
            name=group.name,
        )
    else:
        yield from _updates(group, found)
        if observed.security_group_ids and (not current or found.template_version != current):
            yield RollGroup(
                Action.UPDATE,
                resource,
                "disk or security groups of its launch template differ",
                Effect.DISRUPTS,
                # EKS makes one update of a group at a time, and the configuration comes first.
                possible=_idle(found) and not _differences(group, found),
                group=group,
                content=content,
                template_version=current,
                latest_version=latest,
                tags=shared.tags,
            )


def _again(found: Found, observed: Observed) -> Iterator[Change]:
    """A failed group is made again if the cause may have passed, or if an earlier operation saw it fail."""
    passing = all(code in _PASSING for code, _, _ in found.issues)
    if observed.operation and (found.tries == 0 or (passing and found.tries < TRIES)):
        yield DeleteGroup(
            Action.DELETE,
            f"managed node group {found.name}",
            f"its creation failed ({_told(found) or 'no cause given'}), and it is made again",
            Effect.REPLACES,
            name=found.name,
        )


def _immutable(group: Group, found: Found) -> str:
    if group.instance_types != found.instance_types:
        return f"instance types shall be {', '.join(group.instance_types)}"
    if group.capacity_type != found.capacity_type:
        return f"capacity shall be {group.capacity_type}"
    if group.ami_type != found.ami_type:
        return f"the AMI type shall be {group.ami_type}"
    return ""


def _updates(group: Group, found: Found) -> Iterator[Change]:
    """What UpdateNodegroupConfig changes, in one update."""
    differences = _differences(group, found)
    if differences:
        yield UpdateGroup(
            Action.UPDATE,
            f"managed node group {group.name}",
            "; ".join(differences),
            Effect.DISRUPTS if group.size < found.sizes[2] else Effect.NONE,
            possible=_idle(found),
            group=group,
            gone_labels=tuple(sorted(set(found.labels) - set(group.labels))),
            gone_taints=tuple(taint for taint in found.taints if not _same_place(taint, group.taints)),
        )


def _idle(found: Found) -> bool:
    return found.status in _IDLE and found.failed is None


def _differences(group: Group, found: Found) -> list[str]:
    differences = []
    if found.sizes != (group.size,) * 3:
        differences.append(f"size shall be {group.size}, not {found.sizes[2]}")
    if dict(group.labels) != dict(found.labels):
        differences.append("its labels differ")
    if group.taints != found.taints:
        differences.append("its taints differ")
    if group.max_unavailable != found.max_unavailable:
        differences.append(f"maxUnavailable shall be {group.max_unavailable}")
    return differences


def _same_place(taint: tuple[str, str, str], taints: tuple[tuple[str, str, str], ...]) -> bool:
    """Whether a taint of the same key and effect is wanted: that one is updated, not removed."""
    key, _, effect = taint
    return any((key, effect) == (other[0], other[2]) for other in taints)


def _superfluous(wanted: Sequence[Group], observed: Observed, *, gone: bool) -> Iterator[Change]:
    """Groups of ours that nobody wants, and their launch templates once they are gone."""
    names = {group.name for group in wanted}
    reason = "the environment is deleted" if gone else "the spec does not name it any more"
    unwanted = [group for group in observed.groups if group.ours and group.name not in names]
    for group in unwanted:
        if group.status != "DELETING":
            yield DeleteGroup(
                Action.DELETE,
                f"managed node group {group.name}",
                reason,
                Effect.DISRUPTS,
                possible=group.status != "UPDATING",
                name=group.name,
            )
    kept = {group.template for group in wanted}
    used = {group.template for group in observed.groups}
    templates = {template.name for template in observed.templates} | {group.template for group in unwanted}
    for template in sorted(templates - kept - {""}):
        yield DeleteTemplate(
            Action.DELETE,
            f"launch template {template}",
            reason,
            possible=template not in used,
            name=template,
        )


def _removed(observed: Observed) -> Verdict:
    for group in observed.groups:
        if not group.ours:
            return Failed(
                f"the cluster has a node group {group.name} that was not made by Springboard, and can't be deleted"
                " with it",
                f"delete the node group {group.name}, then retry",
                "NotOurs",
            )
    for group in observed.groups:
        after = _GOING if group.status == "DELETING" else _GOING_POLL
        return Waiting("node_groups", f"{group.name} is {group.status}. {_told(group)}".strip(), after)
    if observed.templates:
        return Waiting("node_groups", f"launch template {observed.templates[0].name} is still there")
    return Ready("Gone")


def _failure(group: Found) -> Failed | None:
    """Whether waiting is of no use: a creation that is not tried again, or a cause that does not pass."""
    if group.failed:
        remedy = _REMEDIES.get(group.failed.code, _REMEDY)
        return Failed(f"{group.name}: {group.failed.cause}", remedy, group.failed.code)
    lasting = [code for code, _, _ in group.issues if code not in _PASSING]
    given_up = group.status == "CREATE_FAILED" and group.tries > 0 and (lasting or group.tries >= TRIES)
    if not given_up and not (lasting and group.status in _IDLE):
        return None
    codes = [code for code, _, _ in group.issues]
    code = next((code for code in codes if code in _REMEDIES), codes[0] if codes else "NodeGroupFailed")
    tried = f" after {group.tries} tries" if given_up and group.tries > 1 else ""
    cause = f"{group.name} is {group.status}{tried}. {_told(group)}".strip()
    return Failed(cause, _REMEDIES.get(code, _REMEDY), code)


def _told(group: Found) -> str:
    return "; ".join(
        f"{code}: {message}{f' ({", ".join(resources)})' if resources else ''}"
        for code, message, resources in group.issues
    )


def _candidates(world: World, environment: Environment, cluster_name: str) -> list[str]:
    """The names of node groups that may be there: all that EKS lists, where others than the wanted can be.

    A first creation finds none but its own, and a plan asks for those that the record knows.
    """
    wanted = [group.name for group in environment.spec.node_groups]
    operation = environment.operation
    if _running(environment) and operation and operation.kind is not OperationKind.CREATE:
        return world.eks.node_groups(cluster_name) or []
    known = [group["name"] for group in environment.facts.get("node_groups", {}).get("groups", ())]
    return list(dict.fromkeys([*wanted, *known]))


def _running(environment: Environment) -> str:
    operation = environment.operation
    if operation is None or operation.status is not OperationStatus.RUNNING:
        return ""
    return operation.id


def _tries(environment: Environment, running: str, groups: Sequence[Found]) -> Mapping[str, int]:
    """Of groups that are gone the record tells; of those that are there their tag."""
    facts = environment.facts.get("node_groups", {})
    earlier = facts.get("tries", {}) if running and facts.get("operation") == running else {}
    return {**earlier, **{group.name: group.tries for group in groups if group.tries}}


def _with_needs(observed: Observed, world: World, environment: Environment) -> Observed:
    """What is needed to create a missing group, or to compare an idle one's launch template."""
    want = desired(environment, world.site)
    found = {group.name: group for group in observed.groups}
    missing = [group for group in want.groups if group.name not in found]
    idle = [group for group in want.groups if group.name in found and found[group.name].status in _IDLE]
    if not observed.operation:  # a version's content never changes: a plan trusts the record
        idle = [group for group in idle if not _known_template(environment, group, found[group.name])]
    if not missing and not idle:
        return observed
    known = cluster.known(environment)
    if isinstance(known, Waiting):
        return replace(observed, waiting=known)
    if missing and (waiting := _without_network(world, known.name)):
        return replace(observed, waiting=waiting)
    ingress = naming.node_ingress_security_group(world.site.prefix, environment.name, environment.uid)
    ingress_id = world.ec2.security_group_id(ingress, world.site.vpc_id)
    if not ingress_id:
        return replace(
            observed, waiting=Waiting("firewall", f"the security group {ingress} is not there yet", after=_NEED_POLL)
        )
    observed = replace(observed, groups=tuple(_with_failure(world, environment, group) for group in observed.groups))
    # A group that is made for the first time has no template yet; that of one that comes again is there.
    seen = {group["name"] for group in environment.facts.get("node_groups", {}).get("groups", ())}
    again = [group for group in missing if group.name in {*seen, *observed.tries}]
    templates = (_template(world, group.template) for group in (*idle, *again))
    return replace(
        observed,
        templates=(*(template for template in templates if template), *_unused_templates(observed, world, environment)),
        security_group_ids=tuple(sorted((known.security_group_id, ingress_id))),
    )


def _unused_templates(observed: Observed, world: World, environment: Environment) -> Iterator[Template]:
    """Launch templates of ours that no group of the spec has: of a group that left it, or that was never made.

    They are looked for by their tag once no group is busy: in an operation's last look, and not in a first creation's.
    """
    busy = any(group.status in _BUSY for group in observed.groups)
    if not observed.operation or environment.under(OperationKind.CREATE) or busy:
        return
    wanted = {group.template for group in desired(environment, world.site).groups}
    for name in world.ec2.launch_templates(naming.OWNER_TAG, environment.uid):
        if name not in wanted:
            yield Template(name)


def _with_failure(world: World, environment: Environment, group: Found) -> Found:
    """With the failure of an update, where this operation has asked for one: it has seen the group UPDATING."""
    facts = environment.facts.get("node_groups", {})
    asked = {each["name"] for each in facts.get("groups", ()) if each["status"] == "UPDATING" or each.get("failed")}
    if not group.ours or group.status not in _IDLE or group.name not in asked or not _running(environment):
        return group
    cluster_name = naming.cluster(world.site.prefix, environment.name)
    updates = world.eks.updates(cluster_name, nodegroupName=group.name)
    return replace(group, failed=failed_update(updates, environment))


def _known_template(environment: Environment, group: Group, found: Found) -> bool:
    """Whether the record knows the launch template version that the group has, and that it is as wanted."""
    known = environment.facts.get("node_groups", {}).get("templates", {}).get(group.template, {})
    return bool(known) and (known["version"], known["disk"]) == (found.template_version, group.disk)


def _without_network(world: World, name: str) -> Waiting | None:
    """Nodes that come before vpc-cni stay NotReady, and their group ends as NodeCreationFailure."""
    addon = world.eks.addon(name, CNI)
    if addon and addon["status"] == "ACTIVE":
        return None
    return Waiting("addons", f"{CNI} is {addon['status'] if addon else 'not there yet'}", after=_NEED_POLL)


def _found(described: Mapping[str, Any] | None, uid: str, running: str) -> Found | None:
    if described is None:
        return None
    tags = described.get("tags", {})
    template = described.get("launchTemplate", {})
    scaling = described.get("scalingConfig", {})
    operation, _, number = tags.get(TRY_TAG, "").partition("/")
    return Found(
        name=described["nodegroupName"],
        status=described["status"],
        version=described.get("version", ""),
        release_version=described.get("releaseVersion", ""),
        template=template.get("name", ""),
        template_version=template.get("version", ""),
        instance_types=tuple(described.get("instanceTypes", ())),
        capacity_type=described.get("capacityType", ""),
        ami_type=described.get("amiType", ""),
        sizes=(scaling.get("minSize", 0), scaling.get("maxSize", 0), scaling.get("desiredSize", 0)),
        labels=dict(described.get("labels", {})),
        taints=tuple(
            sorted((taint["key"], taint.get("value", ""), taint["effect"]) for taint in described.get("taints", ()))
        ),
        max_unavailable=described.get("updateConfig", {}).get("maxUnavailable", 0),
        autoscaling_groups=tuple(
            group["name"] for group in described.get("resources", {}).get("autoScalingGroups", ())
        ),
        issues=tuple(
            (issue.get("code", "Unknown"), issue.get("message", ""), tuple(issue.get("resourceIds", ())))
            for issue in described.get("health", {}).get("issues", ())
        ),
        ours=tags.get(naming.OWNER_TAG) == uid,
        tries=int(number) if running and operation == running and number.isdigit() else 0,
    )


def _template(world: World, name: str) -> Template | None:
    latest = world.ec2.launch_template(name)
    if latest is None:
        return None
    data = latest["LaunchTemplateData"]
    disk: Mapping[str, Any] = next((device.get("Ebs", {}) for device in data.get("BlockDeviceMappings", ())), {})
    options = data.get("MetadataOptions", {})
    return Template(
        name,
        str(latest["VersionNumber"]),
        Content(
            disk=disk.get("VolumeSize", 0),
            security_group_ids=tuple(sorted(data.get("SecurityGroupIds", ()))),
            encrypted=disk.get("Encrypted", False),
            volume_type=disk.get("VolumeType", ""),
            tokens=options.get("HttpTokens", ""),
            hops=options.get("HttpPutResponseHopLimit", 0),
        ),
    )


def _data(content: Content, tags: Mapping[str, str]) -> dict[str, Any]:
    """No subnet, profile, type or image: those are the node group's, and EKS refuses them here."""
    instance_tags = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return {
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "VolumeSize": content.disk,
                    "VolumeType": content.volume_type,
                    "Encrypted": content.encrypted,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": content.tokens,
            "HttpPutResponseHopLimit": content.hops,
        },
        "SecurityGroupIds": list(content.security_group_ids),
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": instance_tags},
            {"ResourceType": "volume", "Tags": instance_tags},
        ],
    }


def _template_version(
    world: World, environment: Environment, change: CreateGroup | RollGroup, tags: Mapping[str, str]
) -> str:
    """The version with this content: of a new template, of one that a killed step made, or a new version."""
    name, content, latest = change.group.template, change.content, change.latest_version
    data = _data(content, tags)
    if not latest:
        world.ec2.create_launch_template(name, data, dict(tags), token(environment, f"template/{name}"))
        found = _template(world, name)
        if found is None:
            raise UnavailableError(f"EC2 does not show the launch template {name} yet")
        if found.content == content:
            return found.version
        latest = found.version
    what = f"template/{name}/{content!r}/{latest}"
    return str(world.ec2.create_launch_template_version(name, data, token(environment, what)))


def _create(world: World, environment: Environment, cluster_name: str, change: CreateGroup) -> None:
    group, shared = change.group, change.shared
    version = change.template_version or _template_version(world, environment, change, shared.tags)
    operation = environment.operation.id if environment.operation else ""
    world.eks.create_node_group(
        cluster_name,
        group.name,
        scalingConfig={"minSize": group.size, "maxSize": group.size, "desiredSize": group.size},
        subnets=list(shared.subnet_ids),
        instanceTypes=list(group.instance_types),
        amiType=group.ami_type,
        nodeRole=shared.role_arn,
        labels=dict(group.labels),
        taints=[_taint(taint) for taint in group.taints],
        tags={**shared.tags, TRY_TAG: f"{operation}/{change.number}"},
        launchTemplate={"name": group.template, "version": version},
        updateConfig={"maxUnavailable": group.max_unavailable},
        capacityType=group.capacity_type,
        nodeRepairConfig={"enabled": True},
        clientRequestToken=token(environment, f"node-group/{group.name}/{change.number}/{version}"),
    )


def _config(environment: Environment, change: UpdateGroup) -> dict[str, Any]:
    """All that UpdateNodegroupConfig takes, in one update."""
    group = change.group
    labels: dict[str, Any] = {}
    if group.labels:
        labels["addOrUpdateLabels"] = dict(group.labels)
    if change.gone_labels:
        labels["removeLabels"] = list(change.gone_labels)
    taints: dict[str, Any] = {}
    if group.taints:
        taints["addOrUpdateTaints"] = [_taint(taint) for taint in group.taints]
    if change.gone_taints:
        taints["removeTaints"] = [_taint(taint) for taint in change.gone_taints]
    parameters: dict[str, Any] = {
        "scalingConfig": {"minSize": group.size, "maxSize": group.size, "desiredSize": group.size},
        "updateConfig": {"maxUnavailable": group.max_unavailable},
        "clientRequestToken": token(environment, f"node-group/{group!r}"),
    }
    if labels:
        parameters["labels"] = labels
    if taints:
        parameters["taints"] = taints
    return parameters


def _taint(taint: tuple[str, str, str]) -> dict[str, str]:
    key, value, effect = taint
    return {"key": key, "effect": effect, **({"value": value} if value else {})}
