"""What fields must be to each other. Pure: a document in, mistakes out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from springboard.errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from springboard.spec import EnvironmentDocument, EnvironmentSpec

    type Rule = Callable[[EnvironmentSpec], Iterable[FieldError]]


def check(document: EnvironmentDocument) -> list[FieldError]:
    """Every mistake between fields."""
    return [error for rule in _RULES for error in rule(document.spec)]


def _protection_and_life(spec: EnvironmentSpec) -> Iterator[FieldError]:
    if spec.deletion_protection and spec.ttl_hours is not None:
        yield FieldError(
            "spec.deletionProtection",
            "an environment with ttlHours is deleted at its end, so it can't be protected",
            "remove one of spec.deletionProtection and spec.ttlHours",
            "true",
        )


def _app_names(spec: EnvironmentSpec) -> Iterator[FieldError]:
    if len(spec.apps) > 1:
        for number, app in enumerate(spec.apps):
            if app.name is None:
                yield FieldError(f"spec.apps[{number}].name", "is required where there are several apps", "add a name")
    yield from _unique("spec.apps[{}].name", [app.name for app in spec.apps])
    yield from _unique("spec.apps[{}].host", [app.host for app in spec.apps])


def _replicas(spec: EnvironmentSpec) -> Iterator[FieldError]:
    for number, app in enumerate(spec.apps):
        if app.autoscaling is None:
            continue
        place = f"spec.apps[{number}]"
        if app.replicas is not None:
            yield FieldError(
                f"{place}.replicas",
                "stands beside autoscaling, which sets the replicas itself",
                "remove replicas or autoscaling",
                str(app.replicas),
            )
        if app.autoscaling.min_replicas > app.autoscaling.max_replicas:
            yield FieldError(
                f"{place}.autoscaling.minReplicas",
                f"is above maxReplicas ({app.autoscaling.max_replicas})",
                "make it at most maxReplicas",
                str(app.autoscaling.min_replicas),
            )


def _node_groups(spec: EnvironmentSpec) -> Iterator[FieldError]:
    yield from _unique("spec.nodeGroups[{}].name", [group.name for group in spec.node_groups])
    for number, group in enumerate(spec.node_groups):
        if group.max_unavailable > group.size:
            yield FieldError(
                f"spec.nodeGroups[{number}].maxUnavailable",
                f"is above size ({group.size})",
                "make it at most size; a third of it is usual",
                str(group.max_unavailable),
            )
        yield from _unique(f"spec.nodeGroups[{number}].instanceTypes[{{}}]", group.instance_types)
        yield from _unique(f"spec.nodeGroups[{number}].taints[{{}}]", [(t.key, t.effect) for t in group.taints])
    if all(
        group.taints and any(taint.effect != "PREFER_NO_SCHEDULE" for taint in group.taints)
        for group in spec.node_groups
    ):
        yield FieldError(
            "spec.nodeGroups",
            "every node group has a taint, so no application and no add-on could be scheduled",
            "leave one node group without taints",
        )


def _names_once(spec: EnvironmentSpec) -> Iterator[FieldError]:
    yield from _unique("spec.addons[{}].name", [addon.name for addon in spec.addons])
    access = spec.cluster.access or []
    yield from _unique("spec.cluster.access[{}]", [(entry.principal_arn, entry.policy) for entry in access])
    for number, entry in enumerate(access):
        yield from _unique(f"spec.cluster.access[{number}].namespaces[{{}}]", entry.namespaces)
    # AWS keeps a network once: what was asked for twice would never be what is there.
    yield from _unique("spec.cluster.apiAccess.publicCidrs[{}]", spec.cluster.api_access.public_cidrs)
    yield from _unique("spec.ingress.allowCidrs[{}]", spec.ingress.allow_cidrs)
    for number, app in enumerate(spec.apps):
        yield from _unique(f"spec.apps[{number}].spring.profiles[{{}}]", app.spring.profiles)
        yield from _unique(f"spec.apps[{number}].envFromSecrets[{{}}]", app.env_from_secrets)


def _exclusions(spec: EnvironmentSpec) -> Iterator[FieldError]:
    for number, exclusion in enumerate(spec.upgrades.exclusions):
        if exclusion.last < exclusion.first:  # dates of one form compare as text
            yield FieldError(
                f"spec.upgrades.exclusions[{number}].last",
                f"is before first ({exclusion.first})",
                "both days are included; write the same day twice for one day",
                exclusion.last,
            )
    yield from _unique("spec.upgrades.window.days[{}]", spec.upgrades.window.days)


def _unique(place: str, values: Iterable[Hashable]) -> Iterator[FieldError]:
    """A mistake for each value that stood before; None may stand often."""
    listed = list(values)
    counts = Counter(value for value in listed if value is not None)
    seen: set[Hashable] = set()
    for number, value in enumerate(listed):
        if value in seen and counts[value] > 1:
            shown = (
                value if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, tuple) else value
            )
            yield FieldError(place.format(number), "stands there already", "name each once", ascii(str(shown)[:60]))
        seen.add(value)


_RULES: tuple[Rule, ...] = (
    _protection_and_life,
    _app_names,
    _replicas,
    _node_groups,
    _names_once,
    _exclusions,
)
