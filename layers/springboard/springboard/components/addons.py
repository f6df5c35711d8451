"""EKS add-ons: the base set that every environment has, and the spec's.

Nodes become Ready only with vpc-cni there, and coredns only with nodes: so the first three are requested as
soon as the control plane is ACTIVE, and the others when a managed node group has nodes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components import cluster
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
from springboard.errors import RESTORE
from springboard.record import OperationKind, OperationStatus, text
from springboard.spec import BASE_ADDONS, DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

CNI = "vpc-cni"
_EARLY = (CNI, "kube-proxy", "eks-pod-identity-agent")
_CONFIGURATION: Mapping[str, Mapping[str, Any]] = {
    CNI: {"enableNetworkPolicy": "true", "env": {"ENABLE_PREFIX_DELEGATION": "true"}},
}
_SERVICE_ACCOUNTS = {
    CNI: "aws-node",
    "aws-ebs-csi-driver": "ebs-csi-controller-sa",
    "aws-efs-csi-driver": "efs-csi-controller-sa",
    "amazon-cloudwatch-observability": "cloudwatch-agent",
}
_WITH_NODES = frozenset({"ACTIVE", "UPDATING", "DEGRADED"})  # states of a managed node group
# Causes that go away by themselves; all others of a DEGRADED add-on need somebody.
_PASSING = frozenset({"InsufficientNumberOfReplicas", "ClusterUnreachable", "InternalFailure"})
_REMEDIES = {
    "ConfigurationConflict": "change spec.addons: the add-on's schema (DescribeAddonConfiguration) refuses the"
    " configuration, or somebody else manages the same fields",
    "AccessDenied": f"the add-on's role lacks a permission: {RESTORE}, or name a role that has it",
    "AddonPermissionFailure": f"the add-on's role lacks a permission: {RESTORE}",
    "AddonSubscriptionNeeded": "subscribe to the add-on in the AWS Marketplace, then retry",
    "AdmissionRequestDenied": "an admission webhook in the cluster refused the add-on's objects: see which, then retry",
}
_REMEDY = "look at the add-on's health in the EKS console, then `springboard retry`"
_NODES_POLL = 30  # seconds
# vpc-cni takes half a minute, or three: the first looks are close, the later ones a quarter of the wait so far apart.
NETWORK = Pace(10, 10, share=4)
_NOT_THERE = frozenset({"CREATING", "CREATE_FAILED", "DELETING"})  # a retry deletes one that failed, to make it again
_UNDER_WAY = frozenset({"CREATING", "UPDATING", "DELETING"})


@dataclass(frozen=True)
class Addon:
    """An add-on that should be."""

    name: str
    version: str  # or DEFAULT_VERSION
    configuration: Mapping[str, Any]
    needs_nodes: bool
    service_account: str = ""
    role_arn: str = ""  # for the service account, by Pod Identity


@dataclass(frozen=True)
class Addons:
    """All that should be."""

    addons: tuple[Addon, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """An add-on that is."""

    name: str
    version: str
    status: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    issues: tuple[tuple[str, str], ...] = ()
    ours: bool = True
    failed_before: bool = False  # the failure is older than the operation that looks at it
    # Seen as desired earlier in this operation, and not looked at again; its configuration is then not told.
    settled: bool = False


@dataclass(frozen=True)
class Observed(Observation):
    """The add-ons that are, whether there are nodes for the late ones, and the versions to create with."""

    addons: tuple[Found, ...] = ()
    nodes: bool = False
    defaults: Mapping[str, str] = field(default_factory=dict)
    operation: str = ""


@dataclass(frozen=True, kw_only=True)
class CreateAddon(Change):
    """CreateAddon."""

    addon: Addon
    version: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class UpdateAddon(Change):
    """UpdateAddon: what the spec does not say keeps the values that somebody gave it (PRESERVE)."""

    name: str
    version: str  # "": stays
    configuration: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DeleteAddon(Change):
    """DeleteAddon."""

    name: str
    preserve: bool


def desired(environment: Environment, site: Site) -> Addons:
    """The base set and the spec's; what the spec says of an add-on of the base set wins."""
    said = {addon.name: addon for addon in environment.spec.addons}
    roles = dict(site.addon_role_arns)
    names = (*BASE_ADDONS, *(name for name in said if name not in BASE_ADDONS))
    return Addons(
        tuple(
            Addon(
                name=name,
                version=said[name].version if name in said else DEFAULT_VERSION,
                configuration=_merged(_CONFIGURATION.get(name, {}), said[name].configuration if name in said else {}),
                needs_nodes=name not in _EARLY,
                service_account=_SERVICE_ACCOUNTS.get(name, "") if name in roles else "",
                role_arn=roles.get(name, "") if name in _SERVICE_ACCOUNTS else "",
            )
            for name in names
        ),
        {**environment.labels, **naming.owner_tags(site.stack_name, environment.name, environment.uid)},
    )


def changes(desired: Addons | Absent, observed: Observed) -> Sequence[Change]:
    """Add-ons to create, update and delete; on removal none: they go with the cluster."""
    if isinstance(desired, Absent):
        return ()
    found = {addon.name: addon for addon in observed.addons}
    names = {addon.name for addon in desired.addons}
    return (
        *(
            change
            for addon in desired.addons
            for change in _addon(addon, found.get(addon.name), desired.tags, observed)
        ),
        *(
            DeleteAddon(
                Action.DELETE,
                f"add-on {addon.name}",
                "the spec does not name it any more",
                Effect.DISRUPTS,
                name=addon.name,
                preserve=False,
            )
            for addon in observed.addons
            if addon.ours and addon.name not in names and addon.status != "DELETING"
        ),
    )


def condition(desired: Addons | Absent, observed: Observed) -> Verdict:
    """Ready when all are ACTIVE and as desired."""
    if isinstance(desired, Absent):
        return Ready("GoesWithCluster")
    if observed.waiting:
        return observed.waiting
    verdicts = [_verdict(addon, observed) for addon in desired.addons]
    failures = [verdict for verdict in verdicts if isinstance(verdict, Failed)]
    if failures:
        return Failed("; ".join(f.cause for f in failures), failures[0].remedy, failures[0].code)
    waits = [verdict for verdict in verdicts if isinstance(verdict, Waiting)]
    if waits:
        return waits[0]
    leaving = [addon.name for addon in observed.addons if addon.name not in {a.name for a in desired.addons}]
    if leaving and any(addon.ours for addon in observed.addons if addon.name in leaving):
        return Waiting("addons", f"{', '.join(leaving)}: going away")
    return Ready("Active", f"{len(desired.addons)} add-ons")


def observe(world: World, environment: Environment) -> Observed:
    """One call for each add-on that was not seen as desired earlier in this operation, none for one just requested.

    Several of which this operation has seen nothing yet are listed first: most are not there. Of those under way
    one is asked after at a time: the next is looked at once it has ended.
    While an operation waits for the early ones, and then for nodes, the late ones are not looked at: they can
    neither be made nor come to anything.
    """
    known = cluster.known(environment)
    if isinstance(known, Waiting):
        return Observed(waiting=known)
    want = desired(environment, world.site)
    running = _running(environment)
    facts = environment.facts.get("addons", {})
    found = {addon.name: addon for addon in (*_settled(environment, running), *_requested(environment, running))}
    seen = {each["name"]: each for each in facts.get("addons", ()) if running and facts.get("operation") == running}
    early = [addon for addon in want.addons if not addon.needs_nodes]
    late = [addon for addon in want.addons if addon.needs_nodes]

    def look(addons: list[Addon]) -> None:
        new = [addon.name for addon in addons if addon.name not in {*found, *seen}]
        busy = False
        listed = world.eks.addons(known.name) or () if running and len(new) > 1 else new
        for addon in addons:
            if addon.name in new and addon.name not in listed:
                continue
            before = seen.get(addon.name)
            if busy and before and before["status"] in _UNDER_WAY and addon.name not in found:
                found[addon.name] = Found(addon.name, before["version"], before["status"])
                continue
            there = found.get(addon.name) or _found(world, environment, known.name, addon.name)
            if there:
                found[addon.name] = replace(there, settled=_settles(addon, there))
                busy = busy or there.status in _UNDER_WAY

    look(early)
    nodes = any(addon.name in found for addon in late)  # settled ones
    if running:
        ready = all(addon.name in found and found[addon.name].status == "ACTIVE" for addon in early)
        nodes = nodes or (ready and _nodes(world, environment, known.name))
    if nodes or not running:
        look(late)
        nodes = nodes or all(addon.name in found for addon in late) or _nodes(world, environment, known.name)
        found |= _extra(world, environment, known.name, {addon.name for addon in want.addons})
    missing = [
        addon.name
        for addon in want.addons
        if addon.name not in found and addon.version == DEFAULT_VERSION and (nodes or not addon.needs_nodes)
    ]
    return Observed(
        addons=tuple(found.values()),
        nodes=nodes,
        defaults=world.eks.default_addon_versions(known.version, missing) if missing else {},
        operation=running,
    )


def apply(world: World, environment: Environment, change: Change) -> Mapping[str, Any] | None:
    """One change; all are safe to make twice. Answers what was requested, for the look right after."""
    name = naming.cluster(world.site.prefix, environment.name)
    match change:
        case CreateAddon(addon=addon):
            world.eks.create_addon(
                name,
                addon.name,
                resolveConflicts="OVERWRITE",
                tags=dict(change.tags),
                clientRequestToken=token(environment, f"addon/{addon.name}/{change.version}"),
                **_optional(change.version, addon),
            )
            before = environment.facts.get("addons", {}).get("requested", {})
            return {"requested": {**before, addon.name: change.version}}
        case UpdateAddon():
            what = f"addon/{change.name}/{change.version}/{_json(change.configuration)}"
            version = {"addonVersion": change.version} if change.version else {}
            world.eks.update_addon(
                name,
                change.name,
                configurationValues=_json(change.configuration),
                resolveConflicts="PRESERVE",
                clientRequestToken=token(environment, what),
                **version,
            )
        case DeleteAddon():
            world.eks.delete_addon(name, change.name, preserve=change.preserve)
        case _:
            raise TypeError(f"not a change of add-ons: {change!r}")
    return None


def learned(observed: Observed) -> Mapping[str, Any]:
    """Versions and states; in which operation they were seen as desired."""
    return {
        "operation": observed.operation,
        "addons": [
            {
                "name": addon.name,
                "version": addon.version,
                "status": addon.status,
                "settled": addon.settled,
                "issues": [f"{code}: {message}" for code, message in addon.issues],
            }
            for addon in observed.addons
        ],
    }


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` upon `base`, objects member by member."""
    both = {
        key: _merged(base[key], value) if isinstance(base.get(key), dict) and isinstance(value, dict) else value
        for key, value in over.items()
    }
    return {**base, **both}


def _addon(addon: Addon, found: Found | None, tags: Mapping[str, str], observed: Observed) -> Iterator[Change]:
    resource = f"add-on {addon.name}"
    if found is None:
        version = observed.defaults.get(addon.name, "") if addon.version == DEFAULT_VERSION else addon.version
        yield CreateAddon(
            Action.CREATE,
            resource,
            "it does not exist" if observed.nodes or not addon.needs_nodes else "it does not exist; it needs a node",
            possible=not observed.waiting and (observed.nodes or not addon.needs_nodes),
            addon=addon,
            version=version,
            tags=tags,
        )
    elif found.status == "CREATE_FAILED" and found.failed_before:
        yield DeleteAddon(
            Action.DELETE,
            resource,
            "its creation failed before, and it is created again",
            Effect.REPLACES,
            name=addon.name,
            preserve=True,
        )
    elif difference := _difference(addon, found) or _unhealed(found):
        yield UpdateAddon(
            Action.UPDATE,
            resource,
            difference,
            Effect.DISRUPTS,
            possible=found.status in {"ACTIVE", "DEGRADED"} or found.failed_before,
            name=addon.name,
            version=addon.version if addon.version not in {DEFAULT_VERSION, found.version} else "",
            configuration=addon.configuration,
        )


def _difference(addon: Addon, found: Found) -> str:
    """What differs, in words; nothing for one that this operation saw as desired."""
    if found.settled:
        return ""
    if addon.version not in {DEFAULT_VERSION, found.version}:
        return f"version {addon.version} is wanted, {found.version} is there"
    if addon.configuration != found.configuration:
        return "its configuration differs"
    return ""


def _unhealed(found: Found) -> str:
    """EKS leaves an add-on as UPDATE_FAILED until another update comes through, one to what it has already too."""
    return "its last update failed before" if found.failed_before and found.status == "UPDATE_FAILED" else ""


def _settles(addon: Addon, found: Found) -> bool:
    return found.settled or (found.status == "ACTIVE" and not found.issues and not _difference(addon, found))


def _verdict(addon: Addon, observed: Observed) -> Verdict:
    found = next((found for found in observed.addons if found.name == addon.name), None)
    if found is None and addon.needs_nodes and not observed.nodes:
        return Waiting("node_groups", f"{addon.name} needs a node", after=_NODES_POLL)
    network = addon.name == CNI  # the state machine creates node groups only after it
    if found is None:
        return Waiting("network" if network else "addons", f"{addon.name} is not there yet")
    told = "; ".join(f"{code}: {message}" for code, message in found.issues)
    if found.status.endswith("_FAILED") and not found.failed_before:
        return Failed(f"{addon.name} is {found.status}. {told}".strip(), *_way_out(found))
    if found.status == "DEGRADED" and any(code not in _PASSING for code, _ in found.issues):
        return Failed(f"{addon.name} is DEGRADED. {told}", *_way_out(found))
    if found.status != "ACTIVE":
        coming = network and found.status in _NOT_THERE
        reason = f"{addon.name} is {found.status}. {told}".strip()
        return Waiting("network" if coming else "addons", reason, NETWORK if coming else 0)
    difference = _difference(addon, found)
    return Waiting("addons", f"{addon.name}: {difference}") if difference else Ready()


def _way_out(found: Found) -> tuple[str, str]:
    """Remedy and code of the first issue that has a remedy of its own."""
    for code, _ in found.issues:
        if code in _REMEDIES:
            return _REMEDIES[code], code
    return _REMEDY, found.issues[0][0] if found.issues else "AddonFailed"


def _running(environment: Environment) -> str:
    """The running operation and its attempt; "" for a plan, a drift check, or between operations."""
    operation = environment.operation
    if operation is None or operation.status is not OperationStatus.RUNNING:
        return ""
    return f"{operation.id}/{operation.attempt}"


def _settled(environment: Environment, running: str) -> Iterator[Found]:
    """What this operation saw as desired already."""
    facts = environment.facts.get("addons", {})
    if running and facts.get("operation") == running:
        for addon in facts["addons"]:
            if addon["settled"]:
                yield Found(addon["name"], addon["version"], addon["status"], settled=True)


def _requested(environment: Environment, running: str) -> Iterator[Found]:
    """What this very look has just requested: EKS would say that it is being created."""
    for name, version in environment.facts.get("addons", {}).get("requested", {}).items() if running else ():
        yield Found(name, version, "CREATING")


def _extra(world: World, environment: Environment, cluster_name: str, wanted: set[str]) -> dict[str, Found]:
    """Add-ons of ours that the spec does not name; the first operation can't find any."""
    operation = environment.operation
    if not _running(environment):  # a plan asks for those that the record knows
        names = [addon["name"] for addon in environment.facts.get("addons", {}).get("addons", ())]
    elif operation and operation.kind is not OperationKind.CREATE:
        names = world.eks.addons(cluster_name) or []
    else:
        names = []
    found = (_found(world, environment, cluster_name, name) for name in names if name not in wanted)
    return {addon.name: addon for addon in found if addon and addon.ours}


def _found(world: World, environment: Environment, cluster_name: str, name: str) -> Found | None:
    described = world.eks.addon(cluster_name, name)
    if described is None:
        return None
    operation = environment.operation
    changed = described.get("modifiedAt") or described.get("createdAt")
    before = (
        operation is not None
        and operation.status is OperationStatus.RUNNING
        and operation.started_at is not None
        and changed is not None
        and text(changed) < text(operation.started_at)
    )
    return Found(
        name=name,
        version=described.get("addonVersion", ""),
        status=described["status"],
        configuration=_read(described.get("configurationValues") or "{}"),
        issues=tuple(
            (issue.get("code", "Unknown"), issue.get("message", ""))
            for issue in described.get("health", {}).get("issues", ())
        ),
        ours=described.get("tags", {}).get(naming.OWNER_TAG) == environment.uid,
        failed_before=before and described["status"].endswith("_FAILED"),
    )


def _nodes(world: World, environment: Environment, cluster_name: str) -> bool:
    """Whether one of the node groups has nodes, as the component of the node groups saw it last.

    No call to Kubernetes, which this function can't reach. A plan has no loop beside it that looks, and asks EKS.
    """
    known = {group["name"]: group["status"] for group in environment.facts.get("node_groups", {}).get("groups", ())}
    names = [group.name for group in environment.spec.node_groups if group.name in known]
    if _running(environment):
        return any(known[name] in _WITH_NODES for name in names)
    groups = (world.eks.node_group(cluster_name, name) for name in names)
    return any(group is not None and group["status"] in _WITH_NODES for group in groups)


def _optional(version: str, addon: Addon) -> dict[str, Any]:
    """Parameters of CreateAddon that not every add-on has; without a version EKS chooses."""
    parameters: dict[str, Any] = {"addonVersion": version} if version else {}
    if addon.configuration:
        parameters["configurationValues"] = _json(addon.configuration)
    if addon.role_arn:
        parameters["podIdentityAssociations"] = [{"serviceAccount": addon.service_account, "roleArn": addon.role_arn}]
    return parameters


def _json(configuration: Mapping[str, Any]) -> str:
    return json.dumps(configuration, sort_keys=True, separators=(",", ":"))


def _read(configuration: str) -> dict[str, Any]:
    """What EKS tells; somebody else's YAML differs from whatever we would write."""
    try:
        read = json.loads(configuration)
    except ValueError:
        return {"": configuration}
    return read if isinstance(read, dict) else {"": read}
