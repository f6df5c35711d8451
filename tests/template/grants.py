"""What the templates grant, action by action, and what needs each: `permissions.yaml`."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = "tests/template/permissions.yaml"


@dataclass(frozen=True, order=True)
class Grant:
    """An action in one statement of a role's own policies; managed policies are AWS's."""

    role: str  # logical id
    action: str
    number: int  # among the role's statements that grant the action, from 0

    def __str__(self) -> str:
        return f"{self.role} {self.action}{f' (statement {self.number + 1})' if self.number else ''}"


@dataclass(frozen=True)
class Needs:
    """Grant → the test that needs it (its node id, without parameters), or why none can: an AWS service does."""

    tests: Mapping[Grant, str]
    services: Mapping[Grant, str]

    @property
    def grants(self) -> set[Grant]:
        """All that something needs."""
        return {*self.tests, *self.services}

    def of(self, test: str) -> list[Grant]:
        """What a test is named for."""
        return sorted(grant for grant, named in self.tests.items() if named == test)


def statements(role: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statements of a role's own policies, in the order of the text."""
    for policy in role["Properties"].get("Policies", ()):
        yield from policy["PolicyDocument"]["Statement"]


def actions(statement: Mapping[str, Any]) -> list[str]:
    """A statement's actions."""
    said = statement["Action"]
    return list(said) if isinstance(said, list) else [said]


def granted(*templates: Mapping[str, Any]) -> list[Grant]:
    """Every grant of every role; twice where one statement says an action twice."""
    found = []
    for template in templates:
        for name, role in source.resources("AWS::IAM::Role", dict(template)).items():
            seen: Counter[str] = Counter()
            for statement in statements(role):
                said = actions(statement)
                found += [Grant(name, action, seen[action]) for action in said]
                seen.update(dict.fromkeys(said, 1))
    return found


def without(template: Mapping[str, Any], grant: Grant) -> dict[str, Any]:
    """The template, but for that; LookupError if it is not there."""
    changed = deepcopy(dict(template))
    role = changed["Resources"][grant.role]
    for policy in role["Properties"]["Policies"]:
        document = policy["PolicyDocument"]
        document["Statement"] = list(narrowed(document["Statement"], grant.action, grant.number))
    if len(granted(changed)) != len(granted(template)) - 1:
        raise LookupError(f"there is no {grant}")
    return changed


def narrowed(statements: list[dict[str, Any]], action: str, number: int) -> Iterator[dict[str, Any]]:
    """The statements, the action taken out of one of those that have it; a statement of nothing else goes."""
    seen = 0
    for statement in statements:
        said = actions(statement)
        if action not in said:
            yield statement
            continue
        seen += 1
        if seen - 1 != number:
            yield statement
        elif len(said) > 1:
            yield {**statement, "Action": [each for each in said if each != action]}


@cache
def needs() -> Needs:
    """The file, about the templates as they are."""
    return read(source.text(FILE), granted(source.template(), source.network()))


def read(text: str, granted: list[Grant]) -> Needs:
    """What the text of the file says; ValueError for a word in it that stands for nothing, or that nobody uses.

    One word is about all statements that grant the action, a list about one after the other.
    """
    body = source.parse(text)
    times = Counter((grant.role, grant.action) for grant in set(granted))
    words = {**body["tests"], **body["services"]}
    used = set()
    tests: dict[Grant, str] = {}
    services: dict[Grant, str] = {}
    for role, said in body["roles"].items():
        for action, value in said.items():
            said_of = value if isinstance(value, list) else [value] * max(times[role, action], 1)
            for number, word in enumerate(said_of):
                if word not in words:
                    raise ValueError(f"{role} {action}: {word} is neither a test nor a service's")
                used.add(word)
                kind = tests if word in body["tests"] else services
                kind[Grant(role, action, number)] = words[word]
    if unused := words.keys() - used:
        raise ValueError(f"nobody uses {', '.join(sorted(unused))}")
    return Needs(tests, services)


def findings(granted: list[Grant], needs: Needs) -> Iterator[str]:
    """What is granted and nothing needs, and what something needs and is not granted."""
    for grant, times in sorted(Counter(granted).items()):
        if times > 1:
            yield f"{grant} is granted {times} times by one statement"
        if grant not in needs.grants:
            yield f"{grant} is granted, and {FILE} names no test that needs it"
    yield from (f"{grant} is needed, says {FILE}, and not granted" for grant in sorted(needs.grants - set(granted)))
