"""The support calendar of Kubernetes on EKS, as pure functions over what EKS answers today.

EKS's own answer (DescribeClusterVersions) decides what is offered; a data file fills in dates that it lacks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STANDARD_DAYS = 425  # 14 months, the length of standard support, where no date is known at all
_EXTENDED_DAYS = 365


def minor(version: str) -> int:
    """35 for "1.35"."""
    return int(version.partition(".")[2])


@dataclass(frozen=True)
class Offered:
    """One minor version that EKS can make a cluster with."""

    version: str
    default: bool
    released: date
    standard_ends: date
    extended_ends: date
    patch: str = ""
    platform: str = ""

    def support(self, on: date) -> str:
        """STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED on that day."""
        if on >= self.extended_ends:
            return "UNSUPPORTED"
        return "EXTENDED_SUPPORT" if on >= self.standard_ends else "STANDARD_SUPPORT"


@dataclass(frozen=True)
class Calendar:
    """What EKS offers, oldest first."""

    offered: tuple[Offered, ...]

    @classmethod
    def of_eks(cls, answers: Iterable[Mapping[str, Any]]) -> Calendar:
        """From the `clusterVersions` of DescribeClusterVersions; what EKS calls unsupported is left out."""
        found = [
            _offered(answer)
            for answer in answers
            if answer.get("versionStatus", "STANDARD_SUPPORT") != "UNSUPPORTED"
            and answer.get("clusterType", "eks") == "eks"
        ]
        return cls(tuple(sorted(found, key=lambda each: minor(each.version))))

    def find(self, version: str) -> Offered | None:
        """That version, if EKS offers it."""
        return next((each for each in self.offered if each.version == version), None)

    def on(self, day: date) -> tuple[Offered, ...]:
        """Those in any support on that day."""
        return tuple(each for each in self.offered if each.support(day) != "UNSUPPORTED")

    def default(self, day: date) -> Offered | None:
        """EKS's default; where it names none, the latest that has been out for two months."""
        supported = self.on(day)
        for each in supported:
            if each.default:
                return each
        settled = [each for each in supported if each.released <= day - timedelta(days=60)]
        latest = settled or list(supported)
        return latest[-1] if latest else None

    def named(self, day: date) -> str:
        """The versions on offer, for people: 1.34, 1.35 (default), 1.36."""
        chosen = self.default(day)
        return ", ".join(f"{each.version} (default)" if each == chosen else each.version for each in self.on(day))


@dataclass(frozen=True)
class Refused:
    """Why a floor can't be met, and what could be written instead."""

    message: str
    remedy: str


def choose(floor: str | None, calendar: Calendar, day: date) -> str | Refused:
    """The version to create with: EKS's default, or the floor where that is higher."""
    default = calendar.default(day)
    if default is None:
        return Refused("EKS offers no version of Kubernetes here", "look at EKS's status in this region")
    if floor is None or (minor(floor) <= minor(default.version) and calendar.find(floor) in calendar.on(day)):
        return default.version
    offers = f"EKS offers {calendar.named(day)}"
    wanted = calendar.find(floor)
    if wanted is not None and wanted.support(day) == "UNSUPPORTED":
        return Refused(f"Kubernetes {floor} has been out of support since {wanted.extended_ends}", offers)
    if wanted is None:
        known = _known().get(floor)
        if known is not None and date.fromisoformat(known["extendedEnds"]) <= day:
            return Refused(f"Kubernetes {floor} has been out of support since {known['extendedEnds']}", offers)
        return Refused(f"EKS offers no Kubernetes {floor}", offers)
    return floor


def support_of(version: str, calendar: Calendar, day: date) -> dict[str, str]:
    """What status shows of a version's support; empty where nothing is known."""
    found = calendar.find(version)
    if found is None:
        return {}
    return {
        "support": found.support(day),
        "endOfStandardSupport": found.standard_ends.isoformat(),
        "endOfExtendedSupport": found.extended_ends.isoformat(),
    }


def documents(calendar: Calendar, day: date) -> list[dict[str, Any]]:
    """The calendar as GET /versions answers it."""
    default = calendar.default(day)
    return [
        {
            "version": each.version,
            "default": each == default,
            "patch": each.patch,
            "platformVersion": each.platform,
            "releaseDate": each.released.isoformat(),
            **support_of(each.version, calendar, day),
        }
        for each in calendar.on(day)
    ]


@cache
def _known() -> dict[str, dict[str, str]]:
    data: dict[str, Any] = json.loads((files("springboard") / "data" / "kubernetes_versions.json").read_text())
    known: dict[str, dict[str, str]] = data["versions"]
    return known


def known_dates(version: str) -> dict[str, str]:
    """released, standardEnds and extendedEnds from the data file; empty for a version it doesn't have."""
    return _known().get(version, {})


def _offered(answer: Mapping[str, Any]) -> Offered:
    version = str(answer["clusterVersion"])
    known = known_dates(version)
    released = _day(answer.get("releaseDate")) or _day(known.get("released")) or date.max - timedelta(days=1000)
    standard = (
        _day(answer.get("endOfStandardSupportDate"))
        or _day(known.get("standardEnds"))
        or released + timedelta(days=_STANDARD_DAYS)
    )
    extended = (
        _day(answer.get("endOfExtendedSupportDate"))
        or _day(known.get("extendedEnds"))
        or standard + timedelta(days=_EXTENDED_DAYS)
    )
    return Offered(
        version,
        bool(answer.get("defaultVersion")),
        released,
        standard,
        extended,
        str(answer.get("kubernetesPatchVersion", "")),
        str(answer.get("defaultPlatformVersion", "")),
    )


def _day(value: object) -> date | None:
    match value:
        case datetime():
            return value.date()
        case date():
            return value
        case str() if value:
            return date.fromisoformat(value[:10])
        case _:
            return None
