"""JSON as RFC 8259 means it, and no more: what parsers disagree on is refused, not guessed at."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 32
_MAX_DIGITS = 15  # exact in every JSON implementation (2^53 has 16)


class StrictJsonError(ValueError):
    """What is wrong with a text that should be JSON; the message is for people."""


class _Refused:
    """A number that is not read, until it is known under which key it stands."""

    def __init__(self, why: str) -> None:
        self.why = why


def parse(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value that `body` means; StrictJsonError if it is no JSON or if parsers would read it differently."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as err:
        raise StrictJsonError(f"the body is no UTF-8 (byte {err.start})") from err
    _check_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
        )
    except json.JSONDecodeError as err:
        raise StrictJsonError(f"no JSON: {err.msg} at line {err.lineno}, column {err.colno}") from err
    _check_in(value, "a value")  # what stands in no object
    return value


def _check_depth(text: str) -> None:
    """Count brackets outside strings before a recursive parser meets them; check strings on the way."""
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise StrictJsonError(f"more than {MAX_DEPTH} levels of nesting")
        elif character in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise StrictJsonError(f"the key {_shown(key)} stands twice in one object")
        _check(key, "a key")
        _check_in(value, f"the value of {_shown(key)}")  # never the value itself: it may be somebody's secret
        found[key] = value
    return found


def _check_in(value: Any, what: str) -> None:  # noqa: ANN401 - any JSON value
    """Strings and numbers are checked where they stand in an object, alone or in (nested) arrays."""
    if isinstance(value, str):
        _check(value, what)
    elif isinstance(value, _Refused):
        raise StrictJsonError(f"{what} {value.why}")
    elif isinstance(value, list):
        for item in value:
            _check_in(item, what)


def _check(text: str, what: str) -> None:
    if "\x00" in text:
        raise StrictJsonError(f"{what} contains a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise StrictJsonError(f"{what} contains half a surrogate pair, which is no character")


def _integer(digits: str) -> int | _Refused:
    return int(digits) if len(digits.lstrip("-")) <= _MAX_DIGITS else _Refused(f"has more than {_MAX_DIGITS} digits")


def _number(digits: str) -> float | _Refused:
    number = float(digits)
    return number if math.isfinite(number) else _Refused("is a number out of range")


def _constant(name: str) -> NoReturn:
    raise StrictJsonError(f"{name} is no JSON number")


def _shown(text: str) -> str:
    return ascii(text[:40])
