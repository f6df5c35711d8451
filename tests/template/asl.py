"""A state machine as a graph of scopes: what the lint rules walk over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXPRESSION = re.compile(r"^\{%(.*)%\}$", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Scope:
    """The top level of a machine, or one branch of a Parallel state."""

    path: str  # "" at the top, else BuildEnvironment[1] and so on
    start: str
    states: Mapping[str, Mapping[str, Any]]
    around: State | None = None  # the Parallel state of which this is a branch

    def members(self) -> Iterator[State]:
        """The scope's own states."""
        for name, body in self.states.items():
            yield State(name, body, self)

    def outer(self) -> Iterator[Scope]:
        """The scopes around this one, from the nearest."""
        if self.around:
            yield self.around.scope
            yield from self.around.scope.outer()


@dataclass(frozen=True, eq=False)
class State:
    """A state in its scope."""

    name: str
    body: Mapping[str, Any]
    scope: Scope

    @property
    def type(self) -> str:
        """Task, Choice, Parallel …"""
        return str(self.body.get("Type"))

    def edges(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Where it may go, each with what is assigned on that way."""
        if "Next" in self.body:
            yield self.body["Next"], self.body.get("Assign", {})
        for way in (*self.body.get("Choices", ()), *self.body.get("Catch", ())):
            if "Next" in way:
                yield way["Next"], way.get("Assign", {})
        if "Default" in self.body:
            yield self.body["Default"], self.body.get("Assign", {})

    def branches(self) -> Iterator[Scope]:
        """The scopes inside a Parallel state."""
        for number, branch in enumerate(self.body.get("Branches", ())):
            yield Scope(f"{self.name}[{number}]", branch.get("StartAt", ""), branch.get("States", {}), self)

    def assigned(self) -> set[str]:
        """Every variable that it may assign, whatever way it goes."""
        places = (self.body, *self.body.get("Choices", ()), *self.body.get("Catch", ()))
        return {name for place in places for name in place.get("Assign", {})}

    def function(self) -> str:
        """The substitution that names the function of a Task that invokes one."""
        named = re.fullmatch(r"\$\{(\w+)\}", str(self.body.get("Arguments", {}).get("FunctionName", "")))
        return named.group(1) if named else ""


def top(machine: Mapping[str, Any]) -> Scope:
    """The outermost scope."""
    return Scope("", machine.get("StartAt", ""), machine.get("States", {}))


def scopes(scope: Scope) -> Iterator[Scope]:
    """The scope and all inside it."""
    yield scope
    for state in scope.members():
        for branch in state.branches():
            yield from scopes(branch)


def states(machine: Mapping[str, Any]) -> Iterator[State]:
    """Every state of the machine."""
    for scope in scopes(top(machine)):
        yield from scope.members()


def expressions(value: Any) -> Iterator[str]:
    """The JSONata expressions in a part of a definition, nested branches left out."""
    match value:
        case str():
            found = EXPRESSION.match(value)
            if found:
                yield found.group(1)
        case dict():
            for key, each in value.items():
                if key != "Branches":
                    yield from expressions(each)
        case list():
            for each in value:
                yield from expressions(each)
