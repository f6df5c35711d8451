"""Query parameters that choose: limits, phases, label selectors as kubectl writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from springboard.problems import Problem
from springboard.record import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from springboard.record import Environment

    type Labels = Mapping[str, str]
    type Requirement = Callable[[Labels], bool]

_KEY = r"(?P<key>[A-Za-z0-9][A-Za-z0-9_./-]{0,127})"
_FORMS = (
    rf" *{_KEY} *(?P<sign>==|=|!=) *(?P<value>[A-Za-z0-9_.-]{{0,63}}) *",
    rf" *{_KEY} +(?P<sign>in|notin) *\((?P<values>[A-Za-z0-9_., -]*)\) *",
    rf" *(?P<not>!?) *{_KEY} *",
)
_EQUALITY, _SET, _PRESENCE = (re.compile(form) for form in _FORMS)
_ONE = "|".join(re.sub(r"\?P<\w+>", "", form) for form in _FORMS)
# The same for JSON Schema, which knows no named groups.
PATTERN = f"^ *$|^({_ONE})(,({_ONE}))*$"
_COMMA = re.compile(r",(?![^(]*\))")  # not between parentheses


def number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number among the query parameters."""
    given = query.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", given) or not least <= int(given) <= most:
        raise Problem(400, "InvalidParameter", f"{name} is {given[:20]!a}", f"write {least} to {most}")
    return int(given)


def read(query: Mapping[str, str]) -> Callable[[Environment], bool]:
    """Whether an environment is among those asked for by `labelSelector` and `phase`."""
    requirements = _selector(query.get("labelSelector", ""))
    phase = query.get("phase")
    if phase is not None and phase not in {known.value for known in Phase}:
        known = ", ".join(known.value for known in Phase)
        raise Problem(400, "InvalidParameter", f"phase is {phase[:20]!a}", f"write one of {known}")

    def wanted(environment: Environment) -> bool:
        return (phase is None or environment.phase.value == phase) and all(
            holds(environment.labels) for holds in requirements
        )

    return wanted


def _selector(text: str) -> list[Requirement]:
    return [_requirement(part) for part in _COMMA.split(text)] if text.strip(" ") else []


def _requirement(part: str) -> Requirement:
    if found := _EQUALITY.fullmatch(part):
        return _among(found["key"], {found["value"]}, wanted=found["sign"] != "!=")
    if found := _SET.fullmatch(part):
        values = {value.strip() for value in found["values"].split(",")}
        return _among(found["key"], values, wanted=found["sign"] == "in")
    if found := _PRESENCE.fullmatch(part):
        return _present(found["key"], wanted=not found["not"])
    raise Problem(
        400,
        "InvalidParameter",
        f"labelSelector has {part[:60]!a}",
        "write team=checkout, ring!=canary, team in (a, b), team notin (a), team or !team, joined by commas",
    )


def _among(key: str, values: set[str], *, wanted: bool) -> Requirement:
    """As in Kubernetes, an absent label satisfies != and notin."""
    return lambda labels: (labels.get(key) in values) is wanted


def _present(key: str, *, wanted: bool) -> Requirement:
    return lambda labels: (key in labels) is wanted
