"""What each type of state does, as generators for the engine."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from springboard_local.services.stepfunctions.engine import Await, Call, Fork, Promise, Sleep, Strand
from springboard_local.services.stepfunctions.expressions import Evaluator, QueryError
from springboard_local.services.stepfunctions.failures import (
    DATA_LIMIT,
    HEARTBEAT_TIMEOUT,
    TIMEOUT,
    EvaluationFailure,
    StateFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from springboard_local.services.stepfunctions.engine import Effect, Program
    from springboard_local.services.stepfunctions.executions import Execution
    from springboard_local.services.stepfunctions.integrations import Integrations, Outside

DATA_BYTES = 262_144
_MISSING: Any = object()

_ASSIGNED = "Assign"


class Scope:
    """The variables of a machine, branch or iteration; inner ones read the outer ones."""

    def __init__(self, outer: Scope | None = None) -> None:
        self._outer = outer
        self._variables: dict[str, Any] = {}

    def all(self) -> dict[str, Any]:
        """Every variable that can be read here."""
        return {**(self._outer.all() if self._outer else {}), **self._variables}

    def assign(self, variables: Mapping[str, Any]) -> None:
        """Set variables of this scope."""
        self._variables.update(variables)


@dataclass
class Visit:
    """One passage through a state, with all its retries."""

    name: str
    state: Mapping[str, Any]
    input: Any
    entered: str
    event: int
    scope: Scope
    item: Mapping[str, Any] | None = None
    token: str | None = None
    retries: int = 0
    attempts: dict[int, int] = field(default_factory=dict)  # by number of the Retry rule


@dataclass(frozen=True)
class Step:
    """Where a state leads."""

    next: str | None
    output: Any
    assigned: Mapping[str, Any]


class Interpreter:
    """Runs the states of one execution."""

    def __init__(self, execution: Execution, evaluator: Evaluator, integrations: Integrations, seed: int) -> None:
        self._execution = execution
        self._evaluator = evaluator
        self._integrations = integrations
        self._jitter = random.Random(seed)  # noqa: S311 - spreads retries
        self._base: dict[str, Any] = {
            "Execution": {
                "Id": execution.arn,
                "Input": execution.input,
                "Name": execution.name,
                "RoleArn": execution.role,
                "StartTime": timestamp(execution.start),
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": execution.machine_arn, "Name": execution.machine_name},
        }

    def redriven(self, count: int) -> None:
        """Say in the context object how often the execution was redriven."""
        self._base["Execution"] = {**self._base["Execution"], "RedriveCount": count}

    def block(
        self,
        strand: Strand,
        block: Mapping[str, Any],
        value: Any,
        scope: Scope,
        item: Mapping[str, Any] | None = None,
    ) -> Program:
        """Run the states of a machine, branch or item processor to their end."""
        name: str | None = block["StartAt"]
        while name is not None:
            if item is None and strand is self._execution.strand:
                self._execution.remember(name, value, scope.all())
            visit = self._enter(strand, name, block["States"][name], value, scope, item)
            step: Step = yield from self._state(strand, visit)
            scope.assign(step.assigned)
            name, value = step.next, step.output
        return value

    def _enter(
        self,
        strand: Strand,
        name: str,
        state: Mapping[str, Any],
        value: Any,
        scope: Scope,
        item: Mapping[str, Any] | None,
    ) -> Visit:
        kind = state["Type"]
        entered = self._execution.now()
        event = self._record(
            strand, f"{kind}StateEntered", "stateEntered", {"name": name, **self._text("input", value)}
        )
        strand.state = kind
        return Visit(name, state, value, timestamp(entered), event, scope, item)

    def _state(self, strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        kind = visit.state["Type"]
        while True:
            try:
                step = yield from _TYPES[kind](self, strand, visit)
                break
            except StateFailure as failure:
                self._failed(strand, visit, failure)
                delay = self._retry(visit, failure)
                if delay is None:
                    step = self._catch(strand, visit, failure)
                    break
                visit.retries += 1
                yield Sleep(delay)
        exited = {"name": visit.name, **self._text("output", step.output)}
        if step.assigned:
            exited["assignedVariables"] = {key: json.dumps(item) for key, item in step.assigned.items()}
        strand.state = None
        self._record(strand, f"{kind}StateExited", "stateExited", exited)
        return step

    # errors

    def _failed(self, strand: Strand, visit: Visit, failure: StateFailure) -> None:
        if isinstance(failure, EvaluationFailure):
            details = {
                "error": failure.error,
                "cause": failure.cause,
                "location": failure.field,
                "state": visit.name,
            }
            self._record(strand, "EvaluationFailed", "evaluationFailed", details)
        if visit.state["Type"] in {"Parallel", "Map"}:
            self._record(strand, f"{visit.state['Type']}StateFailed", None, {})

    def _retry(self, visit: Visit, failure: StateFailure) -> float | None:
        """Seconds to wait before the state is tried again; None if it is not."""
        for number, rule in enumerate(visit.state.get("Retry") or []):
            if not failure.matches(rule["ErrorEquals"]):
                continue
            attempt = visit.attempts.get(number, 0)
            if attempt >= rule.get("MaxAttempts", 3):
                return None
            visit.attempts[number] = attempt + 1
            delay = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** attempt
            delay = min(delay, rule.get("MaxDelaySeconds", delay))
            return self._jitter.uniform(0, delay) if rule.get("JitterStrategy") == "FULL" else float(delay)
        return None

    def _catch(self, strand: Strand, visit: Visit, failure: StateFailure) -> Step:
        rule = next((rule for rule in visit.state.get("Catch") or [] if failure.matches(rule["ErrorEquals"])), None)
        if rule is None:
            raise failure
        bindings = self._bindings(visit, errorOutput=failure.output())
        try:
            assigned = self._fill(visit, rule.get(_ASSIGNED, {}), bindings, "Catch/Assign")
            output = failure.output()
            if "Output" in rule:
                output = self._fill(visit, rule["Output"], bindings, "Catch/Output")
        except EvaluationFailure as broken:
            self._failed(strand, visit, broken)
            raise
        return Step(rule["Next"], output, assigned)

    # data

    def _bindings(self, visit: Visit, **states: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            **self._base,
            "State": {"EnteredTime": visit.entered, "Name": visit.name, "RetryCount": visit.retries},
        }
        if visit.token:
            context["Task"] = {"Token": visit.token}
        if visit.item is not None:
            context["Map"] = {"Item": visit.item}
        return {**visit.scope.all(), "states": {"input": visit.input, "context": context, **states}}

    def _fill(self, visit: Visit, template: Any, bindings: Mapping[str, Any], name: str) -> Any:
        try:
            return self._evaluator.fill(template, bindings, name)
        except QueryError as error:
            raise EvaluationFailure(f"{self._where(visit)} {error}", error.field) from error

    def _wrong_type(self, visit: Visit, name: str, wanted: str) -> EvaluationFailure:
        text = f"The JSONata expression '{visit.state.get(name)}' specified for the field '{name}'"
        return EvaluationFailure(f"{self._where(visit)} {text} returned an unexpected result type: {wanted}.", name)

    @staticmethod
    def _where(visit: Visit) -> str:
        return f"An error occurred while executing the state '{visit.name}' (entered at the event id #{visit.event})."

    def _leave(self, visit: Visit, rule: Mapping[str, Any], target: str | None, result: Any = _MISSING) -> Step:
        """Evaluate Output and Assign, which both see the variables as they were on entry."""
        states = {} if result is _MISSING else {"result": result}
        bindings = self._bindings(visit, **states)
        output = visit.input if result is _MISSING else result
        if "Output" in rule:
            output = self._fill(visit, rule["Output"], bindings, "Output")
        assigned = self._fill(visit, rule.get(_ASSIGNED, {}), bindings, _ASSIGNED)
        self._limit(visit, output)
        return Step(target, output, assigned)

    @staticmethod
    def _limit(visit: Visit, value: Any) -> None:
        if len(dump(value).encode()) > DATA_BYTES:
            what = f"The state/task '{visit.name}' returned a result with a size exceeding the maximum number of bytes"
            raise StateFailure(DATA_LIMIT, f"{what} service limit.")

    def _text(self, key: str, value: Any) -> dict[str, Any]:
        return {key: dump(value), f"{key}Details": {"truncated": False}}

    def _record(self, strand: Strand, kind: str, details: str | None, values: Mapping[str, Any]) -> int:
        return self._execution.record(strand, kind, details, values)

    # types of states; each is a generator, also those that never wait

    def _pass(self, _strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        yield from ()
        if "Result" in visit.state:
            return Step(visit.state.get("Next"), visit.state["Result"], {})
        return self._leave(visit, visit.state, visit.state.get("Next"))

    def _succeed(self, _strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        yield from ()
        return self._leave(visit, visit.state, None)

    def _fail(self, _strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        yield from ()
        bindings = self._bindings(visit)
        error = self._fill(visit, visit.state.get("Error", ""), bindings, "Error")
        cause = self._fill(visit, visit.state.get("Cause", ""), bindings, "Cause")
        if not isinstance(error, str):
            raise self._wrong_type(visit, "Error", "a string is wanted")
        if not isinstance(cause, str):
            raise self._wrong_type(visit, "Cause", "a string is wanted")
        raise StateFailure(error, cause)

    def _choice(self, _strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        yield from ()
        bindings = self._bindings(visit)
        for number, rule in enumerate(visit.state["Choices"]):
            name = f"Choices[{number}]/Condition"
            met = self._fill(visit, rule["Condition"], bindings, name)
            if not isinstance(met, bool):
                text = f"{self._where(visit)} The JSONata expression '{rule['Condition']}' specified for the field"
                raise EvaluationFailure(f"{text} '{name}' returned an unexpected result type: boolean expected.", name)
            if met:
                return self._leave(visit, rule, rule["Next"])
        if "Default" not in visit.state:
            cause = (
                f"{self._where(visit)} Failed to transition out of the state. The state does not point to a next state."
            )
            raise StateFailure("States.NoChoiceMatched", cause)
        return self._leave(visit, visit.state, visit.state["Default"])

    def _wait(self, _strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        bindings = self._bindings(visit)
        if "Timestamp" in visit.state:
            text = self._fill(visit, visit.state["Timestamp"], bindings, "Timestamp")
            try:
                until = datetime.fromisoformat(text)
                seconds = (until - self._execution.now()).total_seconds()
            except (TypeError, ValueError):
                raise self._wrong_type(visit, "Timestamp", "a timestamp with a time zone is wanted") from None
        else:
            seconds = self._fill(visit, visit.state["Seconds"], bindings, "Seconds")
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 99_999_999:
                raise self._wrong_type(visit, "Seconds", "a number from 0 to 99999999 is wanted")
        yield Sleep(float(seconds))
        return self._leave(visit, visit.state, visit.state.get("Next"))

    def _parallel(self, strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        bindings = self._bindings(visit)
        value = visit.input
        if "Arguments" in visit.state:
            value = self._fill(visit, visit.state["Arguments"], bindings, "Arguments")
        self._record(strand, "ParallelStateStarted", None, {})

        def program(branch: Mapping[str, Any]) -> Callable[[Strand], Program]:
            return lambda child: self.block(child, branch, value, Scope(visit.scope), visit.item)

        programs = [program(branch) for branch in visit.state["Branches"]]
        results = yield Fork(programs, len(programs), aborted=self._aborted)
        self._limit(visit, results)
        self._record(strand, "ParallelStateSucceeded", None, {})
        return self._leave(visit, visit.state, visit.state.get("Next"), results)

    def _map(self, strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        bindings = self._bindings(visit)
        items = self._fill(visit, visit.state["Items"], bindings, "Items") if "Items" in visit.state else visit.input
        if isinstance(items, dict):
            items = [{"Key": key, "Value": item} for key, item in items.items()]
        if not isinstance(items, list):
            raise self._wrong_type(visit, "Items", "an array or an object is wanted")
        limit = self._fill(visit, visit.state.get("MaxConcurrency", 0), bindings, "MaxConcurrency")
        self._record(strand, "MapStateStarted", "mapStateStarted", {"length": len(items)})
        programs = [self._iteration(visit, number, item) for number, item in enumerate(items)]

        def ended(child: Strand, number: int, failure: StateFailure | None) -> None:
            outcome = "MapIterationFailed" if failure else "MapIterationSucceeded"
            details = {"name": visit.name, "index": number}
            self._record(child, outcome, outcome[0].lower() + outcome[1:], details)

        results = yield Fork(programs, int(limit) or 40, ended, self._aborted)
        self._limit(visit, results)
        self._record(strand, "MapStateSucceeded", None, {})
        return self._leave(visit, visit.state, visit.state.get("Next"), results)

    def _iteration(self, visit: Visit, number: int, value: Any) -> Callable[[Strand], Program]:
        item = {"Index": number, "Value": value}

        def program(child: Strand) -> Program:
            details = {"name": visit.name, "index": number}
            self._record(child, "MapIterationStarted", "mapIterationStarted", details)
            given = value
            if "ItemSelector" in visit.state:
                inner = Visit(visit.name, visit.state, visit.input, visit.entered, visit.event, visit.scope, item)
                given = self._fill(inner, visit.state["ItemSelector"], self._bindings(inner), "ItemSelector")
            return (yield from self.block(child, visit.state["ItemProcessor"], given, Scope(visit.scope), item))

        return program

    def _aborted(self, child: Strand) -> None:
        if child.state in {"Task", "Wait", "Parallel", "Map"}:
            self._execution.record_abort(child, f"{child.state}StateAborted")

    def _task(self, strand: Strand, visit: Visit) -> Generator[Effect, Any, Step]:
        state = visit.state
        integration = self._integrations.find(state["Resource"])
        promise = Promise()
        if integration.token:
            visit.token = f"AQC{uuid.uuid4().hex}{uuid.uuid4().hex}"
            self._integrations.tokens[visit.token] = promise
        bindings = self._bindings(visit)
        arguments = (
            self._fill(visit, state["Arguments"], bindings, "Arguments") if "Arguments" in state else visit.input
        )
        self._limit(visit, arguments)
        timeout = self._seconds(visit, bindings, "TimeoutSeconds")
        heartbeat = self._seconds(visit, bindings, "HeartbeatSeconds")
        events = integration.events
        scheduled = events.scheduled(integration, arguments, timeout, heartbeat)
        self._record(strand, *events.name("Scheduled"), scheduled)
        self._record(strand, *events.name("Started"), events.common(integration))
        session = self._execution.machine_name[:64].ljust(2, "-")  # a session's name has 2 to 64 characters
        outside: Outside = {"role": self._execution.role, "session": session, "promise": promise}
        try:
            result = yield Call(lambda: integration.call(arguments, outside), timeout)
            if integration.waits:
                submitted = {**events.common(integration), **self._text("output", result)}
                self._record(strand, "TaskSubmitted", "taskSubmitted", submitted)
                result = yield Await(promise, timeout, heartbeat)
            self._limit(visit, result)
        except StateFailure as failure:
            outcome = "TimedOut" if failure.error in {TIMEOUT, HEARTBEAT_TIMEOUT} else "Failed"
            details = {**events.common(integration), "error": failure.error, "cause": failure.cause}
            self._record(strand, *events.name(outcome), details)
            raise
        finally:
            if visit.token:
                self._integrations.tokens.pop(visit.token, None)
        self._record(strand, *events.name("Succeeded"), {**events.common(integration), **self._text("output", result)})
        return self._leave(visit, state, state.get("Next"), result)

    def _seconds(self, visit: Visit, bindings: Mapping[str, Any], name: str) -> float | None:
        if name not in visit.state:
            return None
        value = self._fill(visit, visit.state[name], bindings, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise self._wrong_type(visit, name, "a positive number is wanted")
        return float(value)


_TYPES: dict[str, Callable[[Interpreter, Strand, Visit], Generator[Effect, Any, Step]]] = {
    "Pass": Interpreter._pass,
    "Succeed": Interpreter._succeed,
    "Fail": Interpreter._fail,
    "Choice": Interpreter._choice,
    "Wait": Interpreter._wait,
    "Parallel": Interpreter._parallel,
    "Map": Interpreter._map,
    "Task": Interpreter._task,
}


def dump(value: Any) -> str:
    """Compact JSON, as states pass it on."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def timestamp(moment: datetime) -> str:
    """As in the context object: 2026-11-23T09:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
