"""Who manages which field: managedFields, server-side apply, and conflicts.

A field is a path of elements as FieldsV1 writes them: `f:name` a field, `k:{…}` a list item by its keys,
`v:…` a member of a set. The path of a map, struct or item itself is owned too (`.` in FieldsV1) where a
genuine server owns it: list items always; maps and structs when an update brought them into being.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.objects import Obj, clone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from springboard_local.kubernetes.embedded.schema import Schema, Schemas

type Path = tuple[str, ...]

# A list key that may be left out, and what it then is.
_KEY_DEFAULTS = {"protocol": "TCP"}
_UNTRACKED_META = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_MISSING = object()


@dataclass(frozen=True)
class Manager:
    """Who writes, how, and through which door."""

    name: str
    operation: str  # Apply or Update
    api_version: str
    subresource: str = ""

    def is_entry(self, entry: Obj) -> bool:
        """Whether a managedFields entry is this manager's."""
        return (entry["manager"], entry["operation"], entry.get("subresource", "")) == (
            self.name,
            self.operation,
            self.subresource,
        )

    def entry(self, time: str) -> Obj:
        """A fresh managedFields entry."""
        entry = {"manager": self.name, "operation": self.operation, "apiVersion": self.api_version, "time": time}
        return {**entry, "subresource": self.subresource} if self.subresource else entry


class ApplyConflictError(Exception):
    """Fields that others manage with other values."""

    def __init__(self, conflicts: list[tuple[Obj, list[Path]]]) -> None:
        super().__init__(f"{len(conflicts)} managers in conflict")
        self.conflicts = conflicts


def _tracked(obj: Obj) -> Obj:
    tracked = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
    tracked["metadata"] = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _UNTRACKED_META}
    return tracked


def _item_key(schema: Schema, item: Any) -> str:
    keys = schema.get("x-kubernetes-list-map-keys", ())
    found = {k: item.get(k, _KEY_DEFAULTS.get(k)) for k in sorted(keys)}
    return "k:" + json.dumps({k: v for k, v in found.items() if v is not None}, separators=(",", ":"))


def _member(value: Any) -> str:
    return "v:" + json.dumps(value)


class _Comparison:
    """What changed between two versions of an object."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.written: set[Path] = set()
        self.removed: set[Path] = set()

    def compare(self, schema: Schema, old: Any, new: Any, path: Path) -> None:
        schema = self.schemas.resolve(schema)
        shape = self.schemas.shape(schema)
        if new is _MISSING:
            self._all(schema, old, path, self.removed)
        elif old is _MISSING:
            self._all(schema, new, path, self.written)
        elif shape in ("struct", "map") and isinstance(old, dict) and isinstance(new, dict):
            self._compare_fields(schema, old, new, path)
        elif shape == "listmap" and isinstance(old, list) and isinstance(new, list):
            self._compare_items(schema, old, new, path)
        elif shape == "listset" and isinstance(old, list) and isinstance(new, list):
            self.written |= {(*path, _member(v)) for v in new if v not in old}
            self.removed |= {(*path, _member(v)) for v in old if v not in new}
        elif old != new:
            self.written.add(path)

    def _compare_fields(self, schema: Schema, old: Obj, new: Obj, path: Path) -> None:
        for name in {**old, **new}:
            before, after = old.get(name, _MISSING), new.get(name, _MISSING)
            if before is _MISSING and _always_present(schema, name):
                # Go's struct has it, empty, even where JSON doesn't show it.
                before = [] if isinstance(after, list) else {}
                if isinstance(after, dict | list) and not after:
                    self.written.add((*path, "f:" + name))
            self.compare(self.schemas.child(schema, name), before, after, (*path, "f:" + name))

    def _compare_items(self, schema: Schema, old: list[Any], new: list[Any], path: Path) -> None:
        before = {_item_key(schema, item): item for item in old}
        after = {_item_key(schema, item): item for item in new}
        for key in {**before, **after}:
            inner = before.get(key, _MISSING), after.get(key, _MISSING)
            self.compare(self.schemas.item(schema), *inner, (*path, key))

    def _all(self, schema: Schema, value: Any, path: Path, into: set[Path]) -> None:
        """The whole subtree, nodes included."""
        schema = self.schemas.resolve(schema)
        shape = self.schemas.shape(schema)
        if path:
            into.add(path)
        if shape in ("struct", "map") and isinstance(value, dict):
            for name, inner in value.items():
                self._all(self.schemas.child(schema, name), inner, (*path, "f:" + name), into)
        elif shape == "listmap" and isinstance(value, list):
            for item in value:
                self._all(self.schemas.item(schema), item, (*path, _item_key(schema, item)), into)
        elif shape == "listset" and isinstance(value, list):
            into.update((*path, _member(v)) for v in value)


def _always_present(schema: Schema, name: str) -> bool:
    found = schema.get("properties", {}).get(name, {})
    if found.get("default") == {}:
        return True
    return name in schema.get("required", ()) and found.get("type") == "array"


def _leaves(schemas: Schemas, schema: Schema, value: Any, path: Path = ()) -> Iterable[tuple[Path, Any]]:
    """The fields that a configuration speaks of, with their values; list items count as fields."""
    schema = schemas.resolve(schema)
    shape = schemas.shape(schema)
    if shape in ("struct", "map") and isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(schemas, schemas.child(schema, name), inner, (*path, "f:" + name))
    elif shape == "listmap" and isinstance(value, list) and value:
        for item in value:
            place = (*path, _item_key(schema, item))
            yield place, True
            for name, inner in item.items():
                yield from _leaves(schemas, schemas.child(schemas.item(schema), name), inner, (*place, "f:" + name))
    elif shape == "listset" and isinstance(value, list) and value:
        for member in value:
            yield (*path, _member(member)), True
    elif path:
        yield path, value


def _configured(schemas: Schemas, schema: Schema, obj: Obj) -> dict[Path, Any]:
    found = dict(_leaves(schemas, schema, _tracked(obj)))
    found.pop(("f:metadata",), None)
    return found


# FieldsV1


def encode(paths: Iterable[Path]) -> Obj:
    """Paths as a FieldsV1 tree."""
    root: Obj = {}
    ends = set(paths)
    for path in sorted(ends):
        node = root
        for i, element in enumerate(path):
            node = node.setdefault(element, {})
            if i + 1 < len(path) and path[: i + 1] in ends:
                node["."] = {}
    return root


def decode(tree: Obj, path: Path = ()) -> set[Path]:
    """The paths of a FieldsV1 tree."""
    found: set[Path] = set()
    for element, inner in tree.items():
        if element == ".":
            found.add(path)
        elif inner:
            found |= decode(inner, (*path, element))
        else:
            found.add((*path, element))
    return found


def show(path: Path) -> str:
    """A path as conflict messages print it: .spec.containers[name="web"].image"""
    shown = ""
    for element in path:
        kind, text = element[:2], element[2:]
        if kind == "f:":
            shown += "." + text
        elif kind == "k:":
            shown += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(text).items()) + "]"
        else:
            shown += f"[={text}]"
    return shown


def _entries(obj: Obj | None) -> list[tuple[Obj, set[Path]]]:
    entries = (obj or {}).get("metadata", {}).get("managedFields") or []
    return [(entry, decode(entry.get("fieldsV1") or {})) for entry in entries]


def _store_entries(obj: Obj, entries: Iterable[tuple[Obj, set[Path]]]) -> None:
    written = [{**e, "fieldsType": "FieldsV1", "fieldsV1": encode(paths)} for e, paths in entries if paths]
    written.sort(key=lambda e: (e["operation"], e.get("time", ""), e["manager"], e["apiVersion"]))
    obj["metadata"]["managedFields"] = written


# Writes


def track_update(schemas: Schemas, schema: Schema, old: Obj | None, new: Obj, manager: Manager, *, time: str) -> None:
    """Write into `new` who manages what after a create, update or patch."""
    comparison = _Comparison(schemas)
    comparison.compare(schema, _tracked(old or {}), _tracked(new), ())
    written, removed = comparison.written, comparison.removed
    entries: list[tuple[Obj, set[Path]]] = []
    mine: Obj | None = None
    for entry, paths in _entries(old):
        if manager.is_entry(entry):
            mine = {**entry, "time": time, "apiVersion": manager.api_version} if written else entry
            entries.append((mine, (paths - removed) | written))
        else:
            entries.append((entry, paths - removed - written))
    if mine is None and written:
        entries.append((manager.entry(time), written))
    _store_entries(new, entries)


def apply_configuration(
    schemas: Schemas, schema: Schema, live: Obj, config: Obj, manager: Manager, *, force: bool, time: str
) -> Obj:
    """Server-side apply: `live` with `config` merged in, and what the manager no longer speaks of pruned.

    Raises ApplyConflictError where others manage a field with another value, unless forced.
    """
    wanted = _configured(schemas, schema, config)
    found = _configured(schemas, schema, live)
    conflicts: list[tuple[Obj, list[Path]]] = []
    others: list[tuple[Obj, set[Path]]] = []
    mine: tuple[Obj, set[Path]] | None = None
    for entry, paths in _entries(live):
        if manager.is_entry(entry):
            mine = entry, paths
            continue
        disputed = {p for p in paths & set(wanted) if found.get(p) != wanted[p]}
        if disputed and not force:
            conflicts.append((entry, sorted(disputed)))
        others.append((entry, paths - disputed))
    if conflicts:
        raise ApplyConflictError(conflicts)
    merged: Obj = clone(_merge(schemas, schema, live, config))
    if mine:
        _prune(schemas, schema, merged, mine[1] - set(wanted), [paths for _, paths in others])
    unchanged = mine is not None and mine[1] == set(wanted) and _tracked(merged) == _tracked(live)
    _store_entries(merged, [(mine[0] if mine and unchanged else manager.entry(time), set(wanted)), *others])
    return merged


def _prune(schemas: Schemas, schema: Schema, merged: Obj, dropped: set[Path], others: list[set[Path]]) -> None:
    """Remove what nobody manages any more; items before their leaves, or a leaf is cut from an item that stays."""
    shared = set().union(*others)
    inner = {path[:i] for path in shared for i in range(1, len(path))}
    for path in sorted(dropped - shared - inner, key=len):
        _remove(schemas, schema, merged, path)


def _merge(schemas: Schemas, schema: Schema, live: Any, config: Any) -> Any:
    schema = schemas.resolve(schema)
    shape = schemas.shape(schema)
    if shape in ("struct", "map") and isinstance(live, dict) and isinstance(config, dict):
        merged = dict(live)
        for name, value in config.items():
            merged[name] = _merge(schemas, schemas.child(schema, name), live[name], value) if name in live else value
        return merged
    if shape == "listmap" and isinstance(live, list) and isinstance(config, list):
        left = {_item_key(schema, item): item for item in config}
        kept = []
        for item in live:
            wanted = left.pop(_item_key(schema, item), None)
            kept.append(item if wanted is None else _merge(schemas, schemas.item(schema), item, wanted))
        return kept + list(left.values())
    if shape == "listset" and isinstance(live, list) and isinstance(config, list):
        return live + [member for member in config if member not in live]
    return config


def _remove(schemas: Schemas, schema: Schema, value: Any, path: Path) -> bool:
    """Take one path out; whether its container is empty now."""
    schema = schemas.resolve(schema)
    element, rest = path[0], path[1:]
    if isinstance(value, dict) and element.startswith("f:"):
        name = element[2:]
        if name in value and (not rest or _remove(schemas, schemas.child(schema, name), value[name], rest)):
            del value[name]
        return not value
    if not isinstance(value, list):
        return False
    if element.startswith("v:"):
        value[:] = [member for member in value if _member(member) != element]
    elif not rest:
        value[:] = [item for item in value if _item_key(schema, item) != element]
    else:
        for item in value:
            if _item_key(schema, item) == element:
                _remove(schemas, schemas.item(schema), item, rest)
    return not value
