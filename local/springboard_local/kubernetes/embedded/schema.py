"""The type graph of the OpenAPI v3 schemas: what shape a field has, typed decoding, strategic merge patch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from springboard_local.kubernetes.embedded.objects import Obj


type Schema = dict[str, Any]

_JSON_NAMES = {str: "string", int: "number", float: "number", bool: "bool", list: "array", dict: "object"}
_GO_NAMES = {"object": "object", "boolean": "bool", "string": "string", "number": "float64"}


@dataclass(frozen=True)
class TypeMismatch:
    """A value of the wrong type: where, what was found, the Go struct around it and the type it wants."""

    path: str
    found: str
    owner: str
    wanted: str
    field_path: str = ""  # without keys of maps, as Go names fields

    @property
    def message(self) -> str:
        """As Go's JSON decoder says it."""
        path = re.sub(r"\[\d+\]", "", self.field_path)
        return f"json: cannot unmarshal {self.found} into Go struct field {self.owner}.{path} of type {self.wanted}"


@dataclass
class Findings:
    """What typed decoding found wrong."""

    unknown: list[str] = field(default_factory=list)
    mismatches: list[TypeMismatch] = field(default_factory=list)


class Schemas:
    """All schemas of one version."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions = definitions
        self._resolved: dict[int, Schema] = {}
        self._roots: dict[tuple[str, str, str], str] = {}
        for name, schema in definitions.items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                self._roots.setdefault((kind["group"], kind["version"], kind["kind"]), name)

    def definition_name(self, kind: tuple[str, str, str]) -> str | None:
        """The name of a kind's schema."""
        return self._roots.get(kind)

    def root(self, kind: tuple[str, str, str]) -> Schema:
        """The schema of (group, version, kind); empty if there is none."""
        name = self._roots.get(kind)
        return self.definitions[name] if name else {}

    def resolve(self, schema: Schema) -> Schema:
        """Follow references; extensions beside a reference are kept."""
        found = self._resolved.get(id(schema))
        if found is None:
            found = schema
            while "$ref" in found or len(found.get("allOf", ())) == 1:
                if "$ref" in found:
                    found = self.definitions[found["$ref"].rsplit("/", 1)[1]]
                else:
                    beside = {k: v for k, v in found.items() if k.startswith("x-")}
                    found = {**self.resolve(found["allOf"][0]), **beside}
            self._resolved[id(schema)] = found
        return found

    def child(self, schema: Schema, name: str) -> Schema:
        """The schema of a property, or of a map's value."""
        found = schema.get("properties", {}).get(name)
        if found is not None:
            return self.resolve(found)
        additional = schema.get("additionalProperties")
        return self.resolve(additional) if isinstance(additional, dict) else {}

    def item(self, schema: Schema) -> Schema:
        """The schema of a list's items."""
        return self.resolve(schema.get("items", {}))

    @staticmethod
    def shape(schema: Schema) -> str:
        """One of struct, map, listmap, listset, atomic, scalar, any: how the field merges."""
        kind = schema.get("type")
        if kind == "array":
            return {"map": "listmap", "set": "listset"}.get(schema.get("x-kubernetes-list-type", ""), "atomic")
        if kind != "object":
            return "scalar" if kind or "oneOf" in schema else "any"
        if schema.get("x-kubernetes-map-type") == "atomic":
            return "atomic"
        if "properties" in schema:
            return "struct"
        return "map" if isinstance(schema.get("additionalProperties"), dict) else "any"

    # Typed decoding

    def check(
        self, schema: Schema, value: Any, findings: Findings, path: str = "", owner: str = "", field_path: str = ""
    ) -> None:
        """Find unknown fields and values of the wrong type."""
        if value is None:
            return
        reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
        owner = reference.rsplit(".", 1)[1] if reference else owner
        schema = self.resolve(schema)
        if not _fits(schema, value):
            wanted = self._go_type(schema)
            found = f"number {value}" if isinstance(value, float) else _JSON_NAMES[type(value)]
            owner = owner or (schema.get("x-kubernetes-group-version-kind") or [{}])[0].get("kind", "")
            findings.mismatches.append(TypeMismatch(path, found, owner, wanted, field_path))
        elif isinstance(value, dict):
            kinds = schema.get("x-kubernetes-group-version-kind")
            self._check_fields(
                schema, value, findings, (path, field_path), owner or (kinds[0]["kind"] if kinds else "")
            )
        elif isinstance(value, list):
            for i, item in enumerate(value):
                self.check(schema.get("items", {}), item, findings, f"{path}[{i}]", owner, field_path)

    def _check_fields(self, schema: Schema, value: Obj, findings: Findings, paths: tuple[str, str], owner: str) -> None:
        path, field_path = paths
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, item in value.items():
            inner = f"{path}.{name}" if path else name
            if name in properties:
                outer = f"{field_path}.{name}" if field_path else name
                self.check(properties[name], item, findings, inner, owner, outer)
            elif isinstance(additional, dict):
                self.check(additional, item, findings, inner, owner, field_path)
            elif properties:
                findings.unknown.append(inner)

    def _go_type(self, schema: Schema) -> str:
        kind = schema.get("type", "")
        if kind == "array":
            return "[]" + self._go_type(self.item(schema))
        if kind == "integer":
            return str(schema.get("format", "int"))
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return "map[string]" + self._go_type(self.resolve(schema["additionalProperties"]))
        return str(_GO_NAMES.get(kind, kind))

    def prune(self, schema: Schema, value: Any) -> Any:
        """Drop unknown fields and nulls, as decoding into a Go struct does."""
        schema = self.resolve(schema)
        if isinstance(value, list):
            items = schema.get("items")
            return [self.prune(items, v) for v in value] if items else value
        if not isinstance(value, dict):
            return value
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        if properties is None and not isinstance(additional, dict):
            return value
        pruned = {}
        for name, item in value.items():
            inner = (properties or {}).get(name) or (additional if isinstance(additional, dict) else None)
            if inner is not None and item is not None:
                pruned[name] = self.prune(inner, item)
        return pruned

    # Strategic merge patch

    def strategic_merge(self, schema: Schema, current: Any, patch: Any) -> Any:
        """`current` with the patch applied; None if the patch deletes it."""
        schema = self.resolve(schema)
        if not isinstance(patch, dict):
            return patch
        directive = patch.get("$patch")
        if directive == "replace":
            return {k: v for k, v in patch.items() if k != "$patch"}
        if directive == "delete":
            return None
        merged = dict(current) if isinstance(current, dict) else {}
        if "$retainKeys" in patch:
            merged = {k: v for k, v in merged.items() if k in patch["$retainKeys"]}
        for name, value in patch.items():
            if name.startswith("$deleteFromPrimitiveList/"):
                field_name = name.split("/", 1)[1]
                merged[field_name] = [v for v in merged.get(field_name, []) if v not in value]
            elif not name.startswith("$"):
                self._merge_field(schema, merged, name, value)
        for name, order in patch.items():
            if name.startswith("$setElementOrder/"):
                self._reorder(schema, merged, name.split("/", 1)[1], order)
        return merged

    def _merge_field(self, schema: Schema, merged: Obj, name: str, value: Any) -> None:
        raw = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict):
            value = self.strategic_merge(self.child(schema, name), merged.get(name), value)
        elif isinstance(value, list) and "merge" in raw.get("x-kubernetes-patch-strategy", ""):
            item = self.item(self.child(schema, name))
            value = self._merge_list(item, merged.get(name) or [], value, raw.get("x-kubernetes-patch-merge-key"))
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value

    def _merge_list(self, item: Schema, current: list[Any], patch: list[Any], key: str | None) -> list[Any]:
        if key is None:
            return [v for v in patch if v not in current] + current
        if any(isinstance(v, dict) and v.get("$patch") == "replace" for v in patch):
            return [v for v in patch if v.get("$patch") != "replace"]
        merged, before = list(current), [v.get(key) for v in current]
        for value in patch:
            place = next((i for i, v in enumerate(merged) if v.get(key) == value.get(key)), None)
            if value.get("$patch") == "delete":
                merged = [v for v in merged if v.get(key) != value.get(key)]
            elif place is None:
                merged.append(self.strategic_merge(item, {}, value))
            else:
                merged[place] = self.strategic_merge(item, merged[place], value)
        # New items stand before the old ones, as the genuine server merges them.
        new = [v for v in merged if v.get(key) not in before]
        return new + [v for v in merged if v.get(key) in before]

    @staticmethod
    def _reorder(schema: Schema, merged: Obj, name: str, order: list[Any]) -> None:
        if not isinstance(merged.get(name), list):
            return
        key = schema.get("properties", {}).get(name, {}).get("x-kubernetes-patch-merge-key")
        places = {(v.get(key) if key else v): i for i, v in enumerate(order)}
        merged[name] = sorted(merged[name], key=lambda v: places.get(v.get(key) if key else v, len(places)))


def _fits(schema: Schema, value: Any) -> bool:
    kind = schema.get("type")
    if schema.get("format") == "int-or-string" or kind is None:
        return True
    expected: dict[str, Any] = {"object": dict, "array": list, "boolean": bool, "string": str, "integer": int}
    if kind == "integer" and isinstance(value, bool):
        return False
    return isinstance(value, expected.get(kind, object))
