"""JSON merge patch (RFC 7396) and JSON patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

from springboard_local.kubernetes.embedded.objects import Obj, clone


class PatchError(Exception):
    """A JSON patch that doesn't apply."""


def merge_patch(current: Any, patch: Any) -> Any:
    """`current` with a merge patch applied; null deletes."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(current: Any, operations: Any) -> Any:
    """`current` with the operations applied in order; PatchError at the first that fails."""
    if not isinstance(operations, list):
        raise PatchError("a JSON patch is a list of operations")
    document = clone(current)
    for operation in operations:
        if not isinstance(operation, dict):
            raise PatchError("an operation of a JSON patch is an object")
        document = _perform(document, operation)
    return document


def _perform(document: Any, operation: Obj) -> Any:
    kind, path = operation.get("op"), _pointer(operation.get("path"))
    match kind:
        case "add":
            return _add(document, path, clone(operation.get("value")))
        case "remove":
            return _remove(document, path, kind)
        case "replace":
            _read(document, path, kind)
            return _add(_remove(document, path, kind), path, clone(operation.get("value")))
        case "move":
            source = _pointer(operation.get("from"))
            value = _read(document, source, kind)
            return _add(_remove(document, source, kind), path, value)
        case "copy":
            return _add(document, path, clone(_read(document, _pointer(operation.get("from")), kind)))
        case "test":
            if _read(document, path, kind) != operation.get("value"):
                raise PatchError(f"testing value {operation.get('path')} failed: test failed")
            return document
    raise PatchError(f"Unexpected kind: {kind}")


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"invalid pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _missing(kind: str, path: list[str]) -> PatchError:
    shown = "/" + "/".join(path)
    return PatchError(f"{kind} operation does not apply: doc is missing path: {shown}: missing value")


def _read(document: Any, path: list[str], kind: str) -> Any:
    for i, part in enumerate(path):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            raise _missing(kind, path[: i + 1] if i + 1 < len(path) else path)
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _read(document, path[:-1], "add"), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and (last == "-" or (last.isdigit() and int(last) <= len(parent))):
        parent.insert(len(parent) if last == "-" else int(last), value)
    else:
        raise _missing("add", path)
    return document


def _remove(document: Any, path: list[str], kind: str) -> Any:
    if not path:
        return None
    _read(document, path, kind)
    parent, last = _read(document, path[:-1], kind), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
    return document
