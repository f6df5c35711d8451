"""Policy documents: which statements match a request, and what follows from them. Pure; no state but caches."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

type Context = Mapping[str, Sequence[str]]
"""Condition keys, in lower case, with the values that the request has for them."""

type Verdict = Literal["allow", "deny", "none"]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}


@dataclass(frozen=True)
class Request:
    """One question to a policy. `principals` are the names a resource policy may call the caller by."""

    action: str
    resource: str
    context: Context
    principals: frozenset[tuple[str, str]] = frozenset()  # ("AWS", arn), ("Service", "lambda.amazonaws.com")


@dataclass(frozen=True)
class Statement:
    """One statement with its patterns in lists."""

    allow: bool
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: tuple[tuple[str, str], ...]
    not_principals: tuple[tuple[str, str], ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def matches(self, request: Request, *, of_resource: bool) -> bool:
        """Whether the statement speaks of this request; `of_resource`: it is from a resource's own policy."""
        return (
            self._of_action(request.action)
            and self._of_resource(request, implied=of_resource)
            and (not of_resource or self._of_principal(request))
            and all(_holds(operator, key, wanted, request.context) for operator, key, wanted in self.conditions)
        )

    def _of_action(self, action: str) -> bool:
        if self.not_actions:
            return not any(_like(pattern, action, fold=True) for pattern in self.not_actions)
        return any(_like(pattern, action, fold=True) for pattern in self.actions)

    def _of_resource(self, request: Request, *, implied: bool) -> bool:
        if self.not_resources:
            return not any(_like_arn(each, request) for each in self.not_resources)
        if not self.resources:
            return implied  # a trust policy is about the role that it is on
        return any(_like_arn(each, request) for each in self.resources)

    def _of_principal(self, request: Request) -> bool:
        if self.not_principals:
            return not any(_is(each, request) for each in self.not_principals)
        return any(_is(each, request) for each in self.principals)


def _is(named: tuple[str, str], request: Request) -> bool:
    kind, value = named
    if value == "*":
        return kind in {"AWS", "*"} or any(each == kind for each, _ in request.principals)
    if kind == "AWS" and re.fullmatch(r"\d{12}", value):
        value = f"arn:aws:iam::{value}:root"
    return (kind, value) in request.principals


@lru_cache(maxsize=4_096)
def parse(document: str) -> tuple[Statement, ...]:
    """The statements of a policy document; ValueError if it is none."""
    loaded = json.loads(document)
    if not isinstance(loaded, dict):
        raise ValueError("a policy document is a JSON object")  # noqa: TRY004 - malformed text, as of json.loads
    return tuple(_statement(each) for each in _list(loaded.get("Statement", [])))


def _statement(raw: Mapping[str, Any]) -> Statement:
    return Statement(
        allow=raw.get("Effect") == "Allow",
        actions=_texts(raw.get("Action")),
        not_actions=_texts(raw.get("NotAction")),
        resources=_texts(raw.get("Resource")),
        not_resources=_texts(raw.get("NotResource")),
        principals=_principals(raw.get("Principal")),
        not_principals=_principals(raw.get("NotPrincipal")),
        conditions=tuple(
            (operator, key.lower() if "${" not in key else key, _texts(values))
            for operator, keys in (raw.get("Condition") or {}).items()
            for key, values in keys.items()
        ),
    )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in _list(value))


def _principals(value: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if value == "*":
        return (("*", "*"),)
    return tuple((kind, str(each)) for kind, names in value.items() for each in _list(names))


def verdict(documents: Iterable[str], request: Request, *, of_resource: bool = False) -> Verdict:
    """What some policies say together: an explicit deny wins over any allow."""
    found: Verdict = "none"
    for document in documents:
        for statement in parse(document):
            if statement.matches(request, of_resource=of_resource):
                if not statement.allow:
                    return "deny"
                found = "allow"
    return found


# patterns


@lru_cache(maxsize=16_384)
def _compiled(pattern: str, fold: bool) -> re.Pattern[str]:  # noqa: FBT001 - a cache key
    text = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if fold else 0))


def _like(pattern: str, value: str, *, fold: bool = False) -> bool:
    return pattern == "*" or _compiled(pattern, fold).fullmatch(value) is not None


def _like_arn(pattern: str, request: Request) -> bool:
    if pattern == "*":
        return True
    expanded = _pattern(pattern, request.context)
    return expanded is not None and expanded.fullmatch(request.resource) is not None


def _pattern(pattern: str, context: Context, *, fold: bool = False) -> re.Pattern[str] | None:
    """The pattern with its policy variables replaced, their values taken literally; None if one has no value."""
    if "${" not in pattern:
        return _compiled(pattern, fold)
    text, end = "", 0
    for variable in _VARIABLE.finditer(pattern):
        value = _value_of(variable[1], context)
        if value is None:
            return None
        text += _wild(pattern[end : variable.start()]) + re.escape(value)
        end = variable.end()
    return re.compile(text + _wild(pattern[end:]), re.DOTALL | (re.IGNORECASE if fold else 0))


def _wild(text: str) -> str:
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)


def _value_of(variable: str, context: Context) -> str | None:
    if variable in _LITERALS:
        return _LITERALS[variable]
    key, _, default = variable.partition(",")
    values = context.get(key.strip().lower(), ())
    if len(values) == 1:
        return values[0]
    default = default.strip()
    return default[1:-1] if len(default) >= 2 and default[0] == default[-1] == "'" else None


# conditions


def _holds(operator: str, key: str, wanted: tuple[str, ...], context: Context) -> bool:
    """Whether one line of a Condition block is met."""
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    values = context.get(_key(key, context), ())
    if name == "Null":
        return any((not values) == (each == "true") for each in wanted)
    if name not in _OPERATORS:
        return False  # an operator that IAM does not have meets nothing
    compare, negated = _OPERATORS[name]

    def meets(value: str) -> bool:
        return any(compare(pattern, value, context) for pattern in wanted) != negated

    if quantifier == "ForAllValues":
        return all(meets(value) for value in values)
    if not values:
        # A negated operator is met by an absent key: what isn't there equals nothing.
        return if_exists or (negated and quantifier != "ForAnyValue")
    if quantifier == "ForAnyValue":
        return any(meets(value) for value in values)
    return meets(values[0]) if len(values) == 1 else all(meets(value) for value in values)


def _key(key: str, context: Context) -> str:
    if "${" not in key:
        return key
    return _VARIABLE.sub(lambda found: _value_of(found[1], context) or "", key).lower()


type Compare = Callable[[str, str, Context], bool]


def _expanded(wanted: str, context: Context) -> str | None:
    if "${" not in wanted:
        return wanted
    parts = [_value_of(found[1], context) for found in _VARIABLE.finditer(wanted)]
    if any(part is None for part in parts):
        return None
    values = iter(parts)
    return _VARIABLE.sub(lambda _: next(values) or "", wanted)


def _equals(wanted: str, value: str, context: Context) -> bool:
    return _expanded(wanted, context) == value


def _equals_folded(wanted: str, value: str, context: Context) -> bool:
    expanded = _expanded(wanted, context)
    return expanded is not None and expanded.casefold() == value.casefold()


def _matches(wanted: str, value: str, context: Context) -> bool:
    pattern = _pattern(wanted, context)
    return pattern is not None and pattern.fullmatch(value) is not None


def _arn(wanted: str, value: str, context: Context) -> bool:
    """Each of the six parts is matched by itself, so that a star does not reach over a colon before the last."""
    ours, theirs = wanted.split(":", 5), value.split(":", 5)
    if wanted == "*":
        return True
    return len(ours) == len(theirs) == 6 and all(_matches(a, b, context) for a, b in zip(ours, theirs, strict=True))


def _number(compare: Callable[[float, float], bool]) -> Compare:
    def compared(wanted: str, value: str, _: Context) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return compared


def _moment(text: str) -> datetime:
    if re.fullmatch(r"\d+(\.\d+)?", text) and len(text) > 4:
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _date(compare: Callable[[datetime, datetime], bool]) -> Compare:
    def compared(wanted: str, value: str, _: Context) -> bool:
        try:
            return compare(_moment(value), _moment(wanted))
        except ValueError:
            return False

    return compared


def _address(wanted: str, value: str, _: Context) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _bool(wanted: str, value: str, _: Context) -> bool:
    return wanted.lower() == value.lower()


_OPERATORS: dict[str, tuple[Compare, bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_folded, False),
    "StringNotEqualsIgnoreCase": (_equals_folded, True),
    "StringLike": (_matches, False),
    "StringNotLike": (_matches, True),
    "NumericEquals": (_number(lambda value, wanted: value == wanted), False),
    "NumericNotEquals": (_number(lambda value, wanted: value == wanted), True),
    "NumericLessThan": (_number(lambda value, wanted: value < wanted), False),
    "NumericLessThanEquals": (_number(lambda value, wanted: value <= wanted), False),
    "NumericGreaterThan": (_number(lambda value, wanted: value > wanted), False),
    "NumericGreaterThanEquals": (_number(lambda value, wanted: value >= wanted), False),
    "DateEquals": (_date(lambda value, wanted: value == wanted), False),
    "DateNotEquals": (_date(lambda value, wanted: value == wanted), True),
    "DateLessThan": (_date(lambda value, wanted: value < wanted), False),
    "DateLessThanEquals": (_date(lambda value, wanted: value <= wanted), False),
    "DateGreaterThan": (_date(lambda value, wanted: value > wanted), False),
    "DateGreaterThanEquals": (_date(lambda value, wanted: value >= wanted), False),
    "Bool": (_bool, False),
    "BinaryEquals": (_equals, False),
    "IpAddress": (_address, False),
    "NotIpAddress": (_address, True),
    "ArnEquals": (_arn, False),
    "ArnLike": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnNotLike": (_arn, True),
}
