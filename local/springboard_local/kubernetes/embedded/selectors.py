"""Label and field selectors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from springboard_local.kubernetes.embedded.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard_local.kubernetes.embedded.objects import Obj

type LabelTest = Callable[[Mapping[str, str]], bool]

_TERMS = re.compile(r"(?:[^,(]|\([^)]*\))+")
_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_NO_SET = re.compile(r"^\S+\s+(?:in|notin)\s+([^(\s]+)")
_KEY = re.compile(r"^([A-Za-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")


def _membership(key: str, values: set[str], *, wanted: bool) -> LabelTest:
    return lambda labels: (key in labels and labels[key] in values) == wanted


def _presence(key: str, *, wanted: bool) -> LabelTest:
    return lambda labels: (key in labels) == wanted


def _term(text: str) -> LabelTest:
    if found := _NO_SET.match(text):
        raise bad_request(f"unable to parse requirement: found '{found[1]}' expected: '('")
    if found := _SET.match(text):
        values = {v.strip() for v in found[3].split(",")}
        return _membership(_checked(found[1]), values, wanted=found[2] == "in")
    if "!=" in text:
        key, value = text.split("!=", 1)
        return _membership(_checked(key.strip()), {value.strip()}, wanted=False)
    if "=" in text:
        key, value = re.split("==?", text, maxsplit=1)
        return _membership(_checked(key.strip()), {value.strip()}, wanted=True)
    if text.startswith("!"):
        return _presence(_checked(text[1:].strip()), wanted=False)
    return _presence(_checked(text), wanted=True)


def _checked(key: str) -> str:
    if not _KEY.match(key):
        raise bad_request(f'unable to parse requirement: <nil>: Invalid value: "{key}": name part must be valid')
    return key


def parse_label_selector(text: str) -> LabelTest:
    """`a=b,c!=d,e in (x,y),f,!g` as a test of labels."""
    tests = [_term(part.strip()) for part in _TERMS.findall(text) if part.strip()]
    return lambda labels: all(test(labels) for test in tests)


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a LabelSelector selects the labels; a missing selector selects nothing, an empty one all."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(matches_expression(e, labels) for e in selector.get("matchExpressions") or ())


def matches_expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether one requirement of a label or node selector holds."""
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    found = labels.get(key)
    if operator in ("Gt", "Lt"):
        if found is None or not found.lstrip("-").isdigit():
            return False
        return int(found) > int(values[0]) if operator == "Gt" else int(found) < int(values[0])
    return {
        "In": found is not None and found in values,
        "NotIn": found not in values,
        "Exists": found is not None,
        "DoesNotExist": found is None,
    }.get(operator, False)


def _read(obj: Obj, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


# What may be selected by beside metadata.name and metadata.namespace.
FIELD_LABELS: dict[str, frozenset[str]] = {
    "Pod": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        }
    ),
    "Node": frozenset({"spec.unschedulable"}),
    "Namespace": frozenset({"status.phase"}),
    "Secret": frozenset({"type"}),
    "ReplicaSet": frozenset({"status.replicas"}),
    "Job": frozenset({"status.successful"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
    "Event": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
}
_ZERO = {"spec.unschedulable": "false", "spec.hostNetwork": "false"}


def _unknown_field(path: str, kind: str) -> str:
    # Kinds with a conversion of their own for such labels say less than those without.
    if kind in FIELD_LABELS:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def parse_field_selector(text: str, kind: str) -> Callable[[Obj], bool]:
    """`metadata.name=x,status.phase!=Running` as a test of objects; 400 for a field the kind can't be selected by."""
    terms: list[tuple[str, str, bool]] = []
    allowed = FIELD_LABELS.get(kind, frozenset()) | {"metadata.name", "metadata.namespace"}
    for part in filter(None, text.split(",")):
        if "=" not in part:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        wanted = "!=" not in part
        path, value = part.split("=" if wanted else "!=", 1)
        if path.strip() not in allowed:
            raise bad_request(_unknown_field(path.strip(), kind))
        terms.append((path.strip(), value.lstrip("=").strip(), wanted))

    def selects(obj: Obj) -> bool:
        return all(((_read(obj, path) or _ZERO.get(path, "")) == value) == wanted for path, value, wanted in terms)

    return selects
