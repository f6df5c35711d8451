"""What an environment costs while it stands, from list prices in `data/prices.json`. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    type Json = dict[str, Any]

_HOURS_A_MONTH = 730
_ZONES = 3  # addresses of a load balancer: one in each of the network's zones
_DEFAULT_GROUP = {"name": "workers", "instanceTypes": ["m7i.large"], "size": 3, "diskGiB": 50}
_SMALLER = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1.0, "xlarge": 2.0}


@dataclass(frozen=True)
class Line:
    """Something that is billed by the hour; `hourly` None where the list has no price of it."""

    what: str
    hourly: float | None
    note: str = ""


@cache
def prices() -> Json:
    """The list."""
    found: Json = json.loads((files("springboard_cli") / "data" / "prices.json").read_text())
    return found


def instance_hour(instance_type: str) -> float | None:
    """The on-demand price of a Linux instance: within a family it grows with the size."""
    family, _, size = instance_type.partition(".")
    large = prices()["largeHour"].get(family)
    if large is None:
        return None
    if size in _SMALLER:
        return float(large * _SMALLER[size])
    times = re.fullmatch(r"(\d+)xlarge", size)
    return float(large * 2 * int(times[1])) if times else None


def control_plane(version: str = "") -> Line:
    """Of EKS."""
    what = f"EKS control plane {version}".rstrip()
    extended = prices()["extendedSupportHour"]
    return Line(what, prices()["controlPlaneHour"], f"${extended:.2f} an hour once its version is in extended support")


def node_group(group: Json) -> Line:
    """The instances and disks of one node group."""
    size, disk = _number(group.get("size"), 3), _number(group.get("diskGiB"), 50)
    types = group.get("instanceTypes") or ["m7i.large"]
    first = str(types[0]) if isinstance(types, list) else ""
    hour = instance_hour(first)
    disks = size * disk * prices()["gp3GiBMonth"] / _HOURS_A_MONTH
    spot = group.get("capacityType") == "SPOT"
    return Line(
        f"node group {group.get('name', '')}: {size} x {first}, {disk} GiB gp3 each",
        None if hour is None else size * hour + disks,
        "at most: Spot costs less" if spot else "",
    )


def load_balancer() -> Line:
    """Of the environment's addresses."""
    hourly = prices()["loadBalancerHour"] + _ZONES * prices()["publicIpv4Hour"]
    return Line("Application Load Balancer, its public addresses", hourly, "and its traffic")


def declared(document: Json) -> list[Line]:
    """What the environment of a document will cost."""
    spec = document.get("spec")
    groups = spec.get("nodeGroups") if isinstance(spec, dict) else None
    listed = [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []
    return [control_plane(), *(node_group(group) for group in listed or [_DEFAULT_GROUP]), load_balancer()]


def existing(document: Json) -> list[Line]:
    """What stands already, or may: the conditions tell what was begun and not removed."""
    status = document["status"]
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    begun = {step["name"].removeprefix("Ensure") for step in status.get("operation", {}).get("steps", ())}
    lines = []
    if status.get("cluster", {}).get("name") or _stands(conditions, begun, "Cluster"):
        lines.append(control_plane(str(status.get("cluster", {}).get("version", ""))))
    if _stands(conditions, begun, "NodeGroups"):
        lines += [node_group(group) for group in document["spec"].get("nodeGroups") or [_DEFAULT_GROUP]]
    if _stands(conditions, begun, "LoadBalancer"):
        lines.append(load_balancer())
    return lines


def _stands(conditions: Json, begun: set[str], name: str) -> bool:
    condition = conditions.get(f"{name}Ready", {})
    if condition.get("reason") == "Removed":
        return False
    waits_for_others = "waits for cluster" in str(condition.get("message", ""))
    return condition.get("status") == "True" or (name in begun and not waits_for_others)


def table(lines: Sequence[Line]) -> list[tuple[str, str, str]]:
    """The lines as rows."""
    return [
        (line.what, "no price known" if line.hourly is None else f"${line.hourly:.3f}/h", line.note) for line in lines
    ]


def summary(lines: Sequence[Line]) -> str:
    """The sum, and where the prices are from."""
    hourly = sum(line.hourly or 0.0 for line in lines)
    at_least = "at least " if any(line.hourly is None for line in lines) else "about "
    return (
        f"{at_least}${hourly:.2f} an hour, ${hourly * 24:.2f} a day"
        f" (list prices of {prices()['region']}, {prices()['asOf']}; other regions differ)"
    )


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000 else otherwise
