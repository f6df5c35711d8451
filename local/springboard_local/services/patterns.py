"""Event patterns, input paths and input transformers of EventBridge; pure.

The filters of event source mappings are the same patterns.
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

_MISSING = object()
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether an event has all that the pattern asks for."""
    for key, wanted in pattern.items():
        if key == "$or" and isinstance(wanted, list):
            if not any(matches(each, event) for each in wanted):
                return False
        elif not _field(wanted, event.get(key, _MISSING) if isinstance(event, Mapping) else _MISSING):
            return False
    return True


def _field(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        if isinstance(value, list):
            return any(matches(wanted, each) for each in value)
        return matches(wanted, {} if value is _MISSING else value)
    if value is _MISSING or isinstance(value, Mapping):
        return any(isinstance(each, Mapping) and each.get("exists") is False for each in wanted) and value is _MISSING
    values = value if isinstance(value, list) else [value]
    return any(_leaf(each, one) for each in wanted for one in values) or (
        not values and any(isinstance(each, Mapping) and each.get("exists") is False for each in wanted)
    )


def _same(wanted: Any, value: Any) -> bool:
    # True is 1 to Python, but not in JSON.
    return isinstance(wanted, bool) == isinstance(value, bool) and wanted == value


def _leaf(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return _same(wanted, value)
    return all(_filter(name, argument, value) for name, argument in wanted.items())


def _filter(name: str, argument: Any, value: Any) -> bool:  # noqa: PLR0911 - one return per kind of filter
    match name:
        case "exists":
            return bool(argument)
        case "anything-but":
            return _anything_but(argument, value)
        case "numeric":
            return _numeric(argument, value)
    if not isinstance(value, str):
        return False
    match name:
        case "prefix" | "suffix":
            fold = isinstance(argument, Mapping)
            text = argument["equals-ignore-case"] if fold else argument
            value, text = (value.casefold(), text.casefold()) if fold else (value, text)
            return bool(value.startswith(text) if name == "prefix" else value.endswith(text))
        case "equals-ignore-case":
            return bool(value.casefold() == argument.casefold())
        case "wildcard":
            return _wildcard(argument).fullmatch(value) is not None
        case "cidr":
            return _within(argument, value)
    return False


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, Mapping):
        return not any(
            _filter(name, each, value)
            for name, texts in argument.items()
            for each in (texts if isinstance(texts, list) else [texts])
        )
    return not any(_same(each, value) for each in (argument if isinstance(argument, list) else [argument]))


def _numeric(argument: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    pairs = zip(argument[::2], argument[1::2], strict=True)
    return all(_COMPARISONS[sign](value, number) for sign, number in pairs)


def _within(network: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


@lru_cache(maxsize=512)
def _wildcard(pattern: str) -> re.Pattern[str]:
    # A backslash makes the star behind it an ordinary character.
    parts = re.findall(r"\\[\\*]|\*|[^\\*]+|\\", pattern)
    return re.compile(
        "".join(".*" if part == "*" else re.escape(part.removeprefix("\\") or "\\") for part in parts), re.DOTALL
    )


# what a target gets


def at_path(path: str, event: Any) -> Any:
    """The value at a JSON path of names and indexes, None where there is none."""
    for name, quoted, index in re.findall(r"\.([\w\-]+)|\['([^']+)'\]|\[(\d+)\]", path):
        try:
            event = event[int(index)] if index else event[name or quoted]
        except (KeyError, IndexError, TypeError):
            return None
    return event


def payload(target: Mapping[str, Any], event: Mapping[str, Any], reserved: Mapping[str, Any]) -> str:
    """What a rule's target receives of an event; `reserved` are the values of <aws.events.…>."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(at_path(target["InputPath"], event))
    if transformer := target.get("InputTransformer"):
        values = {name: at_path(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()}
        return fill(transformer["InputTemplate"], {**reserved, **values})
    return json.dumps(event)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """An input template with its <names> replaced: as text inside of quotes, as JSON outside."""
    result, quoted, position = "", False, 0
    for place in re.finditer(r'\\.|"|<([\w.\-]+)>', template):
        result += template[position : place.start()]
        position = place.end()
        if place[0] == '"':
            quoted = not quoted
        name = place[1]
        if name is None or name not in values:
            result += place[0]
        elif quoted:
            value = values[name]
            text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
            result += json.dumps(text)[1:-1]
        else:
            result += json.dumps("" if values[name] is None else values[name])
    return result + template[position:]
