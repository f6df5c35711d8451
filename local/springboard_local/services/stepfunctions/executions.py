"""One execution: its history, its end, and what it leaves behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from springboard_local.services.stepfunctions.engine import Stopped, Strand
from springboard_local.services.stepfunctions.failures import RUNTIME, StateFailure
from springboard_local.services.stepfunctions.interpreter import Interpreter, Scope, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from springboard_local.clock import Timer
    from springboard_local.services.stepfunctions.engine import Engine
    from springboard_local.services.stepfunctions.expressions import Evaluator
    from springboard_local.services.stepfunctions.integrations import Integrations

HISTORY_MOST = 25_000
REDRIVABLE = {"FAILED", "ABORTED", "TIMED_OUT"}


class Execution:
    """A running or ended execution of one revision of a machine."""

    def __init__(
        self,
        engine: Engine,
        *,
        arn: str,
        name: str,
        machine_arn: str,
        machine_name: str,
        express: bool,
        definition: Mapping[str, Any],
        definition_text: str,
        role: str,
        revision: str,
        input: Any,  # noqa: A002 - the API's word
        input_text: str,
        version_arn: str | None,
        alias_arn: str | None,
        changed: Callable[[Execution], None],
    ) -> None:
        """`changed` is called after each change of status, with no lock held."""
        self.arn = arn
        self.name = name
        self.machine_arn = machine_arn
        self.machine_name = machine_name
        self.express = express
        self.definition = definition
        self.definition_text = definition_text
        self.role = role
        self.revision = revision
        self.input = input
        self.input_text = input_text
        self.version_arn = version_arn
        self.alias_arn = alias_arn
        self.status = "RUNNING"
        self.start = engine.clock.now()
        self.stop: datetime | None = None
        self.output_text: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.redrives = 0
        self.redriven: datetime | None = None
        self.ended = threading.Event()
        self.history: list[dict[str, Any]] = []
        self.strand: Strand | None = None
        self._engine = engine
        self._lock = threading.RLock()
        self._changed = changed
        self._watchers: list[Callable[[], None]] = []
        self._timer: Timer | None = None
        self._resume: tuple[str, Any, dict[str, Any]] | None = None

    def now(self) -> datetime:
        """The virtual moment."""
        return self._engine.clock.now()

    def begin(self, evaluator: Evaluator, integrations: Integrations, seed: int) -> None:
        """Start running."""
        self._interpreter = Interpreter(self, evaluator, integrations, seed)
        details: dict[str, Any] = {"input": self.input_text, "inputDetails": {"truncated": False}, "roleArn": self.role}
        if self.version_arn:
            details["stateMachineVersionArn"] = self.version_arn
        if self.alias_arn:
            details["stateMachineAliasArn"] = self.alias_arn
        self._append(0, "ExecutionStarted", "executionStarted", details)
        self._go(self.definition, self.input, {})

    def _go(self, block: Mapping[str, Any], value: Any, variables: Mapping[str, Any]) -> None:
        scope = Scope()
        scope.assign(variables)
        interpreter = self._interpreter
        self.strand = Strand(
            self._engine,
            self._lock,
            lambda strand: interpreter.block(strand, block, value, scope),
            self._finished,
            len(self.history),
        )
        if seconds := self.definition.get("TimeoutSeconds"):
            self._timer = self._engine.clock.call_later(seconds, self._time_out)
        self._changed(self)
        self.strand.start()

    def watch(self, ended: Callable[[], None]) -> None:
        """Call back, on a thread of the engine, once the execution has ended."""
        with self._lock:
            if self.status == "RUNNING":
                self._watchers.append(ended)
                return
        self._engine.submit(ended)

    # history

    def record(self, strand: Strand, kind: str, details: str | None, values: Mapping[str, Any]) -> int:
        """Add an event of a strand; raises Stopped when nobody wants it any more."""
        with self._lock:
            if strand.cancelled or self.status != "RUNNING":
                raise Stopped
            if len(self.history) >= HISTORY_MOST - 1:
                raise StateFailure(
                    RUNTIME, f"The execution reached the maximum number of history events ({HISTORY_MOST})."
                )
            strand.previous = self._append(strand.previous, kind, details, values)
            return strand.previous

    def record_abort(self, strand: Strand, kind: str) -> None:
        """Add the event of a state that was cut short."""
        with self._lock:
            if len(self.history) < HISTORY_MOST - 1:
                strand.previous = self._append(strand.previous, kind, None, {})

    def _append(self, previous: int, kind: str, details: str | None, values: Mapping[str, Any]) -> int:
        event: dict[str, Any] = {
            "timestamp": self.now(),
            "type": kind,
            "id": len(self.history) + 1,
            "previousEventId": previous,
        }
        if details:
            event[f"{details}EventDetails"] = dict(values)
        if not self.express:
            self.history.append(event)
        return len(self.history)

    def remember(self, state: str, value: Any, variables: dict[str, Any]) -> None:
        """Keep where the machine is, so that a redrive can go on there."""
        self._resume = state, value, variables

    # ends

    def _finished(self, value: Any, failure: StateFailure | None) -> None:
        if failure is None:
            self._end("SUCCEEDED", output=dump(value))
        else:
            self._end("FAILED", error=failure.error, cause=failure.cause)

    def _time_out(self) -> None:
        def end() -> None:
            self._end("TIMED_OUT")

        self._engine.submit(end)  # the clock's own thread must not do the work of an end

    def abort(self, error: str | None, cause: str | None) -> bool:
        """End at once; False if it has ended already. Functions that run go on, as on AWS."""
        return self._end("ABORTED", error=error, cause=cause)

    def _end(self, status: str, output: str | None = None, error: str | None = None, cause: str | None = None) -> bool:
        with self._lock:
            if self.status != "RUNNING":
                return False
            strand = self.strand
            if strand is not None and status != "SUCCEEDED":
                strand.cancel(lambda _: None)
            self.status, self.stop = status, self.now()
            self.output_text, self.error, self.cause = output, error, cause
            kind = {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
            details = {"output": output, "outputDetails": {"truncated": False}, "error": error, "cause": cause}
            values = {key: item for key, item in details.items() if item is not None}
            if output is None:
                values.pop("outputDetails")
            self._append(strand.previous if strand else 0, f"Execution{kind}", f"execution{kind}", values)
            timer, self._timer = self._timer, None
            watchers, self._watchers = self._watchers, []
        if timer:
            timer.cancel()
        self._changed(self)
        self.ended.set()
        for watcher in watchers:
            self._engine.submit(watcher)
        return True

    def redrive(self) -> datetime | None:
        """Go on at the state that did not succeed; None if the execution cannot."""
        with self._lock:
            if self.status not in REDRIVABLE or self.express or self._resume is None:
                return None
            name, value, variables = self._resume
            self.status, self.stop, self.error, self.cause = "RUNNING", None, None, None
            self.redrives += 1
            self.redriven = self.now()
            self.ended.clear()
            self._append(len(self.history), "ExecutionRedriven", "executionRedriven", {"redriveCount": self.redrives})
        self._interpreter.redriven(self.redrives)
        self._go({**self.definition, "StartAt": name}, value, variables)
        return self.redriven
