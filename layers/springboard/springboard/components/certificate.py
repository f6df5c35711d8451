"""The ACM certificate for all hosts of the environment, and the records that prove them.

The validation record of a name is the same for every certificate of that name in the account: an equal one is
adopted, and it is deleted only when no other certificate for the name is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from springboard.errors import NotOursError
from springboard.record import OperationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from springboard.record import Environment
    from springboard.runtime import World
    from springboard.site import Site

_TTL = 300  # seconds, of the validation records
# A control plane takes seven minutes at the least: until then nobody waits for the certificate.
WHILE_CLUSTER_COMES = Pace(400, 60)
_DEAD = frozenset({"FAILED", "VALIDATION_TIMED_OUT", "REVOKED", "EXPIRED"})
_REMEDIES = {
    "CAA_ERROR": "add a CAA record that allows amazon.com to the domain, then `springboard retry`",
    "VALIDATION_TIMED_OUT": "check that the registrar delegates the zone, then `springboard retry`",
}


@dataclass(frozen=True)
class Desired:
    """The hosts to prove, sorted, in their zone; or a certificate that somebody else keeps (`given_arn`)."""

    hosts: tuple[str, ...]
    zone_id: str
    tags: Mapping[str, str]
    given_arn: str = ""


@dataclass(frozen=True)
class Record:
    """A validation record."""

    name: str
    value: str

    def as_set(self) -> dict[str, Any]:
        """As Route 53 takes it."""
        return {"Name": self.name, "Type": "CNAME", "TTL": _TTL, "ResourceRecords": [{"Value": self.value}]}


@dataclass(frozen=True)
class Found:
    """A certificate of ours, or the given one."""

    arn: str
    hosts: tuple[str, ...]
    status: str
    failure: str
    records: tuple[Record, ...]
    users: tuple[str, ...] = ()  # ARNs of what serves with it


@dataclass(frozen=True)
class Observed(Observation):
    """Our certificates, those of the wanted hosts first, and the validation records in the zone (name → value)."""

    certificates: tuple[Found, ...]
    present: Mapping[str, Mapping[str, Any]]
    needed_by_others: frozenset[str]  # record names that other certificates of the account need
    zone_id: str
    retrying: bool = False
    given: Found | None = None
    proven: frozenset[str] = frozenset()  # names of records that this operation has made
    requested: tuple[str, str] = ("", "")  # operation and ARN, where this operation has requested it
    hosts: frozenset[str] = frozenset()  # of certificates that the record knows and this look left out
    # Ours by the record, and first missed in this look, with the records that prove them.
    unseen: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    orphans: tuple[Record, ...] = ()  # records of certificates that the record knows and two looks have missed
    hurry: bool = True  # False: nothing could be served yet anyway, as the control plane is not there


@dataclass(frozen=True, kw_only=True)
class RequestCertificate(Change):
    """RequestCertificate."""

    hosts: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ProveHost(Change):
    """The validation record, created."""

    zone_id: str
    record: Record


@dataclass(frozen=True, kw_only=True)
class DeleteRecord(Change):
    """The validation record, deleted by its exact value."""

    zone_id: str
    record: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DeleteCertificate(Change):
    """DeleteCertificate."""

    arn: str


def desired(environment: Environment, site: Site) -> Desired:
    """One certificate for all hosts."""
    return Desired(
        hosts=tuple(sorted(app.host for app in environment.resolved.apps)),
        zone_id=environment.resolved.zone_id,
        tags={**environment.labels, **naming.owner_tags(site.stack_name, environment.name, environment.uid)},
        given_arn=environment.spec.ingress.certificate_arn or "",
    )


def changes(desired: Desired | Absent, observed: Observed) -> Sequence[Change]:
    """Request, prove, and drop what no longer fits once the load balancer has let go of it."""
    return tuple(_removal(observed) if isinstance(desired, Absent) else _wanted(desired, observed))


def _wanted(desired: Desired, observed: Observed) -> Iterator[Change]:
    current = _current(desired, observed)
    if not desired.given_arn:
        if current is None or (current.status in _DEAD and observed.retrying):
            yield RequestCertificate(
                Action.CREATE,
                f"certificate for {', '.join(desired.hosts)}",
                "there is none" if current is None else f"the last one ended as {current.status}",
                possible=not observed.unseen,
                hosts=desired.hosts,
                tags=desired.tags,
            )
        for record in current.records if current and current.status not in _DEAD else ():
            yield from _proof(record, observed)
    served = current is not None and current.status == "ISSUED"
    going = [each for each in observed.certificates if each is not current]
    staying = [each for each in (current, *going) if each is not None and (each is current or each.users)]
    for certificate in going:
        yield from _drop(
            certificate,
            observed,
            needed={record.name for each in staying for record in each.records},
            reason="another one serves the hosts of the spec",
            possible=served and not certificate.users,
        )
    needed = {record.name for each in staying for record in each.records}
    for record in observed.orphans:
        if _host(record.name) not in desired.hosts:
            yield from _drop_record(record, observed, needed=needed, possible=True)


def _proof(record: Record, observed: Observed) -> Iterator[Change]:
    if record.name in observed.proven:
        return
    present = observed.present.get(record.name)
    if present is None:
        yield ProveHost(
            Action.CREATE,
            f"validation record {record.name}",
            "ACM asks for it",
            zone_id=observed.zone_id,
            record=record,
        )
    elif not _says(present, record):
        raise NotOursError(
            f"the record {record.name} exists with another value ({', '.join(_values(present))}); ACM wants"
            f" {record.value}",
            "delete that record if nobody needs it",
        )


def _says(present: Mapping[str, Any], record: Record) -> bool:
    return _values(present) == [record.value.rstrip(".")]


def _values(present: Mapping[str, Any]) -> list[str]:
    return [each["Value"].rstrip(".") for each in present.get("ResourceRecords", ())]


def _removal(observed: Observed) -> Iterator[Change]:
    for certificate in observed.certificates:
        yield from _drop(
            certificate, observed, needed=set(), reason="the environment goes away", possible=not certificate.users
        )
    for record in observed.orphans:
        yield from _drop_record(record, observed, needed=set(), possible=True)


def _drop(
    certificate: Found, observed: Observed, *, needed: set[str], reason: str, possible: bool
) -> Iterator[DeleteRecord | DeleteCertificate]:
    """The validation records first: who deletes the certificate no longer knows them."""
    for record in certificate.records:
        yield from _drop_record(record, observed, needed=needed, possible=possible)
    yield DeleteCertificate(
        Action.DELETE,
        f"certificate {certificate.arn.rpartition('/')[2]}",
        reason,
        Effect.NONE,
        possible=possible,
        arn=certificate.arn,
    )


def _drop_record(record: Record, observed: Observed, *, needed: set[str], possible: bool) -> Iterator[DeleteRecord]:
    """A record of another value is somebody else's."""
    present = observed.present.get(record.name)
    if present is not None and _says(present, record) and record.name not in observed.needed_by_others | needed:
        yield DeleteRecord(
            Action.DELETE,
            f"validation record {record.name}",
            "no other certificate of the account needs it",
            possible=possible,
            zone_id=observed.zone_id,
            record=present,
        )


def condition(desired: Desired | Absent, observed: Observed) -> Verdict:
    """Ready when ISSUED; while it is pending, the wanted record is named."""
    if isinstance(desired, Absent):
        return _leaving(observed) or Ready()
    if observed.unseen:
        return _unseen(observed)
    current = _current(desired, observed)
    if current is None:
        return _missing(desired.given_arn)
    if current.status in _DEAD:
        remedy = _REMEDIES.get(current.failure or current.status, "`springboard retry` requests another one")
        return Failed(f"the certificate ended as {current.status} {current.failure}".rstrip(), remedy, "NotIssued")
    if current.status != "ISSUED":
        wanted = "; ".join(f"{record.name} CNAME {record.value}" for record in current.records)
        told = f"{current.status}; ACM looks for {wanted or 'records that it has not named yet'}"
        pace = 0 if observed.hurry else WHILE_CLUSTER_COMES
        return Waiting("certificate", told, pace if wanted else 10, aimed=bool(wanted))
    unproven = set(desired.hosts) - set(current.hosts) if not desired.given_arn else set()
    return Waiting("certificate", f"{', '.join(sorted(unproven))} is not on it") if unproven else Ready("Issued")


def _missing(given: str) -> Failed | Waiting:
    """There is no certificate of the wanted hosts, or not the one that was given."""
    if given:
        return Failed(f"there is no certificate {given}", "set spec.ingress.certificateArn to one that exists")
    return Waiting("certificate", "it was just requested", after=10)


def _leaving(observed: Observed) -> Waiting | None:
    """What keeps a certificate from going."""
    for certificate in observed.certificates:
        if certificate.users:
            return Waiting(
                "load balancer", f"the certificate {certificate.arn} is in use by {', '.join(certificate.users)}"
            )
    if observed.certificates:
        return Waiting("ACM", f"the certificate {observed.certificates[0].arn} is being deleted")
    return _unseen(observed) if observed.unseen else None


def _unseen(observed: Observed) -> Waiting:
    return Waiting("ACM", f"it does not show {', '.join(sorted(observed.unseen))}; one more look tells", after=10)


def observe(world: World, environment: Environment) -> Observed:
    """While a request of this operation is pending one call, else one listing and what carries one of our hosts.

    Whose a certificate is, and which records prove it, stays as it was seen first: an ARN is never given twice, and ACM
    keeps to its records. So of the one that serves, the listing and its records in the zone are enough. One that the
    record knows and the listing does not tell is asked for by its ARN, and it is gone once two looks have missed it: a
    look may be old, and then neither is a second one due, nor is all gone. One that is listed is there. Of one that is
    gone its records may be there still: who deletes a certificate by hand seldom thinks of them.
    """
    pending = _pending(world, environment)
    if pending is not None:
        return replace(pending, hurry=environment.holds("ClusterReady"))
    zone_id = environment.resolved.zone_id
    facts = environment.facts.get("certificate", {})
    wanted = tuple(sorted(app.host for app in environment.resolved.apps))
    seen: Mapping[str, Mapping[str, str]] = facts.get("ours", {})
    hosts = {*wanted, *facts.get("hosts", ()), *(_host(name) for records in seen.values() for name in records)}
    given = environment.spec.ingress.certificate_arn
    listed = world.acm.certificates()
    unlisted = {*seen, facts.get("requested", "")} - {"", given, *(each["CertificateArn"] for each in listed)}
    candidates = [each for each in listed if _names(each) & hosts]
    ours: list[Mapping[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for summary in candidates:
        arn = summary["CertificateArn"]
        mine = arn != given and (arn in seen or world.acm.tags(arn).get(naming.OWNER_TAG) == environment.uid)
        (ours if mine else others).append(summary)
    alone = len(ours) == 1 and not unlisted and not given and not environment.under(OperationKind.DELETE)
    serving = _serving(ours[0], wanted, seen) if alone else None
    known = [] if serving else [*(each["CertificateArn"] for each in ours), *sorted(unlisted)]
    details = {arn: found for arn in known if (found := world.acm.certificate(arn))}
    gone = (unlisted & set(facts.get("unseen", ()))) - details.keys()
    missed = set(known) - details.keys() - gone
    orphans = tuple(Record(name, value) for arn in sorted(gone) for name, value in sorted(seen.get(arn, {}).items()))
    certificates = [serving] if serving else [_found(each) for each in details.values()]
    certificates.sort(key=lambda found: (found.hosts != wanted, found.arn))
    names = {record.name for certificate in certificates for record in certificate.records}
    names |= {record.name for record in orphans}
    return Observed(
        certificates=tuple(certificates),
        present={name: found for name in sorted(names) if (found := world.route53.record(zone_id, name, "CNAME"))},
        needed_by_others=frozenset(_needed(names, others)),
        zone_id=zone_id,
        retrying=environment.under(OperationKind.RETRY),
        given=_found(detail) if given and (detail := world.acm.certificate(given)) else None,
        unseen={arn: seen.get(arn, {}) for arn in sorted(missed)},
        orphans=orphans,
    )


def _serving(
    summary: Mapping[str, Any], wanted: tuple[str, ...], seen: Mapping[str, Mapping[str, str]]
) -> Found | None:
    """The certificate as the listing shows it, where that is all there is to know: issued for the wanted hosts."""
    arn, names = summary["CertificateArn"], {summary["DomainName"], *summary.get("SubjectAlternativeNameSummaries", ())}
    complete = not summary.get("HasAdditionalSubjectAlternativeNames", False)
    if summary["Status"] != "ISSUED" or tuple(sorted(names)) != wanted or not complete or not seen.get(arn):
        return None
    return Found(arn, wanted, "ISSUED", "", tuple(Record(name, value) for name, value in sorted(seen[arn].items())))


def _pending(world: World, environment: Environment) -> Observed | None:
    """The certificate that this very operation has requested, as long as nothing else matters."""
    facts = environment.facts.get("certificate", {})
    operation = environment.lock.operation if environment.lock else ""
    if not operation or facts.get("operation") != operation or not facts.get("requested") or facts.get("arn"):
        return None
    if facts.get("fresh"):  # just requested: ACM names no records yet; or just proven: it has not looked yet
        records = tuple(Record(name, value) for name, value in sorted(facts.get("records", {}).items()))
        found = Found(facts["requested"], tuple(facts["fresh"]), "PENDING_VALIDATION", "", records)
    else:
        detail = world.acm.certificate(facts["requested"])
        if detail is None or detail["Status"] not in {"PENDING_VALIDATION", "ISSUED"}:
            return None
        found = _found(detail)
    zone_id = environment.resolved.zone_id
    proven = frozenset(facts.get("proven", ()))
    unseen = sorted({record.name for record in found.records} - proven)
    return Observed(
        certificates=(found,),
        present={name: record for name in unseen if (record := world.route53.record(zone_id, name, "CNAME"))},
        needed_by_others=frozenset(),
        zone_id=zone_id,
        proven=proven,
        requested=(operation, found.arn),
        hosts=frozenset(facts.get("hosts", ())),
    )


def apply(world: World, environment: Environment, change: Change) -> Mapping[str, Any] | None:
    """One request, record or deletion; answers what the next look need not look up again."""
    match change:
        case RequestCertificate():
            what = f"certificate/{'/'.join(change.hosts)}"
            arn = world.acm.request(change.hosts, token(environment, what), dict(change.tags))
            operation = environment.lock.operation if environment.lock else ""
            return {"requested": arn, "operation": operation, "proven": [], "fresh": list(change.hosts)}
        case ProveHost():
            world.route53.change(change.zone_id, "UPSERT", change.record.as_set())
            facts = environment.facts.get("certificate", {})
            return {
                "proven": sorted({*facts.get("proven", ()), change.record.name}),
                "fresh": list(facts.get("hosts", ())),
                "records": {**facts.get("records", {}), change.record.name: change.record.value},
            }
        case DeleteRecord():
            world.route53.delete(change.zone_id, dict(change.record))
        case DeleteCertificate():
            world.acm.delete(change.arn)
            facts = environment.facts.get("certificate", {})
            requested = facts.get("requested", "")
            return {
                "ours": {arn: records for arn, records in facts.get("ours", {}).items() if arn != change.arn},
                "requested": "" if requested == change.arn else requested,
            }
        case _:
            raise TypeError(f"not a change of certificate: {change!r}")
    return None


def learned(observed: Observed) -> Mapping[str, Any]:
    """The certificate that listeners should use, once it is issued; until then, a former one that they may keep."""
    issued = [each for each in (observed.given, *observed.certificates) if each and each.status == "ISSUED"]
    hosts = {host for certificate in observed.certificates for host in certificate.hosts}
    operation, requested = observed.requested
    return {
        "arn": issued[0].arn if issued else "",
        "hosts": sorted(hosts | observed.hosts),
        "ours": {
            **{each.arn: {record.name: record.value for record in each.records} for each in observed.certificates},
            **observed.unseen,
        },
        **({"unseen": sorted(observed.unseen)} if observed.unseen else {}),
        **({"operation": operation, "requested": requested, "proven": sorted(observed.proven)} if requested else {}),
    }


def _current(desired: Desired, observed: Observed) -> Found | None:
    """The certificate of exactly these hosts: an issued one before a pending one before a dead one."""
    if desired.given_arn:
        return observed.given
    fitting = [each for each in observed.certificates if each.hosts == desired.hosts]
    order = ("ISSUED", "PENDING_VALIDATION")
    return min(fitting, key=lambda each: order.index(each.status) if each.status in order else len(order), default=None)


def _names(summary: Mapping[str, Any]) -> set[str]:
    """The hosts that a certificate proves; a host and all under it are proven by one and the same record."""
    names = {summary["DomainName"], *summary.get("SubjectAlternativeNameSummaries", ())}
    return {name.removeprefix("*.") for name in names}


def _needed(names: set[str], others: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names of records whose host another certificate carries."""
    taken = {name for each in others for name in _names(each)}
    return {name for name in names if _host(name) in taken}


def _host(record_name: str) -> str:
    """Whom a validation record proves: its name is one label and the host."""
    return record_name.rstrip(".").partition(".")[2]


def _found(detail: Mapping[str, Any]) -> Found:
    records = {
        Record(option["ResourceRecord"]["Name"], option["ResourceRecord"]["Value"])
        for option in detail.get("DomainValidationOptions", ())
        if "ResourceRecord" in option
    }
    return Found(
        arn=detail["CertificateArn"],
        hosts=tuple(sorted({detail["DomainName"], *detail.get("SubjectAlternativeNames", ())})),
        status=detail["Status"],
        failure=detail.get("FailureReason", ""),
        records=tuple(sorted(records, key=lambda record: record.name)),
        users=tuple(detail.get("InUseBy", ())),
    )
