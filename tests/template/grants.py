"""What the templates grant, action by action and resource by resource, and what needs each: `permissions.yaml`."""

from __future__ import annotations

import re
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.template import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FILE = "tests/template/permissions.yaml"
MANAGED = "managed policies"  # stands where others have an action
# Of these a list of values is one wish: more of them do not allow more, one by one.
SETS = ("ForAllValues:", "ForAnyValue:")


@dataclass(frozen=True, order=True)
class Grant:
    """An action in one statement of a role's own policies, on one of its resources.

    Of a statement with one resource and several values of a condition, with one of those. Of the trust policy, who may
    assume the role stands for a resource; and a managed policy of AWS's is a grant as a whole.
    """

    role: str  # logical id
    action: str
    number: int  # among the role's statements that grant the action, from 0
    piece: str  # the resource, value, principal or policy, as `name_of` calls it
    place: int = field(default=0, compare=False)  # of the piece, among its statement's

    def __str__(self) -> str:
        statement = f" (statement {self.number + 1})" if self.number else ""
        return f"{self.role} {self.action}{statement} on {self.piece}"


@dataclass(frozen=True, order=True)
class Condition:
    """A condition on an action, in one statement of a role's own policies, or of its trust policy."""

    role: str  # logical id
    action: str
    key: str
    number: int = 0  # among the role's statements that grant the action

    def __str__(self) -> str:
        return f"{self.role} {self.action}{f' (statement {self.number + 1})' if self.number else ''} if {self.key}"


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


def trust(role: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements that say who may assume a role."""
    found: list[dict[str, Any]] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    return found


def managed(role: Mapping[str, Any]) -> list[str]:
    """The names of a role's managed policies."""
    return [name_of(each).rpartition("/")[2] for each in role["Properties"].get("ManagedPolicyArns", ())]


def actions(statement: Mapping[str, Any]) -> list[str]:
    """A statement's actions."""
    said = statement["Action"]
    return list(said) if isinstance(said, list) else [said]


def name_of(value: Any) -> str:
    """A resource or a value in short: without what every ARN begins with, and without the stack's parameters."""
    match value:
        case {"Fn::GetAtt": [name, "Arn"]} | {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": [text, *_]} | {"Fn::Sub": text}:
            bare = re.sub(r"\$\{[\w:]+\}[-.:]?", "", str(text))
            return re.sub(r"^arn:[a-z0-9-]+:+", "", bare) or str(text)
        case _:
            return str(value)


def several(value: Any) -> list[Any]:
    """A list as it is, and one thing as a list of it."""
    return value if isinstance(value, list) else [value]


def pieces(statement: Mapping[str, Any]) -> list[str]:
    """What the statement is about: its resources, of trust its principals, or the values that its only one goes with.

    ValueError where both are several: what of it is needed could not be told.
    """
    path = _axis(statement)
    return [name_of(each) for each in several(_at(statement, path))]


def _axis(statement: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the statement says several things, one of which is enough; its resources or principals if nowhere."""
    about: list[tuple[str, ...]] = [("Principal", kind) for kind in statement.get("Principal", ())] or [("Resource",)]
    found = [path for path in about if len(about) > 1 or len(several(_at(statement, path))) > 1]
    found += [
        ("Condition", operator, key)
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, values in keys.items()
        if len(several(values)) > 1 and not operator.startswith(SETS)
    ]
    if len(found) > 1:
        raise ValueError(f"several {' and '.join(path[-1] for path in found)}: make statements of their own")
    return found[0] if found else about[0]


def _at(statement: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = statement
    for step in path:
        value = value[step]
    return value


def _shorter(statement: Mapping[str, Any], place: int) -> dict[str, Any] | None:
    """The statement without its piece at the place; None if that was all."""
    path = _axis(statement)
    left = [each for number, each in enumerate(several(_at(statement, path))) if number != place]
    if not left:
        return None
    changed = deepcopy(dict(statement))
    _at(changed, path[:-1])[path[-1]] = left
    return changed


def granted(*templates: Mapping[str, Any]) -> list[Grant]:
    """Every grant of every role; twice where one statement says an action, or a resource, twice."""
    found = []
    for template in templates:
        for name, role in source.resources("AWS::IAM::Role", dict(template)).items():
            seen: Counter[str] = Counter()
            found += [Grant(name, MANAGED, 0, policy, place) for place, policy in enumerate(managed(role))]
            for statement in (*trust(role), *statements(role)):
                said = actions(statement)
                about = list(enumerate(pieces(statement)))
                found += [Grant(name, action, seen[action], piece, place) for action in said for place, piece in about]
                seen.update(dict.fromkeys(said, 1))
    return found


def conditions(*templates: Mapping[str, Any]) -> list[Condition]:
    """Every condition of every role."""
    return [
        each
        for template in templates
        for name, role in source.resources("AWS::IAM::Role", dict(template)).items()
        for each in of_statements(name, (*trust(role), *statements(role)))
    ]


def of_statements(role: str, statements: Iterable[Mapping[str, Any]]) -> Iterator[Condition]:
    """The conditions in a role's statements."""
    seen: Counter[str] = Counter()
    for statement in statements:
        keys = [key for tests in statement.get("Condition", {}).values() for key in tests]
        for action in actions(statement):
            yield from (Condition(role, action, key, seen[action]) for key in keys)
            seen[action] += 1


def unconditioned(statements: Iterable[dict[str, Any]], condition: Condition) -> Iterator[dict[str, Any]]:
    """The statements, one of them without that condition."""
    seen = 0
    for statement in statements:
        if condition.action not in actions(statement):
            yield statement
            continue
        tests = statement.get("Condition", {})
        if seen == condition.number:
            tests = {
                operator: {key: values for key, values in keys.items() if key != condition.key}
                for operator, keys in tests.items()
            }
        yield {**statement, "Condition": {operator: keys for operator, keys in tests.items() if keys}}
        seen += 1


def without(template: Mapping[str, Any], grant: Grant) -> dict[str, Any]:
    """The template, but for that; LookupError if it is not there."""
    changed = deepcopy(dict(template))
    role = changed["Resources"][grant.role]["Properties"]
    if grant.action == MANAGED:
        del role["ManagedPolicyArns"][grant.place]
    for document in (role["AssumeRolePolicyDocument"], *(each["PolicyDocument"] for each in role.get("Policies", ()))):
        document["Statement"] = list(narrowed(document["Statement"], grant.action, grant.number, grant.place))
    if len(granted(changed)) != len(granted(template)) - 1:
        raise LookupError(f"there is no {grant}")
    return changed


def narrowed(statements: list[dict[str, Any]], action: str, number: int, place: int) -> Iterator[dict[str, Any]]:
    """The statements, the action taken out of one of those that have it, on one of its pieces.

    A statement of nothing else goes.
    """
    seen = 0
    for statement in statements:
        said = actions(statement)
        if action not in said:
            yield statement
            continue
        seen += 1
        if seen - 1 != number:
            yield statement
            continue
        if len(said) > 1:
            yield {**statement, "Action": [each for each in said if each != action]}
        if left := _shorter(statement, place):
            yield {**left, "Action": [action]}


@cache
def needs() -> Needs:
    """The file, about the templates as they are."""
    return read(source.text(FILE), granted(source.template(), source.network()))


def read(text: str, granted: list[Grant]) -> Needs:
    """What the text of the file says; ValueError for a word in it that stands for nothing, or that nobody uses.

    One word is about all statements that grant the action, a list about one after the other. It is enough for a
    statement on one resource; one on several has a word for each.
    """
    body = source.parse(text)
    there = {grant: grant for grant in granted}
    alone = _alone(there)
    times = Counter((role, action) for role, action, _ in {(each.role, each.action, each.number) for each in there})
    words = {**body["tests"], **body["services"]}
    used = set()
    tests: dict[Grant, str] = {}
    services: dict[Grant, str] = {}
    for role, said in body["roles"].items():
        for action, value in said.items():
            said_of = value if isinstance(value, list) else [value] * max(times[role, action], 1)
            for number, one in enumerate(said_of):
                about = one if isinstance(one, dict) else {alone.get((role, action, number), "anything"): one}
                for piece, word in about.items():
                    if word not in words:
                        raise ValueError(f"{role} {action}: {word} is neither a test nor a service's")
                    used.add(word)
                    kind = tests if word in body["tests"] else services
                    grant = Grant(role, action, number, piece)
                    kind[there.get(grant, grant)] = words[word]
    if unused := words.keys() - used:
        raise ValueError(f"nobody uses {', '.join(sorted(unused))}")
    return Needs(tests, services)


def _alone(granted: Iterable[Grant]) -> dict[tuple[str, str, int], str]:
    """Of statements on one resource, that."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for each in granted:
        found.setdefault((each.role, each.action, each.number), []).append(each.piece)
    return {key: said[0] for key, said in found.items() if len(said) == 1}


def findings(granted: list[Grant], needs: Needs) -> Iterator[str]:
    """What is granted and nothing needs, and what something needs and is not granted."""
    for grant, times in sorted(Counter(granted).items()):
        if times > 1:
            yield f"{grant} is granted {times} times by one statement"
        if grant not in needs.grants:
            yield f"{grant} is granted, and {FILE} names no test that needs it"
    yield from (f"{grant} is needed, says {FILE}, and not granted" for grant in sorted(needs.grants - set(granted)))
