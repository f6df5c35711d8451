"""An alias record per host, pointing to the load balancer.

Records carry no tags: they are ours by their exact value, the name of our load balancer, now or as the record
remembers it. A record that says anything else is somebody else's and never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard.components.contract import Absent, Action, Change, Effect, Observation, Ready, Verdict, Waiting
from springboard.errors import NotOursError
from springboard.record import OperationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

# Types that lead clients to an address. A name with one of them that isn't ours has an owner: an A beside somebody's
# AAAA would take half of its visitors away.
_LEADING = frozenset({"A", "AAAA", "CNAME", "HTTPS"})


@dataclass(frozen=True)
class Desired:
    """The hosts and what they should point to; `target` is "" until the load balancer exists."""

    hosts: tuple[str, ...]
    target: str
    target_zone_id: str
    zone_id: str


@dataclass(frozen=True)
class Observed(Observation):
    """Records by host, those that are ours and those that are not; and whether the last change is everywhere."""

    ours: Mapping[str, Mapping[str, Any]]
    foreign: Mapping[str, str]  # host → what it points to
    zone_id: str
    pending: str  # the id of a change that is not everywhere yet; "" for none


@dataclass(frozen=True, kw_only=True)
class PutRecord(Change):
    """The alias, created or pointed elsewhere."""

    zone_id: str
    host: str
    target: str
    target_zone_id: str
    exists: bool


@dataclass(frozen=True, kw_only=True)
class DeleteRecord(Change):
    """The alias, deleted by its exact value."""

    zone_id: str
    record: Mapping[str, Any]


def desired(environment: Environment, site: Site) -> Desired:  # noqa: ARG001 - the components' signature
    """Every application's host at the environment's load balancer."""
    balancer = environment.facts.get("load_balancer", {})
    return Desired(
        hosts=tuple(app.host for app in environment.resolved.apps),
        target=balancer.get("dnsName", "").lower(),
        target_zone_id=balancer.get("zoneId", ""),
        zone_id=environment.resolved.zone_id,
    )


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """Aliases put that differ; those of hosts that left the spec deleted."""
    return tuple(_changes(desired, observed))


def _changes(desired: Desired | Absent, observed: Observed) -> Iterator[Change]:
    wanted = () if isinstance(desired, Absent) else desired.hosts
    for host in wanted:
        if host in observed.foreign:
            raise NotOursError(
                f"{host} points to {observed.foreign[host]}", "choose another host, or remove that record"
            )
        assert not isinstance(desired, Absent)  # noqa: S101 - mypy can't see that `wanted` would be empty
        present = observed.ours.get(host)
        if present is None or _target(present) != desired.target:
            yield PutRecord(
                Action.CREATE if present is None else Action.UPDATE,
                f"record {host}",
                f"{host} should point to {desired.target or 'the load balancer'}",
                possible=bool(desired.target),
                zone_id=desired.zone_id,
                host=host,
                target=desired.target,
                target_zone_id=desired.target_zone_id,
                exists=present is not None,
            )
    for host in sorted(set(observed.ours) - set(wanted)):
        yield DeleteRecord(
            Action.DELETE,
            f"record {host}",
            "no application asks for it",
            Effect.DISRUPTS,
            zone_id=observed.zone_id,
            record=observed.ours[host],
        )


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when every name server answers with the aliases."""
    if not isinstance(desired, Absent) and not desired.target:
        return Waiting("load balancer", "it has no name yet", after=10)
    left = changes(desired, observed)
    if left:
        return Waiting("records", f"{left[0].resource}: {left[0].reason}")
    if observed.pending:
        return Waiting("Route 53", "the change is on its way to the name servers", aimed=True)
    return Ready("InSync")


def observe(world: World, environment: Environment) -> Observed:
    """One call per host; while a change is under way one in all, and none right after it was made."""
    zone_id = environment.resolved.zone_id
    facts = environment.facts.get("dns", {})
    change = facts.get("change", "")
    pending = change if change and (facts.get("fresh") or not world.route53.in_sync(change)) else ""
    if pending and not _leaves(environment):
        kept = {host: {"AliasTarget": {"DNSName": value}} for host, value in facts["records"].items()}
        return Observed(ours=kept, foreign={}, zone_id=zone_id, pending=pending)
    target = environment.facts.get("load_balancer", {}).get("dnsName", "").lower()
    known = {target, *(value.lower() for value in facts.get("records", {}).values())} - {""}
    ours: dict[str, Mapping[str, Any]] = {}
    foreign: dict[str, str] = {}
    for host in sorted({app.host for app in environment.resolved.apps} | set(facts.get("records", {}))):
        leading = [record for record in world.route53.records(zone_id, host) if record["Type"] in _LEADING]
        mine = [record for record in leading if _is_ours(record, known)]
        if mine:
            ours[host] = mine[0]
        elif leading:
            foreign[host] = _target(leading[0]) or "addresses of its own"
    return Observed(ours=ours, foreign=foreign, zone_id=zone_id, pending=pending)


def _leaves(environment: Environment) -> bool:
    """Whether records may have to go: then each is looked at as it is, whatever is under way."""
    deleting = environment.under(OperationKind.DELETE)
    hosts = {app.host for app in environment.resolved.apps}
    return deleting or set(environment.facts.get("dns", {}).get("records", {})) != hosts


def apply(world: World, environment: Environment, change: Change) -> Mapping[str, Any] | None:
    """One record put or deleted; answers the id of the change, to be asked after."""
    match change:
        case PutRecord():
            # CREATE is refused where somebody else was faster; UPSERT would overwrite theirs.
            action = "UPSERT" if change.exists else "CREATE"
            told = world.route53.change(change.zone_id, action, _alias(change))
            records = dict(environment.facts.get("dns", {}).get("records", {}))
            return {"change": told, "fresh": True, "records": {**records, change.host: change.target}}
        case DeleteRecord():
            world.route53.delete(change.zone_id, dict(change.record))
            return None
        case _:
            raise TypeError(f"not a change of DNS: {change!r}")


def learned(observed: Observed) -> Mapping[str, Any]:
    """The records that we keep, by host, and their targets."""
    records = {host: _target(record) for host, record in sorted(observed.ours.items())}
    return {"records": records, "change": observed.pending}


def _alias(change: PutRecord) -> dict[str, Any]:
    return {
        "Name": change.host,
        "Type": "A",
        "AliasTarget": {
            "HostedZoneId": change.target_zone_id,
            "DNSName": change.target,
            "EvaluateTargetHealth": False,
        },
    }


def _is_ours(record: Mapping[str, Any], known: set[str]) -> bool:
    """We make plain aliases alone; one that is weighted, or of another type, is somebody else's wherever it points."""
    return record["Type"] == "A" and "SetIdentifier" not in record and _target(record) in known


def _target(record: Mapping[str, Any]) -> str:
    """Where a record points: an alias's or a CNAME's target, without the last dot, in lower case."""
    if "AliasTarget" in record:
        return str(record["AliasTarget"]["DNSName"]).rstrip(".").lower().removeprefix("dualstack.")
    return ", ".join(each["Value"].rstrip(".").lower() for each in record.get("ResourceRecords", ()))
