"""What a minor version serves: resources, verbs and schemas, read from data cut from a genuine kube-apiserver."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.schema import Schemas

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.objects import Key, Obj


# Minor versions with data of their own; others are served from the nearest.
_DATA_MINORS = (34, 37)
# The patch release each minor reports.
_PATCHES = {34: 6, 35: 4, 36: 3, 37: 2}

# Nothing here acts on these, so they can be read (there are none) but not written: better a 405 than an
# object that is stored and never does what it says.
_READ_ONLY = frozenset(
    {
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
        ("", "replicationcontrollers"),
        ("admissionregistration.k8s.io", "*"),
        ("apiextensions.k8s.io", "*"),
        ("apiregistration.k8s.io", "*"),
        ("batch", "cronjobs"),
        ("certificates.k8s.io", "*"),
        ("networking.k8s.io", "ipaddresses"),
        ("networking.k8s.io", "servicecidrs"),
        ("storage.k8s.io", "volumeattachments"),
    }
)
_READ_VERBS = frozenset({"get", "list", "watch"})
# Streams into containers, and proxies to them: there is no container.
UNSERVED_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "proxy", "resize", "ephemeralcontainers"})


@dataclass(frozen=True)
class Resource:
    """One resource of one API version, as discovery names it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]
    subresources: frozenset[str]

    @property
    def key(self) -> Key:
        """Where the store keeps its objects, whatever the version."""
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """`Deployment.apps`, as validation messages name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def details(self, name: str, **more: Any) -> Obj:
        """`details` of a Status about one object."""
        return {k: v for k, v in {"name": name, "group": self.group, "kind": self.plural, **more}.items() if v}


class Catalog:
    """Discovery, resources and schemas of one minor version."""

    def __init__(self, minor: int, schemas: Schemas, groups: list[Obj]) -> None:
        self.minor = minor
        self.schemas = schemas
        self.groups = groups
        self.by_path: dict[tuple[str, str, str], Resource] = {}
        for group in groups:
            for version in group["versions"]:
                for entry in version["resources"]:
                    resource = _resource(group["metadata"].get("name", ""), version["version"], entry)
                    self.by_path[resource.group, resource.version, resource.plural] = resource
        # Preferred versions come first in discovery.
        self.by_key = {r.key: r for r in reversed(self.by_path.values())}
        self._by_kind = {(r.group, r.kind): r for r in self.by_key.values()}

    @property
    def version(self) -> str:
        """The minor version, "1.35"."""
        return f"1.{self.minor}"

    @cached_property
    def git_version(self) -> str:
        """The version as EKS reports it."""
        build = f"{(self.minor * 2654435761) & 0xFFFFFFF:07x}"
        return f"v1.{self.minor}.{_PATCHES.get(self.minor, 0)}-eks-{build}"

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object's apiVersion and kind."""
        group, _, version = api_version.rpartition("/")
        found = self._by_kind.get((group, kind))
        return self.by_path.get((group, version, found.plural)) if found else None

    def key_of(self, reference: Obj) -> Key | None:
        """The resource that an owner reference points to."""
        found = self._by_kind.get((reference["apiVersion"].rpartition("/")[0], reference["kind"]))
        return found.key if found else None

    def root(self, resource: Resource) -> Obj:
        """The schema of a resource's objects."""
        return self.schemas.root((resource.group, resource.version, resource.kind))


def _resource(group: str, version: str, entry: Obj) -> Resource:
    return Resource(
        group=group,
        version=version,
        plural=entry["resource"],
        kind=entry["responseKind"]["kind"],
        namespaced=entry["scope"] == "Namespaced",
        verbs=frozenset(entry["verbs"]),
        subresources=frozenset(s["subresource"] for s in entry.get("subresources", ())),
    )


@cache
def _load(minor: int) -> tuple[Schemas, list[Obj]]:
    data = files(__package__).joinpath(f"data/api-1.{minor}.json.gz").read_bytes()
    document = json.loads(gzip.decompress(data))
    groups = document["discovery"]
    for group in groups:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            for entry in version["resources"]:
                _restrict(name, entry)
    return Schemas(document["schemas"]), groups


def _restrict(group: str, entry: Obj) -> None:
    """Take away the verbs and subresources that would be a pretence here."""
    if {(group, entry["resource"]), (group, "*")} & _READ_ONLY:
        entry["verbs"] = [verb for verb in entry["verbs"] if verb in _READ_VERBS]
        entry["subresources"] = []


@cache
def catalog(version: str) -> Catalog:
    """The catalog of a minor version, "1.35"; shared by all control planes."""
    major, _, minor = version.partition(".")
    if major != "1" or not minor.isdigit():
        raise ValueError(f"not a Kubernetes minor version: {version!r}")
    nearest = min(_DATA_MINORS, key=lambda known: (abs(known - int(minor)), known))
    schemas, groups = _load(nearest)
    return Catalog(int(minor), schemas, groups)
