"""What versions of Kubernetes, node images and add-ons EKS offers; read from the data files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


def _load(name: str) -> Any:
    return yaml.safe_load((files("springboard_local") / "data" / name).read_text())


def minor(version: str) -> int:
    """35 of "1.35"; ValueError for anything that isn't a version of Kubernetes 1."""
    major, _, rest = version.partition(".")
    if major != "1" or not rest.isdecimal():
        message = f"not a minor version: {version!r}"
        raise ValueError(message)
    return int(rest)


def neighbour(version: str, step: int) -> str:
    """The minor version `step` away."""
    return f"1.{minor(version) + step}"


@dataclass(frozen=True)
class Version:
    """One minor version as EKS offers it."""

    version: str
    released: date
    standard_ends: date
    extended_ends: date
    platform: str
    patch: str

    def support(self, moment: datetime) -> str:
        """STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED at `moment`."""
        today = moment.date()
        if today < self.released or today >= self.extended_ends:
            return "UNSUPPORTED"
        return "STANDARD_SUPPORT" if today < self.standard_ends else "EXTENDED_SUPPORT"

    def describe(self, moment: datetime) -> dict[str, Any]:
        """As DescribeClusterVersions has it."""
        status = self.support(moment)
        return {
            "clusterVersion": self.version,
            "clusterType": "eks",
            "defaultPlatformVersion": self.platform,
            "defaultVersion": self.version == default_version(),
            "releaseDate": _midnight(self.released),
            "endOfStandardSupportDate": _midnight(self.standard_ends),
            "endOfExtendedSupportDate": _midnight(self.extended_ends),
            "status": status.lower().replace("_", "-"),
            "versionStatus": status,
            "kubernetesPatchVersion": self.patch,
        }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@cache
def versions() -> dict[str, Version]:
    """All minors of the calendar, oldest first."""
    return {
        each["version"]: Version(
            each["version"],
            each["released"],
            each["endOfStandardSupport"],
            each["endOfExtendedSupport"],
            each["platformVersion"],
            each["patch"],
        )
        for each in _load("eks_versions.yaml")["versions"]
    }


@cache
def default_version() -> str:
    """The version of a cluster that names none."""
    return str(_load("eks_versions.yaml")["default"])


def offered(moment: datetime) -> dict[str, Version]:
    """The minors that a cluster can be made with, or updated to, at `moment`."""
    return {each.version: each for each in versions().values() if each.support(moment) != "UNSUPPORTED"}


@cache
def node_releases() -> dict[str, list[str]]:
    """Release versions of the node images of each minor, the newest last."""
    return dict(_load("eks_versions.yaml")["nodeReleases"])


@dataclass(frozen=True)
class AddonVersion:
    """One version of an add-on and the minors that it goes with."""

    version: str
    compatible: tuple[str, ...]
    default_of: tuple[str, ...]


@dataclass(frozen=True)
class AddonKind:
    """An add-on of the catalogue."""

    name: str
    type: str
    owner: str
    workload_kind: str
    workload_name: str
    requires_permissions: bool
    versions: tuple[AddonVersion, ...]  # oldest first
    schema: dict[str, Any]
    pod_identity: dict[str, Any] | None

    def version(self, name: str) -> AddonVersion | None:
        """The version of that name."""
        return next((each for each in self.versions if each.version == name), None)

    def default(self, cluster_version: str) -> AddonVersion:
        """What CreateAddon takes where no version is named: AWS's default, else the newest that goes."""
        marked = [each for each in self.versions if cluster_version in each.default_of]
        fitting = [each for each in self.versions if cluster_version in each.compatible]
        return (marked or fitting)[-1]

    def describe(self, cluster_version: str | None) -> dict[str, Any]:
        """As DescribeAddonVersions has it: newest first, for one minor or all."""
        found = [each for each in reversed(self.versions) if not cluster_version or cluster_version in each.compatible]
        return {
            "addonName": self.name,
            "type": self.type,
            "publisher": "eks",
            "owner": self.owner,
            "defaultNamespace": "kube-system",
            "addonVersions": [self._version(each, cluster_version) for each in found],
        }

    def _version(self, each: AddonVersion, cluster_version: str | None) -> dict[str, Any]:
        return {
            "addonVersion": each.version,
            "architecture": ["amd64", "arm64"],
            "computeTypes": ["ec2", "auto"],
            "compatibilities": [
                {
                    "clusterVersion": name,
                    "platformVersions": ["*"],
                    "defaultVersion": name in each.default_of,
                }
                for name in each.compatible
                if not cluster_version or name == cluster_version
            ],
            "requiresConfiguration": False,
            "requiresIamPermissions": self.requires_permissions,
        }


@cache
def addon_kinds() -> dict[str, AddonKind]:
    """The catalogue, by name."""
    return {
        name: AddonKind(
            name,
            each["type"],
            each.get("owner", "aws"),
            each["workload"]["kind"],
            each["workload"]["name"],
            each.get("requiresIamPermissions", False),
            tuple(AddonVersion(v["version"], tuple(v["compatible"]), tuple(v["default"])) for v in each["versions"]),
            {"$schema": "http://json-schema.org/draft-07/schema#", **each["schema"]},
            each.get("podIdentity"),
        )
        for name, each in _load("eks_addons.yaml")["addons"].items()
    }
