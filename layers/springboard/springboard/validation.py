"""A document as the user sent it → the environment it declares, or every mistake in it at once.

Each mistake names the field as the user wrote it, shows the value (never one that may be secret), and says what to
write instead. A wrong part is then left out and the rest is checked further, so that a typo in one place hides
nothing in another.
"""

from __future__ import annotations

import difflib
import json
import re
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from springboard import rules
from springboard.errors import FieldError, InvalidError
from springboard.spec import EnvironmentDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    type Location = tuple[int | str, ...]

_SHOWN = 60
_ROUNDS = 8  # leaving a wrong part out can uncover another; a document that needs more is beyond reading
# Fields in which a secret may stand, rightly or by mistake, and the part of an address that holds a password.
_SECRETIVE = {"env", "envFromSecrets", "configuration"}
_USER_INFORMATION = re.compile(r":[^/@]*@(?!sha256:)")
_TOKEN = re.compile(r"@(?!sha256:)|[?#]")  # of an image: a user alone may be a token, and so may a query
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.:$/-]{1,130}")


# What stands in for a required part that was wrong or missing, so that the rest can be judged.
_STAND_IN_APP = {"image": "registry.invalid/unnamed:0"}
_STAND_INS: dict[str, Any] = {
    "metadata": {"name": "unnamed"},
    "spec": {"apps": [_STAND_IN_APP]},
    "apps": [_STAND_IN_APP],
    "name": "unnamed",
    "image": _STAND_IN_APP["image"],
    "maxReplicas": 1000,
}
_STAND_IN_ITEMS: dict[str, Any] = {"apps": _STAND_IN_APP, "nodeGroups": {"name": "unnamed"}}


@dataclass(frozen=True)
class Checked:
    """What a document came to: `document` is None where not even its sound parts make one."""

    document: EnvironmentDocument | None
    errors: tuple[FieldError, ...]
    left_out: tuple[str, ...] = ()  # fields that were wrong and are not in `document`

    def sound(self, *fields: str) -> bool:
        """Whether nothing was left out under or around these fields."""
        return not any(_related(field, wrong) for field in fields for wrong in self.left_out)


def parse(raw: object) -> EnvironmentDocument:
    """The environment that a document declares; InvalidError with every mistake."""
    checked = check(raw)
    if checked.errors or checked.document is None:
        raise InvalidError(list(checked.errors))
    return checked.document


def check(raw: object) -> Checked:
    """Every mistake, and what the sound parts declare."""
    if not isinstance(raw, dict):
        mistake = FieldError("", "an environment is an object", "send apiVersion, kind, metadata and spec")
        return Checked(None, (mistake,))
    rest: dict[str, Any] = deepcopy(raw)
    errors: list[FieldError] = []
    left_out: list[str] = []
    for _ in range(_ROUNDS):
        try:
            # By the names of the schema alone: those of Python are for our own code.
            document = EnvironmentDocument.model_validate(rest, by_alias=True, by_name=False)
        except ValidationError as err:
            details = err.errors(include_url=False)
            errors += _news(details, left_out)
            left_out += [_path(_place(detail)) for detail in details]
            gone: set[Location] = set()
            for detail in _last_first(details):
                left_out += _mend(rest, _place(detail), gone, missing=detail["type"] == "missing")
        else:
            checked = Checked(document, (), tuple(left_out))
            errors += [error for error in rules.check(document) if checked.sound(error.field)]
            return Checked(document, tuple(_distinct(errors)), tuple(left_out))
    return Checked(None, tuple(_distinct(errors)), tuple(left_out))


def _news(details: Sequence[ErrorDetails], left_out: Sequence[str]) -> list[FieldError]:
    """What was not a consequence of leaving something out."""
    found = [_error(detail) for detail in details]
    return [error for error in found if not any(_related(error.field, wrong) for wrong in left_out)]


def _related(field: str, other: str) -> bool:
    """Whether one of two paths holds the other."""
    short, long = sorted((field, other), key=len)
    return long.startswith(short) and (len(long) == len(short) or not short or long[len(short)] in ".[")


def _distinct(errors: Sequence[FieldError]) -> list[FieldError]:
    return list({(error.field, error.message): error for error in errors}.values())


def _last_first(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """So that removing an item of a list moves no other that is still to be mended."""
    return sorted(
        details,
        key=lambda detail: [(str(part), 0) if isinstance(part, str) else ("", part) for part in detail["loc"]],
        reverse=True,
    )


def _place(detail: ErrorDetails) -> Location:
    """Where the mistake stands; pydantic marks a wrong key of a mapping with a part of its own."""
    loc = detail["loc"]
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _mend(rest: dict[str, Any], place: Location, gone: set[Location], *, missing: bool) -> list[str]:
    """Make `rest` sound at one place; what else can't be judged any more is answered.

    `gone` are the entries of lists that this round has removed: two mistakes in one entry remove it once.
    """
    holder: Any = rest
    for part in place[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return []  # gone with something around it
    key = place[-1]
    if missing and key not in _STAND_INS:
        return _mend(rest, place[:-1], gone, missing=False)
    match holder, key:
        case dict(), str() if missing:
            holder[key] = deepcopy(_STAND_INS[key])
        case dict(), _:
            holder.pop(key, None)
        case list(), int() if place[-2] in _STAND_IN_ITEMS:
            holder[key] = deepcopy(_STAND_IN_ITEMS[str(place[-2])])
        case list(), int() if place not in gone:
            del holder[key]
            gone.add(place)
            return [_path(place[:-1])]  # the items behind it have moved
    return []


# How a mistake reads


def _error(detail: ErrorDetails) -> FieldError:
    place = _place(detail)
    message, remedy = _words(detail, place)
    return FieldError(_path(place), message, remedy, _value(detail, place))


def _path(place: Location) -> str:
    """spec.apps[0].image"""
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            shown = part if _PLAIN_KEY.fullmatch(part) else ascii(part[:_SHOWN])
            path += f".{shown}" if path else shown
    return path


def _value(detail: ErrorDetails, place: Location) -> str:
    """What was given, shortened and in ASCII; nothing that may be secret, and nothing where it says nothing."""
    if _SECRETIVE & set(place) or detail["type"] in {"missing", "extra_forbidden"}:
        return ""
    given = detail["input"]
    if isinstance(given, dict | list) or (isinstance(given, str) and _USER_INFORMATION.search(given)):
        return ""
    if place[-1] == "image" and isinstance(given, str) and _TOKEN.search(given):
        return ""
    shown = ascii(given) if isinstance(given, str) else json.dumps(given)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _words(detail: ErrorDetails, place: Location) -> tuple[str, str]:
    """What is wrong, and what to write instead."""
    context = detail.get("ctx") or {}
    kind = detail["type"]
    if "remedy" in context:
        words = detail["msg"], str(context["remedy"])
    elif kind == "extra_forbidden":
        words = "unknown field", _nearest(place)
    elif kind == "missing":
        words = "is required", f"add {place[-1]}"
    elif kind == "string_type":
        words = _not_text(detail["input"])
    elif kind == "string_pattern_mismatch":
        pattern = context.get("pattern", "what is allowed")
        field = next((part for part in reversed(place) if isinstance(part, str)), "")  # of an entry: its list
        words = f"does not match {pattern}", _PATTERNS.get(field, "write it as the pattern says")
    elif kind == "literal_error":
        expected = str(context.get("expected", ""))
        words = f"is none of {expected}", _nearest_of(str(detail["input"]), expected)
    elif kind in _BOUNDS:
        message, remedy = _BOUNDS[kind]
        words = message.format(**context), remedy.format(**context)
    elif kind in _SHAPES:
        words = _SHAPES[kind], _unquoted(kind, detail["input"])
    else:
        words = _lower_first(detail["msg"]), f"look at {_path(place[-1:])} in `springboard schema`"
    return words


# By pydantic's kind of mistake; braces are filled with its context.
_BOUNDS = {
    "greater_than_equal": ("is below {ge}", "write at least {ge}"),
    "less_than_equal": ("is above {le}", "write at most {le}"),
    "string_too_short": ("is shorter than {min_length} characters", "write at least {min_length}"),
    "string_too_long": ("is longer than {max_length} characters", "write at most {max_length}"),
    "too_short": ("has too few entries", "give at least {min_length}"),
    "too_long": ("has more than {max_length} entries", "give at most {max_length}"),
}
_SHAPES = {
    "int_type": "should be a whole number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
}


def _unquoted(kind: str, given: object) -> str:
    """What to write instead of a value of another shape."""
    match kind, given:
        case "int_type", str() if given.isdecimal():
            return "remove the quotes"
        case "int_type", _:
            return "write digits, without a fraction"
        case "bool_type", _:
            return "write true or false, without quotes"
        case "list_type", _:
            return "write [ ... ], or a line with - for each entry"
        case _:
            return "write its fields by name"


def _not_text(given: object) -> tuple[str, str]:
    """What YAML made of a text that was not quoted."""
    match given:
        case bool():
            return "is a boolean, should be text", "quote it: YAML reads NO, yes, on and off as booleans"
        case int():
            return "is a number, should be text", f'quote it: "{given}"'
        case float():
            return (
                "is a number, should be text",
                f'quote it: "{given}", or "{given}0" if that is what stands there: YAML drops the zero',
            )
        case None:
            return "is null, should be text", "write a text, or leave the field out"
        case _:
            return "should be text", "write one value"


_PATTERNS = {
    "name": "lower-case letters, digits and hyphens; the first is a letter, the last no hyphen",
    "minVersion": 'a minor version in quotes: "1.35"',
    "cpu": "as Kubernetes writes it: 500m or 2",
    "memory": "as Kubernetes writes it: 512Mi or 2Gi",
    "hostedZoneId": "the id that Route 53 shows, as Z0123456789ABC",
    "start": "HH:MM, as 02:00",
    "until": "YYYY-MM-DD",
    "first": "YYYY-MM-DD",
    "last": "YYYY-MM-DD",
    "principalArn": "the ARN of an IAM role or user, not of a session",
    "roleArn": "the ARN of an IAM role",
    "certificateArn": "the ARN of an ACM certificate, as arn:aws:acm:eu-west-1:111122223333:certificate/…",
    "actuatorPath": "a path as /actuator",
    "namespaces": "the name of a namespace: lower-case letters, digits and hyphens, beginning with a letter",
    "profiles": "the name of a Spring profile: letters, digits, _ and -",
    "envFromSecrets": "the name of a Kubernetes Secret: lower-case letters, digits, hyphens and dots",
    "version": "default, or a version as v1.12.4-eksbuild.1",
}


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]


def _nearest_of(given: str, expected: str) -> str:
    found = difflib.get_close_matches(given, re.findall(r"'([^']+)'", expected), n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else "choose one of them"


def _nearest(place: Location) -> str:
    """The known field that an unknown one resembles, or all that are known there."""
    known = _fields(EnvironmentDocument, place[:-1])
    if not known:
        return "remove it"
    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(str(place[-1]).lower(), list(folded), n=1, cutoff=0.6)
    return f"did you mean {folded[found[0]]}?" if found else f"known here: {', '.join(known)}"


def _fields(model: type[BaseModel], place: Location) -> list[str]:
    """The names of the fields at a place of the document."""
    here = model
    for part in place:
        if isinstance(part, int):
            continue
        inner = next((field.annotation for field in here.model_fields.values() if field.alias == part), None)
        following = _model_in(inner)
        if following is None:
            return []
        here = following
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    """The model that an annotation holds, under lists, unions and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
