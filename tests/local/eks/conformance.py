"""Whether an answer is one that EKS's model allows: its members, their types and enumerations, the errors declared."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Errors that every operation of AWS can end with, and so no model declares.
EVERYWHERE = {"AccessDeniedException", "ThrottlingException", "NotImplemented"}
# Their models have bounds of maxResults, and declare no error for what is beyond.
_WITH_UNDECLARED_BOUNDS = {"ListAccessPolicies", "ListAssociatedAccessPolicies"}
_PLAIN: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


@cache
def model() -> Any:
    """The service model of EKS."""
    return botocore.session.get_session().get_service_model("eks")


def complaints(operation: str, status: int, body: bytes) -> list[str]:
    """What the model has against an answer of `operation`."""
    found = model().operation_model(operation)
    document = json.loads(body) if body else {}
    if status < 300:
        return list(_structure(found.output_shape, document, operation)) if found.output_shape else []
    code = str(document.get("__type") or document.get("code") or "").rpartition("#")[2]
    if code in EVERYWHERE:
        return []
    if operation in _WITH_UNDECLARED_BOUNDS and code == "InvalidParameterException":
        return []
    declared = {shape.name: shape for shape in found.error_shapes}
    if code not in declared:
        return [f"{operation} declares no {code or document}"]
    members = {key: value for key, value in document.items() if key not in {"__type", "code"}}
    return list(_structure(declared[code], members, code))


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no structure"
        return
    names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    for name, each in value.items():
        if name in names:
            yield from _value(names[name], each, f"{path}.{name}")
        else:
            yield f"{path}: the model has no member {name}"


def _value(shape: Any, value: Any, path: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            yield from _structure(shape, value, path)
        case "list" if isinstance(value, list):
            for each in value:
                yield from _value(shape.member, each, f"{path}[]")
        case "map" if isinstance(value, dict):
            for each in value.values():
                yield from _value(shape.value, each, f"{path}{{}}")
        case kind if (
            kind in _PLAIN and isinstance(value, _PLAIN[kind]) and (kind == "boolean") is isinstance(value, bool)
        ):
            if shape.type_name == "string" and shape.enum and value not in shape.enum:
                yield f"{path}: {value!r} is none of {shape.enum}"
        case kind:
            yield f"{path}: {value!r} is no {kind}"
