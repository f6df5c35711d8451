"""What stands in the way of applying an add-on's objects: fields that somebody else has set to another value."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# EKS leaves the number of replicas to whoever has scaled the Deployment.
_NEVER_A_CONFLICT = (".spec.replicas",)
_ABSENT = object()


def found(
    manifest: Mapping[str, Any], present: Mapping[str, Any] | None, applied: Mapping[str, Any] | None
) -> list[str]:
    """The fields of `manifest` that others have changed since EKS applied the object, in the words of EKS.

    `present` is the object as it is, `applied` as EKS last applied it; None for one that is not there, or that EKS
    never applied.
    """
    if present is None:
        return []
    group = str(manifest["apiVersion"]).rpartition("/")[0]
    kind = f"{manifest['kind']}.{group}" if group else str(manifest["kind"])
    return [
        f"{kind} {manifest['metadata']['name']} - {path}"
        for path, _ in _taken(manifest, present, applied or {}, "")
        if path not in _NEVER_A_CONFLICT
    ]


def preserving(
    manifest: Mapping[str, Any],
    present: Mapping[str, Any] | None,
    applied: Mapping[str, Any] | None,
    *,
    replicas_alone: bool = False,
) -> dict[str, Any]:
    """`manifest` with the values that others have set in its fields."""
    result: dict[str, Any] = copy.deepcopy(dict(manifest))
    if present is not None:
        taken = dict(_taken(manifest, present, applied or {}, ""))
        _put(result, {p: v for p, v in taken.items() if p in _NEVER_A_CONFLICT or not replicas_alone}, "")
    return result


def _taken(wanted: Any, present: Any, applied: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Path and present value of each field that differs from what is wanted, and is not what EKS has left there."""
    if isinstance(wanted, dict) and isinstance(present, dict):
        for key, each in wanted.items():
            if key in present:
                mine = applied.get(key, _ABSENT) if isinstance(applied, dict) else _ABSENT
                yield from _taken(each, present[key], mine, f"{path}.{key}")
    elif _named(wanted) and _named(present):
        there, mine = _by_name(present), _by_name(applied) if _named(applied) else {}
        for name, each in _by_name(wanted).items():
            if name in there:
                yield from _taken(each, there[name], mine.get(name, _ABSENT), f'{path}[name="{name}"]')
    elif present not in (wanted, applied):
        yield path, present


def _put(target: Any, values: Mapping[str, Any], path: str) -> None:
    keys = list(target) if isinstance(target, dict) else []
    for key in keys:
        here = f"{path}.{key}"
        if here in values:
            target[key] = values[here]
        else:
            _put(target[key], values, here)
    for each in target if _named(target) else []:
        _put(each, values, f'{path}[name="{each["name"]}"]')


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) and "name" in each for each in value)


def _by_name(value: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in value}
