"""Request bodies in Kubernetes' protobuf, as kubectl's typed commands send them, decoded to JSON objects."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from springboard_local.kubernetes.embedded.objects import Obj

MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions."
# Embedded structs: fields of protobuf, but inline in JSON.
_INLINE = frozenset(
    {
        "volumeSource",
        "persistentVolumeSource",
        "handler",
        "localObjectReference",
        "ephemeralContainerCommon",
        "ingressRuleValue",
    }
)
# Go's zero values travel in protobuf; these mean something in JSON although they are empty or zero.
_MEANT_EMPTY = frozenset({"emptyDir", "securityContext", "podSelector", "namespaceSelector"})
_MEANT_ZERO = frozenset(
    {
        "backoffLimit",
        "gracePeriodSeconds",
        "maxUnavailable",
        "minAvailable",
        "replicas",
        "revisionHistoryLimit",
        "terminationGracePeriodSeconds",
    }
)

# Field number → (JSON name, "r"epeated or "m"ap or "", type).
type Message = dict[str, list[str]]


@cache
def _messages() -> dict[str, Message]:
    data = files(__package__).joinpath("data/protobuf.json.gz").read_bytes()
    messages: dict[str, Message] = json.loads(gzip.decompress(data))
    return messages


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[str, Any]]:
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire = tag & 7
        value: int | bytes
        if wire == 0:
            value, place = _varint(data, place)
        else:
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, place = _varint(data, place)
            value, place = data[place : place + length], place + length
        yield str(tag >> 3), value


def _time(data: bytes) -> str | None:
    seconds = dict(_fields(data)).get("1")
    if not seconds or seconds >= 1 << 60:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(data: bytes) -> int | str:
    found = dict(_fields(data))
    if found.get("1"):
        return str(found.get("3", b"").decode())
    return int(found.get("2", 0))


def _raw_json(data: bytes) -> Any:
    raw = dict(_fields(data)).get("1")
    return json.loads(raw) if raw else None


def _text(data: bytes) -> str:
    return str(dict(_fields(data)).get("1", b"").decode())


_SPECIAL = {
    "Time": _time,
    "MicroTime": _time,
    "Timestamp": _time,
    "IntOrString": _int_or_string,
    "Quantity": _text,
    "Duration": _text,
    "RawExtension": _raw_json,
    "FieldsV1": _raw_json,
    "JSON": _raw_json,
}


def _value(kind: str, value: Any) -> Any:
    if kind == "string":
        return value.decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "bool":
        return bool(value)
    if kind.startswith("int"):
        return value - (1 << 64) if value >> 63 else value
    return _message(kind, value)


def _is_absent(name: str, value: Any) -> bool:
    if value is None or value == "":
        return True
    if value == {}:
        return name not in _MEANT_EMPTY
    return (not isinstance(value, bool | list | str) and value == 0 and name not in _MEANT_ZERO) or value is False


def _message(kind: str, data: bytes) -> Any:
    special = _SPECIAL.get(kind.rsplit(".", 1)[1])
    if special:
        return special(data)
    decoded: Obj = {}
    for number, raw in _fields(data):
        known = _messages()[kind].get(number)
        if known is None:
            continue
        name, modifier, inner = known
        if modifier == "m":
            entry = dict(_fields(raw))
            decoded.setdefault(name, {})[entry.get("1", b"").decode()] = _value(inner, entry.get("2", b""))
        elif modifier == "r":
            decoded.setdefault(name, []).append(_value(inner, raw))
        else:
            value = _value(inner, raw)
            if name in _INLINE:
                decoded.update(value)
            elif not _is_absent(name, value):
                decoded[name] = value
    return decoded


def decode(body: bytes) -> Obj:
    """The object of a protobuf body; ValueError for a type without a table."""
    envelope = dict(_fields(body[len(MAGIC) :]))
    type_meta = dict(_fields(envelope["1"]))
    api_version, kind = type_meta.get("1", b"").decode(), type_meta.get("2", b"").decode()
    group, _, version = api_version.rpartition("/")
    package = f"k8s.io.api.{group.split('.')[0] or 'core'}.{version}"
    names = (f"{package}.{kind}", _META + kind, f"{_EXTENSIONS}{version}.{kind}")
    name = next((n for n in names if n in _messages()), None)
    if name is None:
        raise ValueError(f"no protobuf type for {api_version} {kind}")
    return {"apiVersion": api_version, "kind": kind, **_message(name, envelope.get("2", b""))}
