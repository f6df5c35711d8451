"""One target group per application: instances on the application's fixed NodePort.

A target group of an application that left the spec goes once no listener rule and no Auto Scaling group
refers to it; until then it is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard import naming
from springboard.components.contract import Absent, Action, Change, Effect, Observation, Ready, Verdict, Waiting
from springboard.errors import NotOursError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

DEREGISTRATION_SECONDS = 30  # preStop sleeps at least as long
_HEALTH_CHECK = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    # The main port answers for readiness too: MANAGEMENT_ENDPOINT_HEALTH_PROBES_ADD_ADDITIONAL_PATHS.
    "HealthCheckPath": "/readyz",
    "HealthCheckIntervalSeconds": 10,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
    "Matcher": {"HttpCode": "200"},
}
_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": str(DEREGISTRATION_SECONDS),
    "load_balancing.algorithm.type": "least_outstanding_requests",
}


@dataclass(frozen=True)
class TargetGroup:
    """The target group that should be."""

    name: str
    app: str
    port: int


@dataclass(frozen=True)
class Desired:
    """All target groups of the environment."""

    vpc_id: str
    groups: tuple[TargetGroup, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """A target group that is; `differing` settings are those that should be otherwise."""

    name: str
    arn: str
    port: int
    users: tuple[str, ...]  # what refers to it, for people: its load balancers and Auto Scaling groups
    checked: bool  # the health check is as it should be
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Observed(Observation):
    """The target groups that are, by name."""

    groups: Mapping[str, Found]
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CreateTargetGroup(Change):
    """CreateTargetGroup and its attributes."""

    group: TargetGroup
    vpc_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ModifyTargetGroup(Change):
    """ModifyTargetGroup and ModifyTargetGroupAttributes."""

    arn: str


@dataclass(frozen=True, kw_only=True)
class DeleteTargetGroup(Change):
    """DeleteTargetGroup."""

    arn: str


def desired(environment: Environment, site: Site) -> Desired:
    """One per application, on the NodePort that admission gave it."""
    groups = tuple(
        TargetGroup(
            naming.target_group(site.prefix, environment.name, environment.uid, app.name, app.node_port),
            app.name,
            app.node_port,
        )
        for app in environment.resolved.apps
    )
    tags = {**environment.labels, **naming.owner_tags(site.stack_name, environment.name, environment.uid)}
    return Desired(site.vpc_id, groups, tags)


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """Missing ones made, differing ones mended, those that nobody asks for deleted once nothing refers to them."""
    if not isinstance(desired, Absent) and (taken := {g.name for g in desired.groups} & set(observed.foreign)):
        raise NotOursError(
            f"the target group {min(taken)} exists and was not made for this environment", "delete or rename it"
        )
    return tuple(_changes(desired, observed))


def _changes(desired: Desired | Absent, observed: Observed) -> Iterator[Change]:
    wanted = () if isinstance(desired, Absent) else desired.groups
    for group in wanted:
        found = observed.groups.get(group.name)
        resource = f"target group {group.name} ({group.app})"
        if found is None:
            assert not isinstance(desired, Absent)  # noqa: S101 - mypy can't see that `wanted` would be empty
            yield CreateTargetGroup(
                Action.CREATE, resource, "it does not exist", group=group, vpc_id=desired.vpc_id, tags=desired.tags
            )
        elif not found.checked or any(found.attributes.get(key) != value for key, value in _ATTRIBUTES.items()):
            yield ModifyTargetGroup(
                Action.UPDATE, resource, "health check or deregistration delay differ", arn=found.arn
            )
    for name in sorted(set(observed.groups) - {group.name for group in wanted}):
        yield DeleteTargetGroup(
            Action.DELETE,
            f"target group {name}",
            "no application asks for it",
            Effect.NONE,
            possible=not observed.groups[name].users,
            arn=observed.groups[name].arn,
        )


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when all wanted ones are as they should be; for removal, when none is left."""
    left = changes(desired, observed)
    if isinstance(desired, Absent):
        return _waiting(left, observed) if left else Ready()
    unmet = [change for change in left if change.action is not Action.DELETE]
    return Waiting("target groups", f"{unmet[0].resource}: {unmet[0].reason}") if unmet else Ready()


def _waiting(left: Sequence[Change], observed: Observed) -> Waiting:
    """What still refers to the first that could not go."""
    users = next((found.users for _, found in sorted(observed.groups.items()) if found.users), ())
    if users:
        return Waiting("load balancer", f"{left[0].resource} is used by {', '.join(users)}")
    return Waiting("target groups", f"{left[0].resource} is being deleted")


def observe(world: World, environment: Environment) -> Observed:
    """One listing, one per target group for its attributes, one for tags of those not seen to be ours before.

    Which Auto Scaling groups a target group is attached to is what the component `targets` saw last.
    """
    site = world.site
    beginning = naming.thirty_two(site.prefix, environment.name, environment.uid, "")[:-8]
    listed = world.elb.target_groups(beginning)
    known = set(environment.facts.get("target_groups", {}).get("groups", {}).values())  # an ARN is never given twice
    tags = world.elb.tags([each["TargetGroupArn"] for each in listed if each["TargetGroupArn"] not in known])
    wanted = {group.name for group in desired(environment, site).groups}
    for each in listed:
        # Without its tags, one that was just made must not pass for somebody else's.
        if each["TargetGroupName"] in wanted and each["TargetGroupArn"] not in known | tags.keys():
            raise UnavailableError(f"ELB does not show the tags of {each['TargetGroupArn']} yet")
    mine = known | {arn for arn, tagged in tags.items() if tagged.get(naming.OWNER_TAG) == environment.uid}
    ours = [each for each in listed if each["TargetGroupArn"] in mine]
    attached = environment.facts.get("targets", {}).get("attached", {})
    return Observed(
        groups={each["TargetGroupName"]: _found(world, each, attached) for each in ours},
        foreign=tuple(each["TargetGroupName"] for each in listed if each not in ours),
    )


def apply(world: World, environment: Environment, change: Change) -> None:  # noqa: ARG001 - the components' signature
    """One target group made, mended or deleted."""
    match change:
        case CreateTargetGroup():
            arn = world.elb.create_target_group(
                change.group.name,
                dict(change.tags),
                Protocol="HTTP",
                Port=change.group.port,
                VpcId=change.vpc_id,
                TargetType="instance",
                **_HEALTH_CHECK,
            )
            _set_attributes(world, arn)
        case ModifyTargetGroup():
            world.elb.call("modify_target_group", TargetGroupArn=change.arn, **_HEALTH_CHECK)
            _set_attributes(world, change.arn)
        case DeleteTargetGroup():
            _delete(world, change.arn)
        case _:
            raise TypeError(f"not a change of target groups: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """Name → ARN."""
    return {"groups": {name: group.arn for name, group in sorted(observed.groups.items())}}


def _set_attributes(world: World, arn: str) -> None:
    listed = [{"Key": key, "Value": value} for key, value in _ATTRIBUTES.items()]
    world.elb.call("modify_target_group_attributes", TargetGroupArn=arn, Attributes=listed)


def _delete(world: World, arn: str) -> None:
    try:
        world.elb.find("delete_target_group", TargetGroupArn=arn)
    except RefusedError as err:
        if err.code != "ResourceInUse":
            raise


def _found(world: World, listed: Mapping[str, Any], attached: Mapping[str, Mapping[str, str]]) -> Found:
    arn = listed["TargetGroupArn"]
    return Found(
        name=listed["TargetGroupName"],
        arn=arn,
        port=int(listed["Port"]),
        users=(
            *(f"load balancer {each.split('/')[-2]}" for each in listed.get("LoadBalancerArns", ())),
            # Deleted while attached, it would stop every launch of an instance.
            *(f"Auto Scaling group {group}" for group, sources in sorted(attached.items()) if arn in sources),
        ),
        checked=all(listed.get(key) == value for key, value in _HEALTH_CHECK.items()),
        attributes=world.elb.target_group_attributes(arn),
    )
