"""Two security groups: the load balancer's, and the one that lets it reach the nodes' NodePorts.

Both are known by name (it holds a hash of the uid) and by owner tag. A group in use cannot be deleted: the
load balancer's network interfaces linger for minutes after it, and removal waits for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import Absent, Action, Change, Observation, Ready, Verdict, Waiting
from springboard.errors import NotOursError, RefusedError
from springboard.record import OperationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_MOST_RULES = 60  # of a security group in one direction, EC2's quota unless it was raised
_PREFIX_LIST = re.compile("pl-[0-9a-f]+")

NODE_PORTS = (30000, 30085)  # of all applications of all environments; each cluster has its own nodes


@dataclass(frozen=True, order=True)
class Rule:
    """TCP ports open to a CIDR or prefix list, or to the members of the group of that name."""

    first: int
    last: int
    peer: str  # 10.64.0.0/16, or the name of a security group
    protocol: str = "tcp"  # "-1" is everything, as a new group's own egress rule


@dataclass(frozen=True)
class Group:
    """A security group, by what we set of it."""

    name: str
    description: str
    ingress: frozenset[Rule]
    egress: frozenset[Rule]


@dataclass(frozen=True)
class Desired:
    """Both groups, the load balancer's first: the other refers to it."""

    vpc_id: str
    groups: tuple[Group, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Observed(Observation):
    """The groups that exist, their ids, and what still uses them once they should go."""

    groups: Mapping[str, Group]
    ids: Mapping[str, str]
    foreign: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CreateGroup(Change):
    """CreateSecurityGroup with its rules."""

    group: Group
    vpc_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ChangeRules(Change):
    """Authorize… first, Revoke… after, so that nobody is cut off; the other way where both have no room at once."""

    group_id: str
    direction: str  # ingress or egress
    open: frozenset[Rule]
    close: frozenset[Rule]
    crowded: bool


@dataclass(frozen=True, kw_only=True)
class DeleteGroup(Change):
    """DeleteSecurityGroup."""

    group_id: str


def desired(environment: Environment, site: Site) -> Desired:
    """Web ports from the spec's CIDRs to the load balancer; NodePorts from it to the nodes."""
    alb, nodes = _names(environment, site)
    cidrs = environment.spec.ingress.allow_cidrs
    return Desired(
        vpc_id=site.vpc_id,
        groups=(
            Group(
                alb,
                f"Load balancer of {environment.name}",
                frozenset(Rule(port, port, cidr) for port in (80, 443) for cidr in cidrs),
                frozenset(Rule(*NODE_PORTS, cidr) for cidr in site.vpc_cidrs),
            ),
            Group(
                nodes,
                f"NodePorts of {environment.name} from its load balancer",
                frozenset({Rule(*NODE_PORTS, alb)}),
                frozenset(),  # the cluster's own group gives the nodes their way out
            ),
        ),
        tags={**environment.labels, **naming.owner_tags(site.stack_name, environment.name, environment.uid)},
    )


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """Groups made with their rules, rules changed one direction at a time, groups deleted in reverse order."""
    if isinstance(desired, Absent):
        return tuple(_removal(observed))
    if observed.foreign:
        raise NotOursError(
            f"the security group {observed.foreign[0]} exists and was not made for this environment",
            "rename or delete that group",
        )
    return tuple(_wanted(desired, observed))


def _wanted(desired: Desired, observed: Observed) -> Iterator[Change]:
    for group in desired.groups:
        found = observed.groups.get(group.name)
        resource = f"security group {group.name}"
        if found is None:
            yield CreateGroup(
                Action.CREATE, resource, "it does not exist", group=group, vpc_id=desired.vpc_id, tags=desired.tags
            )
            continue
        for direction, wanted, present in (
            ("ingress", group.ingress, found.ingress),
            ("egress", group.egress, found.egress),
        ):
            if wanted != present:
                yield ChangeRules(
                    Action.UPDATE,
                    resource,
                    f"{direction} should be {_told(wanted)}, not {_told(present)}",
                    group_id=observed.ids[group.name],
                    direction=direction,
                    open=wanted - present,
                    close=present - wanted,
                    crowded=len(present | wanted) > _MOST_RULES,
                )


def _removal(observed: Observed) -> Iterator[Change]:
    # The one that refers comes first; neither goes while it is in use.
    for name in sorted(observed.ids, key=lambda name: "-node-ingress-" not in name):
        yield DeleteGroup(
            Action.DELETE,
            f"security group {name}",
            "the environment goes away",
            possible=not observed.users,
            group_id=observed.ids[name],
        )


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when there is nothing to change; a group in use names its users."""
    left = changes(desired, observed)
    if not left:
        return Ready()
    if observed.users:
        # They are looked for in one call, which does not say whose they are.
        groups = " or ".join(dict.fromkeys(change.resource for change in left))
        return Waiting("users of security groups", f"{groups} is used by {', '.join(observed.users[:3])}")
    return Waiting("security groups", f"{left[0].resource}: {left[0].reason}")


def observe(world: World, environment: Environment) -> Observed:
    """One call; more for what uses the groups, or refers to them, while the environment goes away."""
    names = _names(environment, world.site)
    found = world.ec2.security_groups(names, world.site.vpc_id)
    ours = [group for group in found if _tags(group).get(naming.OWNER_TAG) == environment.uid]
    ids = {group["GroupName"]: group["GroupId"] for group in ours}
    by_id = {group_id: name for name, group_id in ids.items()}
    leaving = environment.under(OperationKind.DELETE)
    return Observed(
        groups={group["GroupName"]: _group(group, by_id) for group in ours},
        ids=ids,
        foreign=tuple(group["GroupName"] for group in found if group not in ours),
        users=_users(world, list(ids.values())) if leaving and ids else (),
    )


def apply(world: World, environment: Environment, change: Change) -> None:  # noqa: ARG001 - the components' signature
    """One group made or deleted, or one direction of its rules changed."""
    match change:
        case CreateGroup():
            _create(world, change)
        case ChangeRules():
            _change(world, change)
        case DeleteGroup():
            _delete(world, change.group_id)
        case _:
            raise TypeError(f"not a change of firewall: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """The groups' ids, under `alb` and `nodeIngress`."""
    return {("nodeIngress" if "-node-ingress-" in name else "alb"): group_id for name, group_id in observed.ids.items()}


def _users(world: World, group_ids: list[str]) -> tuple[str, ...]:
    """Network interfaces, and once there are none, rules of other groups: both keep EC2 from deleting a group."""
    interfaces = world.ec2.users_of(group_ids)
    rules = [] if interfaces else world.ec2.referrers_of(group_ids)
    return (*interfaces, *(f"a rule of the security group {group}" for group in rules))


def _names(environment: Environment, site: Site) -> tuple[str, str]:
    return (
        naming.alb_security_group(site.prefix, environment.name, environment.uid),
        naming.node_ingress_security_group(site.prefix, environment.name, environment.uid),
    )


def _create(world: World, change: CreateGroup) -> None:
    group = change.group
    group_id = world.ec2.create_security_group(group.name, group.description, change.vpc_id, dict(change.tags))
    world.ec2.open(group_id, "ingress", _permissions(world, group.ingress, change.vpc_id))
    world.ec2.open(group_id, "egress", _permissions(world, group.egress, change.vpc_id))
    # EC2 gives every new group a rule that lets everything out.
    world.ec2.close(group_id, "egress", _permissions(world, frozenset({Rule(-1, -1, "0.0.0.0/0", "-1")}), ""))


def _change(world: World, change: ChangeRules) -> None:
    acts = [(world.ec2.open, change.open), (world.ec2.close, change.close)]
    for act, rules in reversed(acts) if change.crowded else acts:
        act(change.group_id, change.direction, _permissions(world, rules, world.site.vpc_id))


def _delete(world: World, group_id: str) -> None:
    try:
        world.ec2.delete_security_group(group_id)
    except RefusedError as err:
        if err.code != "DependencyViolation":
            raise


def _permissions(world: World, rules: frozenset[Rule], vpc_id: str) -> list[dict[str, Any]]:
    return [_permission(world, rule, vpc_id) for rule in sorted(rules)]


def _permission(world: World, rule: Rule, vpc_id: str) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": rule.protocol}
    if rule.protocol != "-1":
        permission |= {"FromPort": rule.first, "ToPort": rule.last}
    if ":" in rule.peer:
        return {**permission, "Ipv6Ranges": [{"CidrIpv6": rule.peer}]}
    if "/" in rule.peer:
        return {**permission, "IpRanges": [{"CidrIp": rule.peer}]}
    if _PREFIX_LIST.fullmatch(rule.peer):
        return {**permission, "PrefixListIds": [{"PrefixListId": rule.peer}]}
    peer = rule.peer if rule.peer.startswith("sg-") else world.ec2.known_security_group_id(rule.peer, vpc_id)
    return {**permission, "UserIdGroupPairs": [{"GroupId": peer}]}


def _group(found: Mapping[str, Any], names: Mapping[str, str]) -> Group:
    return Group(
        found["GroupName"],
        found.get("Description", ""),
        _rules(found.get("IpPermissions", ()), names),
        _rules(found.get("IpPermissionsEgress", ()), names),
    )


def _rules(permissions: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> frozenset[Rule]:
    """Every peer a rule of its own; a group of ours under its name."""
    rules = set()
    for permission in permissions:
        peers = [each["CidrIp"] for each in permission.get("IpRanges", ())]
        peers += [each["CidrIpv6"] for each in permission.get("Ipv6Ranges", ())]
        peers += [each["PrefixListId"] for each in permission.get("PrefixListIds", ())]
        peers += [names.get(each["GroupId"], each["GroupId"]) for each in permission.get("UserIdGroupPairs", ())]
        first, last = int(permission.get("FromPort", -1)), int(permission.get("ToPort", -1))
        rules |= {Rule(first, last, peer, permission["IpProtocol"]) for peer in peers}
    return frozenset(rules)


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}


def _told(rules: frozenset[Rule]) -> str:
    ports = (
        (f"{rule.first}" if rule.first == rule.last else f"{rule.first}-{rule.last}", rule.peer)
        for rule in sorted(rules)
    )
    return ", ".join(f"{port} from {peer}" for port, peer in ports) or "nothing"
