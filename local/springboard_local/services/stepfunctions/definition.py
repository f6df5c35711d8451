"""Reads a definition in the Amazon States Language, and says all that is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from springboard_local.services.stepfunctions.expressions import is_expression, syntax_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
DUPLICATE = "DUPLICATE_STATE_NAME"
NO_END = "MISSING_END_STATE"
NOT_JSON = "INVALID_JSON_DESCRIPTION"

_COMMON = {"Type", "Comment", "QueryLanguage"}
_FLOW = {"Next", "End"}
_DATA = {"Output", "Assign"}
_ERRORS = {"Retry", "Catch"}
_FIELDS = {
    "Task": _COMMON | _FLOW | _DATA | _ERRORS | {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds"},
    "Pass": _COMMON | _FLOW | _DATA | {"Result"},
    "Wait": _COMMON | _FLOW | _DATA | {"Seconds", "Timestamp"},
    "Choice": _COMMON | _DATA | {"Choices", "Default"},
    "Parallel": _COMMON | _FLOW | _DATA | _ERRORS | {"Branches", "Arguments"},
    "Map": _COMMON | _FLOW | _DATA | _ERRORS | {"Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"},
    "Succeed": _COMMON | {"Output"},
    "Fail": _COMMON | {"Error", "Cause"},
}
_REQUIRED = {"Task": ("Resource",), "Choice": ("Choices",), "Parallel": ("Branches",), "Map": ("ItemProcessor",)}
# The data flow of the JSONPath query language. The local cloud runs it only as far as no path is needed.
_JSON_PATH = {
    "InputPath",
    "OutputPath",
    "ResultPath",
    "Parameters",
    "ResultSelector",
    "ItemsPath",
    "SecondsPath",
    "TimestampPath",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "MaxConcurrencyPath",
    "ErrorPath",
    "CausePath",
    "Iterator",
}
_JSONATA = {"Output", "Arguments", "Assign", "Items"}
_DISTRIBUTED = {"ItemReader", "ItemBatcher", "ResultWriter", "Label"}
_TOP = {"Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"}
_NAME_MOST = 80


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong, as ValidateStateMachineDefinition reports it."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


def parse(text: str) -> tuple[dict[str, Any], list[Diagnostic]]:
    """The definition, and what is wrong with it."""
    try:
        definition = json.loads(text)
    except ValueError as error:
        return {}, [Diagnostic(NOT_JSON, f"The definition is not JSON: {error}", "/")]
    if not isinstance(definition, dict):
        return {}, [Diagnostic(NOT_JSON, "The definition is not a JSON object", "/")]
    return definition, list(_Reader(definition).problems())


class _Reader:
    """Walks through a definition once."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self._definition = definition
        self._jsonata = definition.get("QueryLanguage", "JSONPath") == "JSONata"
        self._names: set[str] = set()

    def problems(self) -> Iterator[Diagnostic]:
        for unknown in sorted(self._definition.keys() - _TOP):
            yield Diagnostic(SCHEMA, "Field is not supported", f"/{unknown}")
        if self._definition.get("QueryLanguage", "JSONata") not in {"JSONata", "JSONPath"}:
            yield Diagnostic(SCHEMA, "The value should be one of these: [JSONata, JSONPath]", "/QueryLanguage")
        seconds = self._definition.get("TimeoutSeconds")
        if seconds is not None and not _is_count(seconds, least=1):
            yield Diagnostic(SCHEMA, "Value is not a positive integer", "/TimeoutSeconds")
        yield from self._block(self._definition, "", frozenset())

    def _block(self, block: Mapping[str, Any], at: str, outer: frozenset[str]) -> Iterator[Diagnostic]:
        """StartAt and States of the machine, a branch or an item processor."""
        missing = [name for name in ("StartAt", "States") if name not in block]
        if missing:
            yield Diagnostic(SCHEMA, f"These fields are required: {missing}", at or "/")
            return
        states = block["States"]
        if not isinstance(states, dict) or not states:
            yield Diagnostic(SCHEMA, "States has to be an object with at least one state", f"{at}/States")
            return
        assigned = frozenset(
            name for state in states.values() if isinstance(state, dict) for name in _assigned_names(state)
        )
        for name, state in states.items():
            where = f"{at}/States/{name}"
            if len(name) > _NAME_MOST:
                yield Diagnostic(SCHEMA, f"A state's name has at most {_NAME_MOST} characters", where)
            if name in self._names:
                yield Diagnostic(DUPLICATE, f'Duplicate state name: "{name}"', where)
            self._names.add(name)
            if not isinstance(state, dict):
                yield Diagnostic(SCHEMA, "A state is an object", where)
                continue
            yield from self._state(state, where, assigned | outer)
        for name in sorted(assigned & outer):
            message = f'Variable "{name}" of an outer scope cannot be assigned in an inner one'
            yield Diagnostic(SCHEMA, message, f"{at}/States")
        yield from _graph(block, at)

    def _state(self, state: dict[str, Any], at: str, outer: frozenset[str]) -> Iterator[Diagnostic]:
        kind = state.get("Type")
        if kind not in _FIELDS:
            yield Diagnostic(SCHEMA, f"The value should be one of these: {sorted(_FIELDS)}", f"{at}/Type")
            return
        jsonata = self._jsonata or state.get("QueryLanguage") == "JSONata"
        yield from self._fields(state, kind, at, jsonata=jsonata)
        if kind not in {"Choice", "Succeed", "Fail"} and ("Next" in state) == (state.get("End") is True):
            yield Diagnostic(SCHEMA, "A state has either Next or End", at)
        yield from _expressions({key: value for key, value in state.items() if key not in _NESTED}, at)
        checks = {
            "Task": _task,
            "Wait": _wait,
            "Choice": _choice,
        }
        if kind in checks:
            yield from checks[kind](state, at)
        yield from _error_handling(state, at)
        if kind == "Parallel":
            branches = state.get("Branches")
            if not isinstance(branches, list) or not branches:
                yield Diagnostic(SCHEMA, "Branches is a list with at least one branch", f"{at}/Branches")
                return
            for number, branch in enumerate(branches):
                yield from self._block(branch, f"{at}/Branches[{number}]", outer)
        if kind == "Map" and isinstance(state.get("ItemProcessor"), dict):
            processor = state["ItemProcessor"]
            if processor.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE":
                yield Diagnostic(SCHEMA, "The local cloud runs Map states INLINE only", f"{at}/ItemProcessor")
            yield from self._block(processor, f"{at}/ItemProcessor", outer)

    @staticmethod
    def _fields(state: dict[str, Any], kind: str, at: str, *, jsonata: bool) -> Iterator[Diagnostic]:
        for name in sorted(state.keys() - _FIELDS[kind]):
            if name in _JSON_PATH and not jsonata:
                message = "The local cloud runs JSONata only: set QueryLanguage"
            elif name in _DISTRIBUTED and kind == "Map":
                message = "The local cloud runs Map states INLINE only"
            elif name in _JSON_PATH:
                message = "Field is not supported when the QueryLanguage is JSONata"
            else:
                message = "Field is not supported"
            yield Diagnostic(SCHEMA, message, f"{at}/{name}")
        for name in sorted(state.keys() & (_JSONATA if not jsonata else {"Result"})):
            language = "JSONata" if jsonata else "JSONPath"
            yield Diagnostic(SCHEMA, f"Field is not supported when the QueryLanguage is {language}", f"{at}/{name}")
        missing = [name for name in _REQUIRED.get(kind, ()) if name not in state]
        if missing:
            yield Diagnostic(SCHEMA, f"These fields are required: {missing}", at)


_NESTED = {"Branches", "ItemProcessor"}


def _task(state: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    resource = state.get("Resource")
    if resource is not None and not (isinstance(resource, str) and resource.startswith("arn:")):
        yield Diagnostic(SCHEMA, "Value is not a valid resource ARN", f"{at}/Resource")
    for name in ("TimeoutSeconds", "HeartbeatSeconds"):
        value = state.get(name)
        if value is not None and not is_expression(value) and not _is_count(value, least=1):
            yield Diagnostic(SCHEMA, "Value is not a positive integer", f"{at}/{name}")


def _wait(state: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    given = [name for name in ("Seconds", "Timestamp") if name in state]
    if len(given) != 1:
        yield Diagnostic(SCHEMA, "Exactly one field is required: [Seconds, Timestamp]", at)
    seconds = state.get("Seconds")
    if seconds is not None and not is_expression(seconds) and not _is_count(seconds, least=0):
        yield Diagnostic(SCHEMA, "Value is not an integer of at least 0", f"{at}/Seconds")


def _choice(state: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    rules = state.get("Choices")
    if not isinstance(rules, list) or not rules:
        yield Diagnostic(SCHEMA, "Choices is a list with at least one rule", f"{at}/Choices")
        return
    for number, rule in enumerate(rules):
        where = f"{at}/Choices[{number}]"
        for unknown in sorted(rule.keys() - {"Condition", "Next", "Assign", "Output", "Comment"}):
            yield Diagnostic(SCHEMA, "Field is not supported", f"{where}/{unknown}")
        missing = [name for name in ("Condition", "Next") if name not in rule]
        if missing:
            yield Diagnostic(SCHEMA, f"These fields are required: {missing}", where)
        condition = rule.get("Condition")
        if condition is not None and not isinstance(condition, bool) and not is_expression(condition):
            yield Diagnostic(SCHEMA, "Condition is a boolean or a JSONata expression", f"{where}/Condition")


def _error_handling(state: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    for field in ("Retry", "Catch"):
        rules = state.get(field) or []
        for number, rule in enumerate(rules):
            where = f"{at}/{field}[{number}]"
            names = rule.get("ErrorEquals")
            if not isinstance(names, list) or not names:
                yield Diagnostic(SCHEMA, "These fields are required: ['ErrorEquals']", where)
                continue
            if "States.ALL" in names and (len(names) > 1 or number != len(rules) - 1):
                message = f"States.ALL stands alone and in the last {field}"
                yield Diagnostic(SCHEMA, message, f"{where}/ErrorEquals")
            if field == "Catch" and "Next" not in rule:
                yield Diagnostic(SCHEMA, "These fields are required: ['Next']", where)
            yield from _numbers(rule, where)


def _numbers(rule: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    for name, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("MaxDelaySeconds", 1)):
        if name in rule and not _is_count(rule[name], least=least):
            yield Diagnostic(SCHEMA, f"Value is not an integer of at least {least}", f"{at}/{name}")
    rate = rule.get("BackoffRate", 1)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 1:
        yield Diagnostic(SCHEMA, "Value is not a number of at least 1.0", f"{at}/BackoffRate")
    if rule.get("JitterStrategy", "NONE") not in {"FULL", "NONE"}:
        yield Diagnostic(SCHEMA, "The value should be one of these: [FULL, NONE]", f"{at}/JitterStrategy")


def _expressions(value: Any, at: str) -> Iterator[Diagnostic]:
    """Syntax errors of all expressions below a field."""
    if is_expression(value):
        if problem := syntax_error(value):
            yield Diagnostic(SCHEMA, f"The JSONata expression is not valid: {problem}", at)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _expressions(item, f"{at}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _expressions(item, f"{at}[{number}]")


def _graph(block: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    """Transitions to nowhere, states that nothing leads to, and a block that never ends."""
    states = {name: state for name, state in block["States"].items() if isinstance(state, dict)}
    if block["StartAt"] not in states:
        yield Diagnostic(TARGET, f"Missing 'StartAt' target: {block['StartAt']}", f"{at}/StartAt")
        return
    for name, state in states.items():
        for field, target in _transitions(state):
            if target not in states:
                yield Diagnostic(TARGET, f"Missing 'Next' target: {target}", f"{at}/States/{name}/{field}")
    reached: set[str] = set()
    ahead = [block["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in reached and name in states:
            reached.add(name)
            ahead += [target for _, target in _transitions(states[name])]
    for name in states.keys() - reached:
        yield Diagnostic(TARGET, f'State "{name}" is not reachable.', f"{at}/States/{name}")
    if not any(state.get("End") is True or state.get("Type") in {"Succeed", "Fail"} for state in states.values()):
        yield Diagnostic(NO_END, "No terminal state is defined", f"{at}/States")


def _transitions(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for field in ("Choices", "Catch"):
        for number, rule in enumerate(state.get(field) or []):
            if isinstance(rule, dict) and "Next" in rule:
                yield f"{field}[{number}]/Next", rule["Next"]


def _assigned_names(state: Mapping[str, Any]) -> Iterator[str]:
    yield from state.get("Assign") or {}
    for field in ("Choices", "Catch"):
        for rule in state.get(field) or []:
            if isinstance(rule, dict):
                yield from rule.get("Assign") or {}


def _is_count(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
