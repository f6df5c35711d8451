"""Route 53, mended over moto: batches are atomic and refused as AWS refuses them, changes take their time."""

from __future__ import annotations

import ipaddress
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.route53 import models as moto_route53
from moto.route53.exceptions import HostedZoneNotEmpty, InvalidChangeBatch, InvalidInput, Route53ClientError
from moto.route53.responses import Route53

from springboard_local.services.mending import Mending

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from springboard_local.cloud import Cloud

_LOCK = threading.RLock()
_mending = Mending()
_listeners: list[Callable[[], None]] = []

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_PLAIN = set("abcdefghijklmnopqrstuvwxyz0123456789-_")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_ROUTING = ("Weight", "Region", "GeoLocation", "Failover", "MultiValueAnswer", "HealthCheckId")
_TYPES = {
    "SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "SPF", "AAAA", "CAA", "DS", "TLSA", "SSHFP",
    "SVCB", "HTTPS",
}  # fmt: skip
_CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"
_MOST_VALUES = 1000  # of one batch: DNSLimitations.html#limits-api-requests-changeresourcerecordsets


def normal_name(name: str) -> str:
    r"""`name` as Route 53 keeps it: lower case, closing dot, all but letters, digits, - and _ escaped (* is \052)."""
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), name)
    labels = plain.rstrip(".").lower().split(".")
    escaped = ["".join(each if each in _PLAIN else f"\\{ord(each):03o}" for each in label) for label in labels]
    return ".".join(escaped) + "."


def _order(name: str) -> tuple[str, ...]:
    """Sorts names as Route 53 lists them: by labels, the last one first."""
    return tuple(reversed(name.rstrip(".").split(".")))


def _name_problem(name: str) -> str | None:
    plain = _ESCAPE.sub("x", name)
    labels = plain.removesuffix(".").split(".")
    if any(not label for label in labels):
        return f"FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with '{name}'"
    if any(len(label) > 63 for label in labels):
        return f"FATAL problem: DomainLabelTooLong (Domain label is too long) encountered with '{name}'"
    if len(plain) > 255:
        return f"FATAL problem: DomainNameTooLong (Domain name is too long) encountered with '{name}'"
    if any(ord(each) <= 32 or ord(each) > 126 for each in plain):
        return f"FATAL problem: UnsupportedCharacter (Value contains unsupported characters) encountered with '{name}'"
    return None


def _value_problem(kind: str, value: str) -> str | None:
    """What Route 53 finds wrong with one value of a record."""
    match kind:
        case "A" | "AAAA":
            version, wanted = (4, "IPv4") if kind == "A" else (6, "IPv6")
            try:
                if ipaddress.ip_address(value).version == version:
                    return None
            except ValueError:
                pass
            return f"{kind}RRDATAIllegal{wanted}Address (Value is not a valid {wanted} address)"
        case "TXT" | "SPF":
            strings = re.fullmatch(r'"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*', value)
            if not strings:
                return "InvalidCharacterString (Value should be enclosed in quotation marks)"
            if any(len(each) > 257 for each in re.findall(r'"(?:[^"\\]|\\.)*"', value)):
                return "CharacterStringTooLong (Value is too long)"
        case "CNAME" | "NS" | "PTR":
            if not value or _name_problem(value):
                return f"{kind}RRDATANotValidDomain (Value is not a valid domain name)"
    return None


class InvalidChangeBatchError(Route53ClientError):  # type: ignore[misc]  # moto is untyped
    """All that is wrong with a batch, as AWS lists it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("InvalidChangeBatch", f"[{', '.join(problems)}]")
        self.messages = problems


@dataclass
class Change:
    """One change batch on its way to the name servers."""

    id: str
    submitted: datetime
    comment: str | None = None
    status: str = "PENDING"

    def info(self) -> dict[str, Any]:
        """The ChangeInfo of the answer."""
        info = {"Id": f"/change/{self.id}", "Status": self.status, "SubmittedAt": self.submitted}
        return info | ({"Comment": self.comment} if self.comment else {})


def _values(record_set: dict[str, Any]) -> list[str]:
    return [each["Value"] if isinstance(each, dict) else each for each in record_set.get("ResourceRecords") or []]


def _content(record_set: dict[str, Any]) -> tuple[Any, ...]:
    """What has to be equal for a DELETE to match."""
    alias = record_set.get("AliasTarget") or {}
    ttl = record_set.get("TTL")
    return (
        int(ttl) if ttl is not None else None,
        tuple(sorted(_values(record_set))),
        alias.get("HostedZoneId"),
        normal_name(alias["DNSName"]) if alias else None,
        str(alias.get("EvaluateTargetHealth", False)).lower(),
        *(str(record_set[key]) if record_set.get(key) is not None else None for key in _ROUTING),
    )


type _Key = tuple[str, str, str]
type _Records = dict[_Key, dict[str, Any]]


def _key(record_set: dict[str, Any]) -> _Key:
    return normal_name(record_set["Name"]), record_set["Type"], record_set.get("SetIdentifier") or ""


class Zone(moto_route53.FakeZone):  # type: ignore[misc]  # moto is untyped
    """A hosted zone whose records are kept by name, type and set identifier.

    `served` is what its name servers answer from: a batch gets there when its change is INSYNC.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.served: _Records = {}
        self._batches = self._served_batch = 0

    def records(self) -> _Records:
        """The record sets as the API speaks of them."""
        return {_key(each.given): each.given for each in self.rrsets}

    def replace(self, records: _Records) -> Callable[[], None]:
        """Take over the outcome of a batch; what answers has the name servers take it over too."""
        self.rrsets = [_record_set(given) for _, given in sorted(records.items(), key=lambda each: _sort(each[0]))]
        self._batches += 1
        batch, outcome = self._batches, self.records()

        def serve() -> None:
            if batch > self._served_batch:  # a later batch may have been the faster one
                self._served_batch, self.served = batch, outcome

        return serve

    def add_rrset(self, record_set: dict[str, Any]) -> Any:
        """Add a record set (CloudFormation and zone creation)."""
        return self.upsert_rrset(record_set)

    def upsert_rrset(self, record_set: dict[str, Any]) -> Any:
        """Add or replace a record set (CloudFormation)."""
        records = self.records()
        records[_key(record_set)] = record_set
        self.replace(records)()
        return next(each for each in self.rrsets if _key(each.given) == _key(record_set))

    def delete_rrset(self, rrset: dict[str, Any]) -> None:
        """Delete the record sets of a name, and of a type if given (CloudFormation)."""
        name, kind = normal_name(rrset["Name"]), rrset.get("Type")
        kept = {key: each for key, each in self.records().items() if key[0] != name or (kind and key[1] != kind)}
        self.replace(kept)()


def _sort(key: _Key) -> tuple[tuple[str, ...], str, str]:
    return _order(key[0]), key[1], key[2]


def _record_set(given: dict[str, Any]) -> Any:
    """The object of moto for a record set; `given` keeps what the caller said."""
    kept = {**given, "Name": normal_name(given["Name"])}
    if given.get("ResourceRecords"):
        kept["ResourceRecords"] = _values(given)
    if given.get("TTL") is not None:
        kept["TTL"] = int(given["TTL"])
    if given.get("AliasTarget"):
        alias = given["AliasTarget"]
        kept["AliasTarget"] = {**alias, "DNSName": normal_name(alias["DNSName"])}
    record = moto_route53.RecordSet(kept)
    record.given = kept
    return record


class HostedZones(moto_route53.Route53Backend):  # type: ignore[misc]  # moto is untyped
    """moto's backend of one account, mended."""

    cloud: ClassVar[Cloud]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.changes: dict[str, Change] = {}

    def begin_change(self, comment: str | None = None, serve: Callable[[], None] | None = None) -> Change:
        """A change that becomes INSYNC in its time; `serve` has the name servers answer from it."""
        identifier = "C" + "".join(mock_random.choice(_ALPHABET) for _ in range(20))
        change = self.changes[identifier] = Change(identifier, self.cloud.clock.now(), comment)

        def in_sync() -> None:
            change.status = "INSYNC"
            if serve:
                serve()
            for listener in _listeners:
                listener()

        self.cloud.clock.call_later(self.cloud.latency.seconds("route53:Change"), in_sync)
        return change

    # Zones

    def create_hosted_zone(
        self,
        name: str,
        private_zone: bool,  # noqa: FBT001 - moto's signature
        caller_reference: str | None = None,
        vpcid: str | None = None,
        vpcregion: str | None = None,
        comment: str | None = None,
        delegation_set_id: str | None = None,
    ) -> Any:
        """Create a zone; a caller reference serves once."""
        problem = _name_problem(name)
        if problem or "." not in name.rstrip("."):
            raise Route53ClientError("InvalidDomainName", problem or f"{name} is not a valid domain name")
        if private_zone and not vpcid:
            raise InvalidInput("When you're creating a private hosted zone, you must specify a VPC")
        with _LOCK:
            if caller_reference and any(zone.caller_reference == caller_reference for zone in self.zones.values()):
                raise Route53ClientError(
                    "HostedZoneAlreadyExists",
                    f"A hosted zone has already been created with the specified caller reference: {caller_reference}",
                )
            zone = super().create_hosted_zone(
                normal_name(name),
                private_zone,
                caller_reference,
                vpcid,
                vpcregion,
                comment,
                delegation_set_id,
            )
            del self.zones[zone.resource_id]
            zone.resource_id = "Z" + zone.resource_id[:20]
            self.zones[zone.resource_id] = zone
            return zone

    def delete_hosted_zone(self, id_: str) -> Any:
        """Delete a zone that has nothing but its own SOA and NS."""
        with _LOCK:
            zone = self.get_hosted_zone(id_)
            if any(record.name != zone.name or record.type not in {"SOA", "NS"} for record in zone.rrsets):
                raise HostedZoneNotEmpty
            self.resource_tags.pop(zone.resource_id, None)
            return self.zones.pop(zone.resource_id)

    # Records

    def change_resource_record_sets(self, zoneid: str, change_list: list[dict[str, Any]]) -> Callable[[], None]:
        """Apply a batch, or nothing of it; what answers has the name servers take it over."""
        with _LOCK:
            zone: Zone = self.get_hosted_zone(zoneid)
            for change in change_list:
                _check_shape(change)
            records = zone.records()
            problems: list[str] = []
            for change in change_list:
                record_set = change["ResourceRecordSet"]
                found = _static_problems(zone, change["Action"], record_set)
                problems += found or self._apply(zone, records, change["Action"], record_set)
            problems = problems or _conflicts(zone, records) + _apex_problems(zone, records)
            if problems:
                raise InvalidChangeBatchError(list(dict.fromkeys(problems)))
            return zone.replace(records)

    def _apply(self, zone: Zone, records: _Records, action: str, record_set: dict[str, Any]) -> list[str]:
        """Apply one change to `records`; what AWS says if it can't be."""
        key = _key(record_set)
        title = f"resource record set [name='{key[0]}', type='{key[1]}'"
        title += f", set-identifier='{key[2]}']" if key[2] else "]"
        if action == "DELETE":
            if key not in records:
                return [f"Tried to delete {title} but it was not found"]
            if _content(records[key]) != _content(record_set):
                return [f"Tried to delete {title} but the values provided do not match the current values"]
            del records[key]
            return []
        if action == "CREATE" and key in records:
            return [f"Tried to create {title} but it already exists"]
        problem = self._alias_problem(zone, records, record_set)
        if problem:
            return [problem]
        records[key] = record_set
        return []

    def _alias_problem(self, zone: Zone, records: _Records, record_set: dict[str, Any]) -> str | None:
        alias = record_set.get("AliasTarget")
        if not alias:
            return None
        target, zone_id, kind = normal_name(alias["DNSName"]), alias["HostedZoneId"], record_set["Type"]
        title = f"Tried to create an alias that targets {target}, type {kind} in zone {zone_id}, but"
        if zone_id == zone.resource_id:
            found = any(name == target and each == kind for name, each, _ in records)
            return None if found else f"{title} that target was not found"
        if zone_id == _CLOUDFRONT_ZONE:
            return None if target.endswith(".cloudfront.net.") else f"{title} that target was not found"
        reason = self._elb_alias_problem(target, zone_id, kind)
        return f"{title} {reason}" if reason else None

    def _elb_alias_problem(self, target: str, zone_id: str, kind: str) -> str | None:
        balancer = self._load_balancer(target)
        inside = (
            _elb_name_in_zone(target, zone_id) if balancer is None else balancer.canonical_hosted_zone_id == zone_id
        )
        if not inside:
            return "the alias target name does not lie within the target zone"
        if kind == "AAAA" and balancer is not None and balancer.ip_address_type == "ipv4":
            return "that target was not found"
        return None

    def _load_balancer(self, target: str) -> Any:
        from moto.elbv2.models import elbv2_backends  # noqa: PLC0415 - only where load balancers are in use

        name = target.removeprefix("dualstack.")
        for _, _, backend in list(elbv2_backends.iter_backends()):
            for balancer in list(backend.load_balancers.values()):
                if normal_name(balancer.dns_name) == name:
                    return balancer
        return None

    def list_hosted_zones_by_name(self, dnsname: str | None) -> tuple[str | None, list[Any]]:
        """All zones in order, from `dnsname` on: as on AWS the first may have another name."""
        zones = sorted(self.zones.values(), key=lambda zone: (_order(zone.name), zone.resource_id))
        if dnsname:
            start = _order(normal_name(dnsname))
            zones = [zone for zone in zones if _order(zone.name) >= start]
        return dnsname, zones


def _elb_name_in_zone(target: str, zone_id: str) -> bool:
    """Whether a name that no load balancer (any more) has could be one in ELB's zone `zone_id`."""
    from springboard_local.services.elbv2 import CANONICAL_ZONES  # noqa: PLC0415 - elbv2 imports acm's neighbours

    for region, (application, network) in CANONICAL_ZONES.items():
        if zone_id == application and target.endswith(f".{region}.elb.amazonaws.com."):
            return True
        if zone_id == network and target.endswith(f".elb.{region}.amazonaws.com."):
            return True
    return False


def _check_shape(change: dict[str, Any]) -> None:
    """What AWS answers with InvalidInput, before it looks at the zone."""
    action, record_set = change["Action"], change["ResourceRecordSet"]
    if action not in {"CREATE", "UPSERT", "DELETE"}:
        raise InvalidInput(
            f"Invalid XML ; cvc-enumeration-valid: Value '{action}' is not facet-valid with respect to enumeration "
            "'[CREATE, DELETE, UPSERT]'. It must be a value from the enumeration."
        )
    if record_set["Type"] not in _TYPES:
        raise InvalidInput(f"Invalid XML ; Value '{record_set['Type']}' is not a record type.")
    alias = bool(record_set.get("AliasTarget"))
    plain = record_set.get("TTL") is not None, bool(record_set.get("ResourceRecords"))
    if alias == any(plain) or (any(plain) and not all(plain)):
        found = "more than one" if alias and any(plain) else "none"
        raise InvalidInput(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
            f"TrafficPolicyInstanceId], but found {found} in Change with [Action={action}, Name={record_set['Name']}, "
            f"Type={record_set['Type']}, SetIdentifier={record_set.get('SetIdentifier', 'null')}]"
        )


def _static_problems(zone: Zone, action: str, record_set: dict[str, Any]) -> list[str]:
    """What is wrong with one change whatever the zone holds."""
    problem = _name_problem(record_set["Name"])
    if problem:
        return [problem]
    name, kind = normal_name(record_set["Name"]), record_set["Type"]
    if name != zone.name and not name.endswith(f".{zone.name}"):
        return [f"RRSet with DNS name {name} is not permitted in zone {zone.name}"]
    if action == "DELETE":
        return []
    if kind == "CNAME" and name == zone.name:
        return [f"RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {zone.name}"]
    values = _values(record_set)
    problems = [f"Duplicate Resource Record: '{value}'" for value in sorted({v for v in values if values.count(v) > 1})]
    problems += [
        f"Invalid Resource Record: 'FATAL problem: {found} encountered with '{value}''"
        for value in values
        if (found := _value_problem(kind, value))
    ]
    if kind == "CNAME" and len(values) > 1:
        problems.append("A CNAME record set can have only one value")
    return problems


def _conflicts(zone: Zone, records: _Records) -> list[str]:
    """A CNAME stands alone at its name."""
    aliases = {name for name, kind, _ in records if kind == "CNAME"}
    return [
        f"RRSet of type CNAME with DNS name {name} is not permitted because a conflicting RRSet of type {kind} with "
        f"the same DNS name already exists in zone {zone.name}"
        for name, kind, _ in records
        if name in aliases and kind != "CNAME"
    ]


def _apex_problems(zone: Zone, records: _Records) -> list[str]:
    return [
        text
        for kind, text in (
            ("NS", "A HostedZone must contain at least one NS record for the zone itself."),
            ("SOA", "A HostedZone must contain exactly one SOA record."),
        )
        if (zone.name, kind, "") not in records
    ]


def public_cname(account: str, name: str) -> str | None:
    """The value of a CNAME as the name servers of the account's public zones answer it."""
    wanted = normal_name(name)
    for zone in list(moto_route53.route53_backends[account]["aws"].zones.values()):
        if zone.private_zone:
            continue
        for (held, kind, _), record in zone.served.items():
            if kind == "CNAME" and held == wanted and _values(record):
                value = _values(record)[0]
                return value if value.endswith(".") else f"{value}."
    return None


def on_change(listener: Callable[[], None]) -> None:
    """Call `listener` whenever a change has reached the name servers."""
    if listener not in _listeners:
        _listeners.append(listener)


# Responses


def _with_change(method: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
    """`method` of moto's response class, its ChangeInfo replaced by that of a change of its own."""

    def wrapped(response: Any) -> ActionResult:
        answer = method(response)
        comment = response._get_param("Comment")
        answer.result["ChangeInfo"] = response.backend.begin_change(comment).info()
        return answer

    return wrapped


def _change_resource_record_sets(response: Any) -> ActionResult:
    changes = response._get_param("ChangeBatch.Changes")
    if sum(_counted(change) for change in changes) > _MOST_VALUES:
        raise InvalidChangeBatch
    serve = response.backend.change_resource_record_sets(response._get_param("HostedZoneId"), changes)
    change = response.backend.begin_change(response._get_param("ChangeBatch.Comment"), serve)
    return ActionResult({"ChangeInfo": change.info()})


def _counted(change: dict[str, Any]) -> int:
    """The values of a change, twice for an UPSERT."""
    return len(_values(change["ResourceRecordSet"])) * (2 if change["Action"] == "UPSERT" else 1)


def _create_hosted_zone(response: Any) -> ActionResult:
    """A zone with a VPC is private, whether the request says so or not; moto looks at the VPC only if it does."""
    vpc, region = response._get_param("VPC.VPCId"), response._get_param("VPC.VPCRegion")
    private = bool(vpc) or bool(response._get_bool_param("HostedZoneConfig.PrivateZone", if_none=False))
    zone = response.backend.create_hosted_zone(
        response._get_param("Name"),
        private_zone=private,
        caller_reference=response._get_param("CallerReference"),
        vpcid=vpc,
        vpcregion=region,
        comment=response._get_param("HostedZoneConfig.Comment"),
        delegation_set_id=response._get_param("DelegationSetId"),
    )
    answer = {
        "HostedZone": zone,
        "Location": f"https://route53.amazonaws.com/2013-04-01/hostedzone/{zone.resource_id}",
    }
    answer |= {"VPC": {"VPCRegion": region, "VPCId": vpc}} if private else {"DelegationSet": zone.delegation_set}
    return ActionResult(answer)


def _get_change(response: Any) -> ActionResult:
    identifier = response._get_param("Id").removeprefix("/change/")
    change = response.backend.changes.get(identifier)
    if change is None:
        raise Route53ClientError("NoSuchChange", f"A change with the ID {identifier} does not exist.")
    return ActionResult({"ChangeInfo": change.info()})


def _page_size(response: Any, most: int) -> int:
    size = response._get_int_param("MaxItems", most)
    if size < 1:
        raise InvalidInput("MaxItems must be at least 1")
    return min(int(size), most)


def _list_resource_record_sets(response: Any) -> ActionResult:
    name, kind = response._get_param("StartRecordName"), response._get_param("StartRecordType")
    identifier = response._get_param("StartRecordIdentifier") or ""
    if (kind and not name) or (identifier and not kind):
        raise InvalidInput("The input is not valid")
    zone = response.backend.get_hosted_zone(response._get_param("HostedZoneId"))
    records = sorted(zone.rrsets, key=lambda record: _sort(_key(record.given)))
    if name:
        start = _order(normal_name(name)), kind or "", identifier
        records = [record for record in records if _sort(_key(record.given)) >= start]
    size = _page_size(response, 300)
    answer: dict[str, Any] = {
        "ResourceRecordSets": records[:size],
        "IsTruncated": len(records) > size,
        "MaxItems": size,
    }
    if len(records) > size:
        following = records[size]
        answer |= {"NextRecordName": following.name, "NextRecordType": following.type}
        if following.set_identifier:
            answer["NextRecordIdentifier"] = following.set_identifier
    return ActionResult(answer)


def _list_hosted_zones_by_name(response: Any) -> ActionResult:
    name, identifier = response._get_param("DNSName"), response._get_param("HostedZoneId")
    _, zones = response.backend.list_hosted_zones_by_name(name)
    if identifier:
        start = _order(normal_name(name)), identifier.removeprefix("/hostedzone/")
        zones = [zone for zone in zones if (_order(zone.name), zone.resource_id) >= start]
    size = _page_size(response, 100)
    answer: dict[str, Any] = {"HostedZones": zones[:size], "IsTruncated": len(zones) > size, "MaxItems": size}
    if name:
        answer["DNSName"] = name
    if identifier:
        answer["HostedZoneId"] = identifier
    if len(zones) > size:
        answer |= {"NextDNSName": zones[size].name, "NextHostedZoneId": zones[size].resource_id}
    return ActionResult(answer)


def install(cloud: Cloud) -> None:
    """Mend moto's route53 for `cloud`."""
    close(cloud)
    HostedZones.cloud = cloud
    _mending.replace(moto_route53, FakeZone=Zone)
    _mending.backend(moto_route53.route53_backends, HostedZones)
    changing = (
        "delete_hosted_zone",
        "associate_vpc_with_hosted_zone",
        "disassociate_vpc_from_hosted_zone",
    )
    _mending.replace(Route53, **{name: _with_change(vars(Route53)[name]) for name in changing})
    _mending.replace(
        Route53,
        create_hosted_zone=_with_change(_create_hosted_zone),
        change_resource_record_sets=_change_resource_record_sets,
        get_change=_get_change,
        list_resource_record_sets=_list_resource_record_sets,
        list_hosted_zones_by_name=_list_hosted_zones_by_name,
    )


def close(cloud: Cloud) -> None:
    """Give moto its own backend back. Idempotent."""
    del cloud
    _mending.undo()
