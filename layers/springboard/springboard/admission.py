"""What a spec leaves to be found out, looked up before anything is made: version, image, zone, node ports.

Admission reads AWS and creates nothing. It finds all mistakes at once, those of the document among them; only
what rests on a wrong field is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from springboard import capacity, image, validation, versions
from springboard.errors import FieldError, InvalidError
from springboard.fields import host_problem
from springboard.record import Environment, Resolved, ResolvedApp, text
from springboard.spec import BASE_ADDONS, DEFAULT_VERSION
from springboard.versions import Calendar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from springboard.aws.ecr import Found
    from springboard.aws.route53 import Zone
    from springboard.capacity import InstanceType
    from springboard.runtime import World
    from springboard.spec import App, EnvironmentDocument, EnvironmentSpec, NodeGroup
    from springboard.validation import Checked

NODE_PORTS = range(30000, 30086)


@dataclass(frozen=True)
class Admitted:
    """The environment as it shall be recorded, and what its owner should know."""

    environment: Environment
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Made:
    """Which environment is made, by whom, when."""

    uid: str
    by: str
    at: datetime


@dataclass
class _Findings:
    """What is wrong, and what is odd."""

    errors: list[FieldError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, place: str, message: str, remedy: str, value: str = "") -> None:
        self.errors.append(FieldError(place, message, remedy, value))


def other_name(given: str, name: str) -> InvalidError:
    """The document names another environment than the request."""
    return InvalidError(
        [FieldError("metadata.name", f"the request is about {name[:40]!a}", "write the same name", ascii(given[:40]))]
    )


def admit(
    world: World, raw: object, *, caller: str, now: datetime, uid: str, previous: Environment | None = None
) -> Admitted:
    """The environment that `raw` declares, with all that had to be looked up; InvalidError with every mistake.

    With `previous` it is an update: what must not change is checked, and what was resolved stays.
    """
    checked = validation.check(raw)
    document = checked.document
    found = _Findings(list(checked.errors))
    if document is None:
        raise InvalidError(found.errors)
    spec = document.spec
    version = _version(world, spec, now, previous, found)
    types = _instance_types(world, spec, found)
    architecture = _architecture(spec, types, found)
    if checked.sound(*_sizes(spec)) and len(types) == len(_type_names(spec)):
        found.errors += capacity.check(spec, types)
    _addons(world, checked, spec, version, previous, found=found)
    _roles(world, spec, found)
    _ingress(world, spec, found)
    apps = _apps(world, checked, document, architecture, previous, found=found)
    zone = None
    if checked.sound("spec.ingress.hostedZoneId"):
        zone = _zone(world, spec, [app.host for app in apps], previous, found)
    _warn(spec, found)
    if previous is not None:
        _check_unchanged(previous, spec, found)
        _check_zone(previous, zone, found)
        _check_life(previous, spec, now, found)
    if found.errors or zone is None:
        raise InvalidError(found.errors)
    resolved = Resolved(
        version=version,
        zone_id=zone.id,
        zone_name=zone.name,
        apps=apps,
        architecture=architecture,
        creator_role_arn=previous.resolved.creator_role_arn if previous else _creator(caller),
    )
    made = _Made(uid, caller, now)
    return Admitted(_environment(document, resolved, previous, made), tuple(found.warnings))


def _environment(
    document: EnvironmentDocument, resolved: Resolved, previous: Environment | None, made: _Made
) -> Environment:
    """The record: a new one, or the next generation of the one there is."""
    labels = dict(document.metadata.labels)
    ttl = document.spec.ttl_hours
    born = previous.created_at if previous else made.at
    expires = born + timedelta(hours=ttl) if ttl else None
    if previous is not None:
        return replace(
            previous,
            generation=previous.generation + 1,
            spec=document.spec,
            labels=labels,
            resolved=resolved,
            expires_at=expires,
        )
    return Environment(
        uid=made.uid,
        name=document.metadata.name,
        owner=made.by,
        generation=1,
        created_at=born,
        spec=document.spec,
        labels=labels,
        resolved=resolved,
        expires_at=expires,
    )


def _creator(caller: str) -> str:
    """The principal who gets access to the cluster by default; the root user can have no access entry."""
    return "" if caller.endswith(":root") else caller


# Version


def _version(world: World, spec: EnvironmentSpec, now: datetime, previous: Environment | None, found: _Findings) -> str:
    floor = spec.cluster.min_version
    if previous is not None:
        current = _current(previous)
        if floor is None or versions.minor(floor) <= versions.minor(current):
            return previous.resolved.version
        found.wrong(
            "spec.cluster.minVersion",
            f"is above the version of the cluster, {current}; a changed spec upgrades no control plane",
            f'keep it at or below "{current}"',
            floor,
        )
        return previous.resolved.version
    chosen = versions.choose(floor, Calendar.of_eks(world.eks.cluster_versions()), now.date())
    if isinstance(chosen, versions.Refused):
        found.wrong("spec.cluster.minVersion", chosen.message, chosen.remedy, floor or "")
        return ""
    return chosen


def _current(previous: Environment) -> str:
    """The minor that the cluster has, or shall have where it is not there yet."""
    return str(previous.facts.get("cluster", {}).get("version") or previous.resolved.version)


# Nodes


def _type_names(spec: EnvironmentSpec) -> set[str]:
    return {name for group in spec.node_groups for name in group.instance_types}


def _sizes(spec: EnvironmentSpec) -> list[str]:
    """The fields on which it rests whether the applications fit on the nodes."""
    apps = [
        f"spec.apps[{n}].{part}" for n in range(len(spec.apps)) for part in ("resources", "replicas", "autoscaling")
    ]
    groups = [
        f"spec.nodeGroups[{n}].{part}"
        for n in range(len(spec.node_groups))
        for part in ("instanceTypes", "size", "taints")
    ]
    return apps + groups


def _instance_types(world: World, spec: EnvironmentSpec, found: _Findings) -> Mapping[str, InstanceType]:
    """What is known of each instance type; one that EC2 does not know is a mistake."""
    known = capacity.known_types()
    names = _type_names(spec)
    types = {name: known[name] for name in names if name in known}
    missing = sorted(names - types.keys())
    if missing:
        types |= world.ec2.instance_types(missing)
    for number, group in enumerate(spec.node_groups):
        for position, name in enumerate(group.instance_types):
            if name not in types:
                found.wrong(
                    f"spec.nodeGroups[{number}].instanceTypes[{position}]",
                    "EC2 offers no such instance type in this region",
                    "m7i.large (x86) or m7g.large (arm64) suit most Spring applications",
                    ascii(name),
                )
    return types


def _architecture(spec: EnvironmentSpec, types: Mapping[str, InstanceType], found: _Findings) -> str:
    """The one architecture of all nodes that applications run on."""
    first = ""
    for number, group in enumerate(spec.node_groups):
        for position, name in enumerate(group.instance_types):
            if name not in types:
                continue
            first = first or types[name].architecture
            if types[name].architecture != first:
                found.wrong(
                    f"spec.nodeGroups[{number}].instanceTypes[{position}]",
                    f"is {types[name].architecture}, other nodes are {first}",
                    "choose instance types of one architecture",
                    name,
                )
    return first or "amd64"


# Add-ons


def _addons(
    world: World,
    checked: Checked,
    spec: EnvironmentSpec,
    version: str,
    previous: Environment | None,
    *,
    found: _Findings,
) -> None:
    """EKS has to offer each add-on, and each version that is named, for the cluster's Kubernetes version.

    It is asked only about what no one can know: the base set is there for every minor, and what a former admission has
    found stays as it is.
    """
    known = {(name, DEFAULT_VERSION) for name in BASE_ADDONS} | _known_addons(previous)
    wanted = {
        f"spec.addons[{number}]": addon
        for number, addon in enumerate(spec.addons)
        if (addon.name, addon.version) not in known
        and checked.sound(f"spec.addons[{number}].name", f"spec.addons[{number}].version")
    }
    if not wanted or not version or not checked.sound("spec.cluster.minVersion"):
        return
    kubernetes = _current(previous) if previous else version
    offered = world.eks.offered_addons(kubernetes, {addon.name for addon in wanted.values()})
    for place, addon in wanted.items():
        if addon.name not in offered:
            near = get_close_matches(addon.name, offered, n=1)
            found.wrong(
                f"{place}.name",
                f"EKS offers no such add-on for Kubernetes {kubernetes}",
                f"did you mean {near[0]}?"
                if near
                else f"`aws eks describe-addon-versions --kubernetes-version {kubernetes}` lists those that there are",
                ascii(addon.name),
            )
        elif addon.version not in {DEFAULT_VERSION, *offered[addon.name].versions}:
            found.wrong(
                f"{place}.version",
                f"EKS does not offer this version of {addon.name} for Kubernetes {kubernetes}",
                f"write {DEFAULT_VERSION}, or one of {', '.join(offered[addon.name].versions[:5])}",
                ascii(addon.version),
            )


def _known_addons(previous: Environment | None) -> set[tuple[str, str]]:
    """Names and versions that a former admission let pass."""
    return {(addon.name, addon.version) for addon in previous.spec.addons} if previous else set()


def _roles(world: World, spec: EnvironmentSpec, found: _Findings) -> None:
    """Springboard may pass only roles under the operators' path, and only of its own account."""
    prefix = f"arn:{world.site.partition}:iam::{world.site.account}:role{world.site.app_role_path}"
    for number, app in enumerate(spec.apps):
        if app.role_arn is not None and not app.role_arn.startswith(prefix):
            found.wrong(
                f"spec.apps[{number}].roleArn",
                "is not under this stack's path for application roles",
                f"use a role {prefix}…",
                app.role_arn[:100],
            )


def _ingress(world: World, spec: EnvironmentSpec, found: _Findings) -> None:
    """What the load balancer is given has to be where it is."""
    site = world.site
    if spec.ingress.access_logs and not site.access_logs_bucket:
        found.wrong(
            "spec.ingress.accessLogs",
            "this stack has no bucket for access logs",
            "deploy the stack with one, or write false",
            "true",
        )
    arn = spec.ingress.certificate_arn
    if arn is not None and not arn.startswith(f"arn:{site.partition}:acm:{site.region}:{site.account}:"):
        found.wrong(
            "spec.ingress.certificateArn",
            f"is no certificate of account {site.account} in {site.region}",
            "import or request it there; a load balancer takes certificates of its own region only",
            arn[:100],
        )


# Applications


def _apps(
    world: World,
    checked: Checked,
    document: EnvironmentDocument,
    nodes: str,
    previous: Environment | None,
    *,
    found: _Findings,
) -> tuple[ResolvedApp, ...]:
    """Each application with its host, its image by digest and its node port; `nodes` is their architecture."""
    apps = document.spec.apps
    names = [app.name or document.metadata.name for app in apps]
    ports = _node_ports(names, previous)
    resolved: list[ResolvedApp] = []
    for number, (app, name) in enumerate(zip(apps, names, strict=True)):
        place = f"spec.apps[{number}]"
        host = ""  # of an application whose name or host is wrong: not judged further
        if checked.sound("metadata.name", f"{place}.name", f"{place}.host"):
            host = app.host or f"{name}.{world.site.base_domain}"
            if app.host is None:
                _check_default_host(host, [other.host for other in resolved], place, found)
        if checked.sound(f"{place}.image"):
            pinned, digest = _image(world, app, f"{place}.image", nodes, _judged(previous), found=found)
        else:
            pinned, digest = "", ""
        resolved.append(ResolvedApp(name, host, pinned, digest, nodes, ports[name]))
    return tuple(resolved)


def _check_default_host(host: str, taken: list[str], place: str, found: _Findings) -> None:
    problem = host_problem(host)
    if problem:
        found.wrong(f"{place}.host", f"would be {host}, which {problem[0]}", "name a host", host)
    if host in taken:
        found.wrong(f"{place}.host", "stands there already", "give this app another host", host)


def _node_ports(names: list[str], previous: Environment | None) -> dict[str, int]:
    """A port per application: the one that it has, else the lowest that is free."""
    had = {app.name: app.node_port for app in previous.resolved.apps} if previous else {}
    ports = {name: had[name] for name in names if name in had}
    free = (port for port in NODE_PORTS if port not in had.values())
    return ports | {name: next(free) for name in dict.fromkeys(names) if name not in ports}


def _judged(previous: Environment | None) -> dict[str, str]:
    """Digest → architecture of the images that a former admission looked into."""
    apps = previous.resolved.apps if previous else ()
    return {app.digest: app.architecture for app in apps if app.digest and app.architecture}


def _image(
    world: World, app: App, place: str, architecture: str, known: Mapping[str, str], *, found: _Findings
) -> tuple[str, str]:
    """(image as pods name it, digest); the digest is empty where the registry can't be asked."""
    named = image.parse(app.image)
    own = (world.site.account, world.site.region)
    if named.ecr == own:
        return _own_image(world, named, place, architecture, known, found=found)
    if not any(fnmatchcase(named.name, allowed) for allowed in world.site.allowed_registries):
        allowed = ", ".join((f"{own[0]}.dkr.ecr.{own[1]}.amazonaws.com", *world.site.allowed_registries))
        found.wrong(
            place, f"this stack runs no images of {named.name[:100]}", f"allowed here: {allowed}", app.image[:100]
        )
    elif not named.digest:
        found.warnings.append(
            f"{place}: the digest and architecture of {named.name}:{named.tag} were not looked up,"
            f" and a tag can move; the nodes are {architecture}"
        )
    return app.image, named.digest


def _own_image(
    world: World, named: image.Image, place: str, architecture: str, known: Mapping[str, str], *, found: _Findings
) -> tuple[str, str]:
    seen: Found | None = world.ecr.image(named.repository, tag=named.tag, digest=named.digest, known=known)
    if seen is None:
        found.wrong(
            place,
            f"the registry has no {named.repository} {named.digest or named.tag}",
            "push the image first; `aws ecr describe-images` lists what is there",
        )
        return "", ""
    if seen.architectures and architecture not in seen.architectures:
        found.wrong(
            place,
            f"is built for {', '.join(sorted(seen.architectures))}, the nodes are {architecture}",
            f"build it with --platform linux/{architecture}, or choose other instance types",
        )
    return named.pinned(seen.digest), seen.digest


# Address


def _zone(
    world: World, spec: EnvironmentSpec, hosts: list[str], previous: Environment | None, found: _Findings
) -> Zone | None:
    """The public hosted zone that holds all hosts: the spec's, the stack's, or the nearest above the hosts.

    An environment keeps its own while that holds its hosts. Of `hosts`, those that are empty are not judged.
    """
    if not any(hosts):
        return None
    before = len(found.errors)
    given = spec.ingress.hosted_zone_id or world.site.hosted_zone_id
    place = "spec.ingress.hostedZoneId"
    if given:
        if world.site.hosted_zone_id not in {"", given} and not world.site.any_zone:
            mine = world.site.hosted_zone_id
            remedy = f"leave it out, or name {mine}; the stack's operator can open all zones by its parameter DnsZones"
            found.wrong(place, f"the stack may write to the hosted zone {mine} alone", remedy, given)
            return None
        zone = world.route53.zone(given)
        if zone is None:
            found.wrong(
                place, "Route 53 has no such hosted zone in this account", "`aws route53 list-hosted-zones`", given
            )
            return None
        if zone.private:
            found.wrong(
                place, f"{zone.name} is a private zone, in which ACM can validate nothing", "name a public zone", given
            )
            return None
    else:
        zone = world.route53.zone(previous.resolved.zone_id) if previous else None
        if zone is None or not all(zone.holds(host) for host in hosts if host):
            zone = _walk(world, next(filter(None, hosts)), found)
        if zone is None:
            return None
    for number, host in enumerate(hosts):
        if host and not zone.holds(host):
            found.wrong(
                f"spec.apps[{number}].host",
                f"is not under the hosted zone {zone.name}",
                f"write a name that ends with .{zone.name}, or name another zone in spec.ingress.hostedZoneId",
                host,
            )
    return zone if len(found.errors) == before else None


def _walk(world: World, host: str, found: _Findings) -> Zone | None:
    """The nearest public zone above a host."""
    place = "spec.ingress.hostedZoneId"
    private = False
    labels = host.split(".")
    for start in range(len(labels) - 1):
        zones = world.route53.zones(".".join(labels[start:]))
        public = [zone for zone in zones if not zone.private]
        private = private or len(public) < len(zones)
        if len(public) > 1:
            ids = ", ".join(sorted(zone.id for zone in public))
            found.wrong(place, f"several public hosted zones are named {public[0].name}", f"name one of {ids}")
            return None
        if public:
            return public[0]
    if private:
        found.wrong(place, f"only private hosted zones hold {host}", "create a public zone, or choose another host")
    else:
        found.wrong(place, f"no hosted zone of this account holds {host}", "create one, or choose another host")
    return None


# What is allowed, and still worth a word


def _warn(spec: EnvironmentSpec, found: _Findings) -> None:
    if "0.0.0.0/0" in spec.cluster.api_access.public_cidrs:
        found.warnings.append("spec.cluster.apiAccess.publicCidrs: the Kubernetes API is open to the whole internet")
    if spec.cluster.support_type == "STANDARD":
        found.warnings.append(
            "spec.cluster.supportType: with STANDARD, AWS upgrades by itself when standard support ends"
        )
    for number, app in enumerate(spec.apps):
        most = app.autoscaling.max_replicas if app.autoscaling else app.replicas or 2
        if most == 1:
            found.warnings.append(f"spec.apps[{number}].replicas: one replica is down whenever its node is")


# Updates


def _check_unchanged(previous: Environment, spec: EnvironmentSpec, found: _Findings) -> None:
    """What AWS can't change in place has to be asked for in a way that shows what it means."""
    if spec.ingress.scheme != previous.spec.ingress.scheme:
        found.wrong(
            "spec.ingress.scheme",
            f"a load balancer's scheme can't change; it is {previous.spec.ingress.scheme}",
            "create another environment",
            spec.ingress.scheme,
        )
    before = {group.name: group for group in previous.spec.node_groups}
    for number, group in enumerate(spec.node_groups):
        if group.name in before:
            for key in _fixed_and_changed(before[group.name], group):
                found.wrong(
                    f"spec.nodeGroups[{number}].{key}",
                    "can't change in a node group that exists",
                    "add a second node group, apply, then remove the first and apply again",
                )


def _check_zone(previous: Environment, zone: Zone | None, found: _Findings) -> None:
    """Records are ours by zone, name and value alone: in another zone the former ones would be forgotten."""
    if zone is not None and zone.id != previous.resolved.zone_id:
        before = previous.resolved
        found.wrong(
            "spec.ingress.hostedZoneId",
            f"an environment's records stay in their hosted zone; they are in {before.zone_name} ({before.zone_id})",
            f"keep hosts under {before.zone_name}, or create another environment",
            zone.id,
        )


def _check_life(previous: Environment, spec: EnvironmentSpec, now: datetime, found: _Findings) -> None:
    """Hours count from the creation: a life that would be over already is a mistake, not a wish to delete."""
    hours = spec.ttl_hours
    if hours is not None and hours != previous.spec.ttl_hours and previous.created_at + timedelta(hours=hours) <= now:
        found.wrong(
            "spec.ttlHours",
            f"counts from the creation, {text(previous.created_at)}, so it would be over",
            "give more hours, or delete the environment",
            str(hours),
        )


def _fixed_and_changed(before: NodeGroup, after: NodeGroup) -> list[str]:
    changed = []
    if list(before.instance_types) != list(after.instance_types):
        changed.append("instanceTypes")
    if before.capacity_type != after.capacity_type:
        changed.append("capacityType")
    return changed
