"""Who may use the cluster: EKS access entries, for the workload function and for people.

The cluster knows no other way in (API mode, no creator's admin right), so the workload function's own entry
comes first. People also belong to the group of `viewers`, who read nodes and namespaces, which the namespaced
policies leave out. Entries that EKS or somebody else made stay as they are; one that the spec names is adopted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components import cluster
from springboard.components.contract import Absent, Action, Change, Failed, Observation, Ready, Verdict, Waiting
from springboard.components.idempotency import token
from springboard.spec import Access as AccessSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

VIEWERS = "springboard:viewers"
_ADMIN = "AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True)
class Policy:
    """An associated access policy; without namespaces it holds in the whole cluster."""

    arn: str
    namespaces: tuple[str, ...] = ()

    @property
    def scope(self) -> dict[str, Any]:
        """The access scope as EKS writes it."""
        if self.namespaces:
            return {"type": "namespace", "namespaces": list(self.namespaces)}
        return {"type": "cluster"}

    @property
    def name(self) -> str:
        """AmazonEKSEditPolicy."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True)
class Entry:
    """An access entry, desired or found."""

    principal: str
    groups: tuple[str, ...]
    policies: tuple[Policy, ...]  # sorted by ARN
    arn: str = ""
    type: str = "STANDARD"
    ours: bool = True


@dataclass(frozen=True)
class Entries:
    """The entries that should be."""

    entries: tuple[Entry, ...]
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Observed(Observation):
    """The entries that are: those that the spec names, and others of ours."""

    cluster: str = ""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CreateEntry(Change):
    """CreateAccessEntry and AssociateAccessPolicy."""

    entry: Entry
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class ChangeEntry(Change):
    """UpdateAccessEntry, TagResource, AssociateAccessPolicy, DisassociateAccessPolicy: what differs."""

    principal: str
    arn: str
    groups: tuple[str, ...] | None = None
    associate: tuple[Policy, ...] = ()
    disassociate: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeleteEntry(Change):
    """DeleteAccessEntry."""

    principal: str


def desired(environment: Environment, site: Site) -> Entries:
    """The workload function's entry and the people's."""
    workload = Entry(site.workload_role_arn, (), (Policy(_policy_arn(site, _ADMIN)),))
    people = _people(environment, site)
    owner = naming.owner_tags(site.stack_name, environment.name, environment.uid)
    others = (entry for entry in people if entry.principal != site.workload_role_arn)
    return Entries((workload, *others), tuple(sorted({**environment.labels, **owner}.items())))


def changes(desired: Entries | Absent, observed: Observed) -> Sequence[Change]:
    """Entries to make, change and take away; on removal none: they go with the cluster."""
    if isinstance(desired, Absent):
        return ()
    if observed.waiting:
        return tuple(
            CreateEntry(
                Action.CREATE,
                f"access entry {entry.principal}",
                "it does not exist",
                possible=False,
                entry=entry,
                tags=desired.tags,
            )
            for entry in desired.entries
        )
    found = {entry.principal: entry for entry in observed.entries}
    wanted = {entry.principal for entry in desired.entries}
    return (
        *(change for entry in desired.entries for change in _entry(entry, found.get(entry.principal), desired.tags)),
        *(_deletion(entry) for entry in observed.entries if entry.ours and entry.principal not in wanted),
    )


def condition(desired: Entries | Absent, observed: Observed) -> Verdict:
    """Ready when every entry is there with its policies."""
    if isinstance(desired, Absent):
        return Ready("GoesWithCluster")
    if observed.waiting:
        return observed.waiting
    for entry in observed.entries:
        if entry.type != "STANDARD" and any(entry.principal == want.principal for want in desired.entries):
            return Failed(
                f"{entry.principal} is used by nodes (access entry of type {entry.type}) and can't be a person's role",
                "name another role in spec.cluster.access",
                "PrincipalInUse",
            )
    open_changes = changes(desired, observed)
    if open_changes:
        return Waiting("access", f"{open_changes[0].resource}: {open_changes[0].reason}")
    return Ready("Granted", f"{len(desired.entries)} access entr{'y' if len(desired.entries) == 1 else 'ies'}")


def observe(world: World, environment: Environment) -> Observed:
    """One call for the list, two for each entry that is ours or that the spec names, one for our own function's."""
    known = cluster.known(environment)
    if isinstance(known, Waiting):
        return Observed(waiting=known)
    principals = world.eks.access_entries(known.name)
    if principals is None:
        return Observed(waiting=Waiting("cluster", "the control plane is not there"))
    wanted = {entry.principal for entry in desired(environment, world.site).entries}
    entries = (
        _found(world, known.name, principal, environment.uid, wanted=principal in wanted)
        for principal in principals
        if principal in wanted or not _made_by_eks(principal, world.site)
    )
    return Observed(cluster=known.name, entries=tuple(entry for entry in entries if entry))


def apply(world: World, environment: Environment, change: Change) -> None:
    """One change; all are safe to make twice."""
    name = naming.cluster(world.site.prefix, environment.name)
    match change:
        case CreateEntry(entry=entry):
            world.eks.create_access_entry(
                name,
                entry.principal,
                type="STANDARD",
                kubernetesGroups=list(entry.groups),
                tags=dict(change.tags),
                clientRequestToken=token(environment, f"access/{entry.principal}/{entry.groups}"),
            )
            for policy in entry.policies:
                world.eks.associate_access_policy(name, entry.principal, policy.arn, policy.scope)
        case ChangeEntry():
            _apply_change(world, environment, name, change)
        case DeleteEntry():
            world.eks.delete_access_entry(name, change.principal)
        case _:
            raise TypeError(f"not a change of access: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """Who has which policies."""
    return {
        "entries": [
            {
                "principalArn": entry.principal,
                "policies": [{"name": policy.name, "namespaces": list(policy.namespaces)} for policy in entry.policies],
            }
            for entry in observed.entries
        ]
    }


def _people(environment: Environment, site: Site) -> Iterator[Entry]:
    """The spec's people, or the creator alone; several lines for one principal become one entry."""
    access = environment.spec.cluster.access
    if access is None:
        creator = environment.resolved.creator_role_arn or environment.owner
        if ":role/" not in creator and ":user/" not in creator:
            return  # an account's root can't have an access entry
        access = [AccessSpec(principal_arn=creator, namespaces=[environment.name])]
    policies: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in access:
        scopes = policies.setdefault(line.principal_arn, {})
        arn = _policy_arn(site, line.policy)
        scopes[arn] = _wider(scopes[arn], line.namespaces) if arn in scopes else tuple(sorted(set(line.namespaces)))
    for principal, scopes in policies.items():
        yield Entry(principal, (VIEWERS,), tuple(Policy(arn, scopes[arn]) for arn in sorted(scopes)))


def _wider(first: tuple[str, ...], second: Iterable[str]) -> tuple[str, ...]:
    """Both scopes together: the whole cluster (no namespaces) includes every namespace."""
    also = set(second)
    return tuple(sorted({*first, *also})) if first and also else ()


def _policy_arn(site: Site, policy: str) -> str:
    return f"arn:{site.partition}:eks::aws:cluster-access-policy/{policy}"


def _made_by_eks(principal: str, site: Site) -> bool:
    """Nodes' role and EKS's service-linked role have entries that EKS looks after."""
    return principal == site.node_role_arn or ":role/aws-service-role/" in principal


def _found(world: World, name: str, principal: str, uid: str, *, wanted: bool) -> Entry | None:
    if principal == world.site.workload_role_arn:  # nobody else has a use for it: its policies decide
        described: Mapping[str, Any] | None = {"tags": {naming.OWNER_TAG: uid}}
    else:
        described = world.eks.access_entry(name, principal)
    if described is None:
        return None
    ours = described.get("tags", {}).get(naming.OWNER_TAG) == uid
    if not ours and not wanted:
        return None
    policies = (
        Policy(found["policyArn"], tuple(sorted(found.get("accessScope", {}).get("namespaces", ()))))
        for found in world.eks.access_policies(name, principal)
    )
    return Entry(
        principal=principal,
        groups=tuple(sorted(described.get("kubernetesGroups", ()))),
        policies=tuple(sorted(policies, key=lambda policy: policy.arn)),
        arn=described.get("accessEntryArn", ""),
        type=described.get("type", "STANDARD"),
        ours=ours,
    )


def _entry(entry: Entry, found: Entry | None, tags: tuple[tuple[str, str], ...]) -> Iterator[Change]:
    resource = f"access entry {entry.principal}"
    if found is None:
        yield CreateEntry(Action.CREATE, resource, "it does not exist", entry=entry, tags=tags)
        return
    if found.type != "STANDARD":
        return
    have = {policy.arn: policy for policy in found.policies}
    associate = tuple(policy for policy in entry.policies if have.get(policy.arn) != policy)
    disassociate = tuple(sorted(set(have) - {policy.arn for policy in entry.policies}))
    groups = entry.groups if entry.groups != found.groups else None
    reasons = [
        *(f"{policy.name} shall hold in {', '.join(policy.namespaces) or 'the cluster'}" for policy in associate),
        *(f"{arn.rpartition('/')[2]} shall not hold" for arn in disassociate),
        *(["its groups differ"] if groups is not None else []),
        *([] if found.ours else ["it was made by somebody else, and the spec names it"]),
    ]
    if reasons:
        yield ChangeEntry(
            Action.UPDATE,
            resource,
            "; ".join(reasons),
            principal=entry.principal,
            arn=found.arn,
            groups=groups,
            associate=associate,
            disassociate=disassociate,
            tags=() if found.ours else tags,
        )


def _deletion(entry: Entry) -> Change:
    return DeleteEntry(
        Action.DELETE,
        f"access entry {entry.principal}",
        "the spec does not name it any more",
        principal=entry.principal,
    )


def _apply_change(world: World, environment: Environment, name: str, change: ChangeEntry) -> None:
    if change.tags:
        world.eks.tag(change.arn, dict(change.tags))
    if change.groups is not None:
        what = f"access/{change.principal}/{change.groups}"
        world.eks.update_access_entry(name, change.principal, list(change.groups), token(environment, what))
    for policy in change.associate:
        world.eks.associate_access_policy(name, change.principal, policy.arn, policy.scope)
    for arn in change.disassociate:
        world.eks.disassociate_access_policy(name, change.principal, arn)
