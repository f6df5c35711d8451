"""Amazon Route 53."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from springboard.aws.client import Adapter


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

    def zones(self) -> list[Zone]:
        """Every hosted zone of the account."""
        return [_zone(zone) for zone in self.pages("list_hosted_zones", "HostedZones")]

    def zone(self, zone_id: str) -> Zone | None:
        """The zone of that id, if there is one."""
        answer = self.find("get_hosted_zone", Id=zone_id)
        return None if answer is None else _zone(answer["HostedZone"])


def _zone(zone: dict[str, Any]) -> Zone:
    return Zone(
        zone["Id"].rpartition("/")[2],
        zone["Name"].rstrip(".").lower(),
        bool(zone.get("Config", {}).get("PrivateZone")),
    )
