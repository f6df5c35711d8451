"""Amazon Route 53."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from springboard.aws.client import Adapter
from springboard.errors import RefusedError


@dataclass(frozen=True)
class Zone:
    """A hosted zone."""

    id: str  # Z0123456789ABC, without /hostedzone/
    name: str  # dev.example.com, without the last dot
    private: bool

    def holds(self, host: str) -> bool:
        """Whether a name belongs into this zone."""
        return host == self.name or host.endswith(f".{self.name}")


class Route53(Adapter):
    """Amazon Route 53."""

    missing = frozenset({"NoSuchHostedZone", "NoSuchChange"})

    def zones(self, name: str) -> list[Zone]:
        """ListHostedZonesByName: those that have exactly this name; there may be several, public and private."""
        found: list[Zone] = []
        start: dict[str, str] = {"DNSName": name}
        while start:
            answer = self.call("list_hosted_zones_by_name", **start)
            zones = [_zone(zone) for zone in answer["HostedZones"]]
            found += [zone for zone in zones if zone.name == name]
            more = answer.get("IsTruncated") and all(zone.name == name for zone in zones)
            start = {"DNSName": answer["NextDNSName"], "HostedZoneId": answer["NextHostedZoneId"]} if more else {}
        return found

    def zone(self, zone_id: str) -> Zone | None:
        """The zone of that id, if there is one."""
        try:
            answer = self.find("get_hosted_zone", Id=zone_id)
        except RefusedError as err:
            if err.code == "InvalidInput":  # an id that can be no id names nothing
                return None
            raise
        return None if answer is None else _zone(answer["HostedZone"])

    def record(self, zone_id: str, name: str, kind: str) -> dict[str, Any] | None:
        """ListResourceRecordSets: the one of that name and type."""
        answer = self.find(
            "list_resource_record_sets",
            HostedZoneId=zone_id,
            StartRecordName=name,
            StartRecordType=kind,
            MaxItems="1",
        )
        for found in answer["ResourceRecordSets"] if answer else ():
            if found["Type"] == kind and found["Name"].rstrip(".").lower() == name.rstrip(".").lower():
                return dict(found)
        return None

    def records(self, zone_id: str, name: str) -> list[dict[str, Any]]:
        """ListResourceRecordSets: all of that very name, by type; a wildcard that would match it is none of them."""
        answer = self.find("list_resource_record_sets", HostedZoneId=zone_id, StartRecordName=name, MaxItems="20")
        wanted = name.rstrip(".").lower()
        found = answer["ResourceRecordSets"] if answer else ()
        return [dict(each) for each in found if each["Name"].rstrip(".").lower() == wanted]

    def change(self, zone_id: str, action: str, record: dict[str, Any]) -> str:
        """ChangeResourceRecordSets with one change: the change's id."""
        batch = {"Comment": "Springboard", "Changes": [{"Action": action, "ResourceRecordSet": record}]}
        answer = self.call("change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch=batch)
        return str(answer["ChangeInfo"]["Id"]).rpartition("/")[2]

    def delete(self, zone_id: str, record: dict[str, Any]) -> None:
        """Delete a record by its exact value; one that is gone or differs by now is left alone."""
        try:
            self.change(zone_id, "DELETE", record)
        except RefusedError as err:
            if err.code not in {"InvalidChangeBatch", "NoSuchHostedZone"}:
                raise

    def in_sync(self, change_id: str) -> bool:
        """GetChange: whether every name server answers with the change; True for one long forgotten."""
        answer = self.find("get_change", Id=change_id)
        return answer is None or answer["ChangeInfo"]["Status"] == "INSYNC"


def _zone(zone: dict[str, Any]) -> Zone:
    return Zone(
        zone["Id"].rpartition("/")[2],
        zone["Name"].rstrip(".").lower(),
        bool(zone.get("Config", {}).get("PrivateZone")),
    )
