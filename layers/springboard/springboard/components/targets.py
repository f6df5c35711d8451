"""The nodes as targets: target groups attached to the node groups' Auto Scaling groups.

Attachment is `Added` when all instances are registered; `InService` would need health checks of type ELB, which
would have Auto Scaling replace nodes whenever an application is ill. A target group that is deleted while it is
attached stops every launch of an instance: so what is attached and no application's is detached, always.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import Absent, Action, Change, Effect, Observation, Pace, Ready, Verdict, Waiting
from springboard.record import OperationKind, OperationStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

NAME_POLL, NODES_POLL, PODS_POLL = 30, 30, 10  # seconds: for EKS to name a group, nodes to come, pods to come
LISTENER_POLL = 30
FIRST = Pace(85, 30)  # from the attachment to instances that are registered
_ATTACHED = frozenset({"Adding", "Added", "InService"})
_LEAVING = frozenset({"draining", "unhealthy.draining"})
# What a health check meets that keeps a target from its traffic though its pods may be well, by the reason code of
# DescribeTargetHealth (Elastic Load Balancing API reference, TargetHealth): where to look. A retry puts our own
# groups' rules and health checks back.
_RETRIED = "`springboard retry` puts Springboard's own rules and health checks back"
_REMEDIES: Mapping[str, str] = {
    "Target.Timeout": "let the load balancer reach the nodes' NodePorts: look at the nodes' security groups, the"
    f" subnets' network ACLs and NetworkPolicies that somebody added; {_RETRIED}",
    "Target.ResponseCodeMismatch": "have the application answer its health check with 200: look at"
    f" spring.actuatorPath and at the target group's health check path; {_RETRIED}",
    "Target.FailedHealthChecks": "have a ready pod listen behind the NodePort: `springboard why` shows what pods and"
    f" targets say; {_RETRIED}",
    "Target.NotInUse": "have a listener of the load balancer, in the zones of the nodes, forward to the target group;"
    " `springboard retry` puts listeners and rules back",
}


@dataclass(frozen=True)
class Targets:
    """Which target groups the instances of all node groups should be in."""

    target_groups: Mapping[str, str]  # application → name


@dataclass(frozen=True)
class Health:
    """How the targets of one target group are: state → how many, and what the load balancer says of the ill."""

    states: Mapping[str, int]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed(Observation):
    """Attachments and health."""

    arns: Mapping[str, str] = field(default_factory=dict)  # target group → ARN
    attached: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # Auto Scaling group → ARN → state
    health: Mapping[str, Health] = field(default_factory=dict)  # target group → health; empty until all are Added
    beginning: str = ""  # of the names of this environment's target groups
    replaced: bool = False  # node groups are still being changed: others may come
    operation: str = ""  # the running one
    early: bool = False  # the record says that no rollout is complete: no target can be healthy
    closed: bool = False  # the record says that nothing but port 80 listens: no target is probed


@dataclass(frozen=True, kw_only=True)
class Attach(Change):
    """AttachTrafficSources."""

    group: str
    arns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Detach(Change):
    """DetachTrafficSources."""

    group: str
    arns: tuple[str, ...]


def desired(environment: Environment, site: Site) -> Targets:
    """All applications' target groups."""
    return Targets(
        {
            app.name: naming.target_group(site.prefix, environment.name, environment.uid, app.name, app.node_port)
            for app in environment.resolved.apps
        }
    )


def changes(desired: Targets | Absent, observed: Observed) -> Sequence[Change]:
    """Attach what is missing to each Auto Scaling group, detach what is ours and nobody's any more."""
    names = () if isinstance(desired, Absent) else desired.target_groups.values()
    wanted = {observed.arns[name] for name in names if name in observed.arns}
    return tuple(
        change
        for group, attached in sorted(observed.attached.items())
        for change in _group(group, attached, wanted, observed.beginning)
    )


def condition(desired: Targets | Absent, observed: Observed) -> Verdict:
    """Ready when all instances are registered and every target that stays is healthy."""
    if isinstance(desired, Absent):
        left = sorted(
            {_name(arn) for attached in observed.attached.values() for arn in attached if _ours(arn, observed)}
        )
        return Waiting("targets", f"{', '.join(left)}: being detached", after=15) if left else Ready("Gone")
    if observed.waiting:
        return observed.waiting
    return (
        _registered(desired, observed)
        or _served(desired, observed)
        or _detached(desired, observed)
        or Ready("Healthy", _listed(desired))
    )


def observe(world: World, environment: Environment) -> Observed:
    """One call per Auto Scaling group; one per target group, for health, once all is attached.

    While the applications roll out, or the load balancer waits for its certificate, attached groups are not asked
    again: no target can be healthy yet.
    """
    beginning = naming.thirty_two(world.site.prefix, environment.name, environment.uid, "")[:-8]
    removing = environment.under(OperationKind.DELETE)
    groups = _every_group(world, environment) if removing else _groups(world, environment)
    if isinstance(groups, Waiting):
        return Observed(beginning=beginning, waiting=groups)
    observed = Observed(beginning=beginning, replaced=_replaced(environment), operation=_running(environment))
    if removing:
        return replace(observed, attached=_attached(world, groups))
    want = desired(environment, world.site)
    arns = _arns(world, environment, want)
    if isinstance(arns, Waiting):
        return replace(observed, waiting=arns)
    known = _known_attached(environment, groups)
    observed = replace(
        observed,
        arns=arns,
        attached=known or _attached(world, groups),
        early=_early(environment),
        closed=_closed(environment),
    )
    if set(observed.attached) != set(groups):
        return replace(observed, waiting=Waiting("node_groups", "an Auto Scaling group is not there any more"))
    if observed.early or observed.closed or changes(want, observed):
        return observed
    return replace(observed, health={name: _health(world.elb.target_health(arn)) for name, arn in arns.items()})


def apply(world: World, environment: Environment, change: Change) -> None:  # noqa: ARG001 - the components' signature
    """One Auto Scaling group's attachments; may be made twice."""
    match change:
        case Attach():
            world.autoscaling.attach(change.group, list(change.arns))
        case Detach():
            world.autoscaling.detach(change.group, list(change.arns))
        case _:
            raise TypeError(f"not a change of targets: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """How many targets are in which state, by target group."""
    return {
        "operation": observed.operation,
        "attached": {group: dict(states) for group, states in sorted(observed.attached.items())},
        "targetGroups": {
            name: {"states": dict(health.states), "reasons": list(health.reasons)}
            for name, health in sorted(observed.health.items())
        },
    }


def _group(group: str, attached: Mapping[str, str], wanted: set[str], beginning: str) -> Iterator[Change]:
    resource = f"Auto Scaling group {group}"
    missing = tuple(sorted(arn for arn in wanted if attached.get(arn) not in _ATTACHED))
    if missing:
        yield Attach(
            Action.UPDATE,
            resource,
            f"its instances are not registered with {', '.join(map(_name, missing))}",
            possible=not any(arn in attached for arn in missing),  # one that is Removing has to be gone first
            group=group,
            arns=missing,
        )
    unwanted = tuple(
        sorted(
            arn
            for arn, state in attached.items()
            if arn not in wanted and state in _ATTACHED and _name(arn).startswith(beginning)
        )
    )
    if unwanted:
        yield Detach(
            Action.UPDATE,
            resource,
            f"no application is behind {', '.join(map(_name, unwanted))}",
            Effect.DISRUPTS,
            group=group,
            arns=unwanted,
        )


def _name(arn: str) -> str:
    """The target group's name: …:targetgroup/NAME/id."""
    return arn.split("/")[1] if arn.count("/") == 2 else arn


def _ours(arn: str, observed: Observed) -> bool:
    return _name(arn).startswith(observed.beginning)


def _registered(desired: Targets, observed: Observed) -> Waiting | None:
    """What keeps instances from being registered; None when all are."""
    for group, attached in sorted(observed.attached.items()):
        for name in desired.target_groups.values():
            state = attached.get(observed.arns.get(name, ""), "not attached")
            if state not in {"Added", "InService"}:
                reason = f"instances of {group} are not all registered with {name} ({state})"
                return Waiting("targets", reason, after=FIRST)
    return None


def _detached(desired: Targets, observed: Observed) -> Waiting | None:
    """What no application is behind any more and is still attached; its target group has to stay until it is not."""
    wanted = {observed.arns.get(name) for name in desired.target_groups.values()}
    left = {arn for attached in observed.attached.values() for arn in attached if _ours(arn, observed)} - wanted
    return Waiting("targets", f"{', '.join(sorted(map(_name, left)))}: being detached", after=15) if left else None


def _served(desired: Targets, observed: Observed) -> Waiting | None:
    """What keeps the load balancer from sending requests to every instance; None when nothing does."""
    if observed.early:
        poll = NODES_POLL if observed.replaced else PODS_POLL
        return Waiting("workload", "no application is rolled out yet", after=poll)
    if observed.closed:
        return Waiting("load_balancer", "443 is opened once the certificate is issued", after=LISTENER_POLL)
    for app, name in sorted(desired.target_groups.items()):
        verdict = _healthy(app, observed.health.get(name))
        if isinstance(verdict, Waiting):
            return verdict
    if observed.replaced:
        reason = "node groups are being changed, and new instances are to be registered"
        return Waiting("node_groups", reason, after=NODES_POLL)
    return None


def _listed(desired: Targets) -> str:
    return ", ".join(sorted(desired.target_groups))


def _healthy(app: str, health: Health | None) -> Verdict:
    if health is None:
        return Waiting("target_groups", f"the target group of {app} is not there yet")
    staying = {state: count for state, count in health.states.items() if state not in _LEAVING}
    healthy, every = staying.get("healthy", 0), sum(staying.values())
    if healthy and healthy == every:
        return Ready()
    said = f": {'; '.join(health.reasons)}" if health.reasons else ""
    told = f"{app}: {healthy} of {every} targets are healthy{said}"
    remedy = next((_REMEDIES[code] for code in _codes(health) if code in _REMEDIES), "")
    if staying.get("unused"):  # as long as a certificate takes
        return Waiting("load_balancer", told, after=LISTENER_POLL, remedy=remedy)
    return Waiting("targets", told, remedy=remedy)


def _codes(health: Health) -> Iterator[str]:
    """The reason codes that are told: each reason begins with its own."""
    return (reason.partition(" ")[0] for reason in health.reasons)


def _groups(world: World, environment: Environment) -> list[str] | Waiting:
    """The Auto Scaling groups of all wanted node groups: from the record, or from EKS once the record has a group."""
    facts = environment.facts.get("node_groups", {}).get("groups", ())
    known = {group["name"]: group["autoScalingGroups"] for group in facts}
    going = {group["name"] for group in facts if group.get("status") == "DELETING"}  # replaced; its instances leave
    found: list[str] = []
    for wanted in environment.spec.node_groups:
        if wanted.name not in known:
            return Waiting("node_groups", f"{wanted.name} is not there yet", after=NAME_POLL)
        if wanted.name in going:
            return Waiting("node_groups", f"{wanted.name} is replaced", after=NODES_POLL)
        names = known[wanted.name] or _named_by_eks(world, environment, wanted.name)
        if not names:
            return Waiting(
                "node_groups", f"EKS has not named the Auto Scaling group of {wanted.name} yet", after=NAME_POLL
            )
        found += names
    return found


def _named_by_eks(world: World, environment: Environment, node_group: str) -> list[str]:
    described = world.eks.node_group(naming.cluster(world.site.prefix, environment.name), node_group)
    if described is None or described.get("tags", {}).get(naming.OWNER_TAG) != environment.uid:
        return []
    return [group["name"] for group in described.get("resources", {}).get("autoScalingGroups", ())]


def _every_group(world: World, environment: Environment) -> list[str]:
    """The Auto Scaling groups of all node groups of ours that there are, for removal."""
    names = world.eks.node_groups(naming.cluster(world.site.prefix, environment.name)) or []
    return [group for name in names for group in _named_by_eks(world, environment, name)]


def _replaced(environment: Environment) -> bool:
    """Whether the node groups are not known to be as this generation wants them."""
    return not environment.holds("NodeGroupsReady", current=True)


def _arns(world: World, environment: Environment, want: Targets) -> dict[str, str] | Waiting:
    """Name → ARN of the wanted target groups, as the record knows them, else by name."""
    known = environment.facts.get("target_groups", {}).get("groups", {})
    arns: dict[str, str] = {}
    for name in want.target_groups.values():
        arn = known.get(name) or (world.elb.target_group(name) or {}).get("TargetGroupArn", "")
        if not arn:
            return Waiting("target_groups", f"the target group {name} is not there yet")
        arns[name] = arn
    return arns


def _attached(world: World, groups: Sequence[str]) -> dict[str, dict[str, str]]:
    """What is attached to each Auto Scaling group that there is."""
    sources = {group: world.autoscaling.traffic_sources(group) for group in groups}
    return {
        group: {arn: state for arn, state in attached.items() if state != "Removed"}
        for group, attached in sources.items()
        if attached is not None
    }


def _running(environment: Environment) -> str:
    operation = environment.operation
    return operation.id if operation and operation.status is OperationStatus.RUNNING else ""


def _early(environment: Environment) -> bool:
    """Whether this operation's rollouts are not complete yet, as the component of the workload saw them last."""
    return bool(_running(environment)) and not environment.holds("WorkloadReady")


def _closed(environment: Environment) -> bool:
    """Whether this operation's load balancer has no listener for the targets, as its component saw last."""
    facts = environment.facts.get("load_balancer", {})
    return bool(_running(environment)) and facts.get("waitsForCertificate") == _running(environment)


def _known_attached(environment: Environment, groups: Sequence[str]) -> dict[str, dict[str, str]]:
    """What this operation has attached already."""
    facts = environment.facts.get("targets", {})
    if not _running(environment) or facts.get("operation") != _running(environment):
        return {}
    attached: dict[str, dict[str, str]] = facts.get("attached", {})
    added = all(state == "Added" for states in attached.values() for state in states.values())
    return attached if added and set(attached) == set(groups) else {}


def _health(described: Sequence[Mapping[str, Any]]) -> Health:
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for target in described:
        health = target["TargetHealth"]
        states[health["State"]] += 1
        if health["State"] not in {"healthy", *_LEAVING}:
            reasons[" ".join(filter(None, (health.get("Reason", health["State"]), health.get("Description", ""))))] += 1
    told = tuple(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    return Health(dict(sorted(states.items())), told)
