"""How executions run without a thread each: states are generators that yield what they wait for.

A *strand* is one line of control: the states of an execution, of a Parallel's branch or of a Map's
iteration. It runs on a thread of the pool until its generator yields an effect. Waiting costs no thread:
a timer, a task token or the last branch resumes the strand later. Each wait has a ticket, and the first to
resume with the present ticket wins, so that a time-out and a late answer cannot both go on.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from springboard_local.clock import ScaledClock
from springboard_local.services.stepfunctions.failures import HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT, StateFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from springboard_local.clock import Clock, Timer

log = logging.getLogger(__name__)

# A Task blocks its thread while its call lasts. Functions may start executions that call functions, so the
# pool is far larger than the number of workers, and idle threads are used again before new ones are made.
_THREADS = 400

type Program = Generator[Effect, Any, Any]


class Stopped(Exception):  # noqa: N818 - not an error: nobody waits for this strand any more
    """Raised inside a strand that was cancelled while it ran."""


@dataclass(frozen=True)
class Sleep:
    """Virtual seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A call that blocks; `timeout` in real seconds."""

    work: Callable[[], Any]
    timeout: float | None = None


@dataclass(frozen=True)
class Await:
    """Something outside answers a promise; `timeout` and `heartbeat` in virtual seconds."""

    promise: Promise
    timeout: float | None = None
    heartbeat: float | None = None


@dataclass(frozen=True)
class Fork:
    """Strands run side by side, `limit` of them at once; their results, or the first failure."""

    programs: list[Callable[[Strand], Program]]
    limit: int
    ended: Callable[[Strand, int, StateFailure | None], None] = field(default=lambda *_: None)
    aborted: Callable[[Strand], None] = field(default=lambda _: None)


type Effect = Sleep | Call | Await | Fork


class Promise:
    """An answer that may come before anybody waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: tuple[Any, StateFailure | None] | None = None
        self._waiter: Callable[[Any, StateFailure | None], bool] | None = None
        self._beat: Callable[[], None] | None = None
        self.closed = False

    def answer(self, value: Any = None, failure: StateFailure | None = None) -> bool:
        """Give the answer; False if it came too late."""
        with self._lock:
            if self.closed or self._answer is not None:
                return False
            self._answer = value, failure
            waiter = self._waiter
        return waiter(value, failure) if waiter else True

    def heartbeat(self) -> bool:
        """Say that the work goes on; False if it is too late for that."""
        with self._lock:
            if self.closed or self._answer is not None:
                return False
            beat = self._beat
        if beat:
            beat()
        return True

    def wait(self, waiter: Callable[[Any, StateFailure | None], bool], beat: Callable[[], None]) -> None:
        """Call `waiter` with the answer, at once if it is there."""
        with self._lock:
            self._waiter, self._beat = waiter, beat
            answer = self._answer
        if answer:
            waiter(*answer)

    def close(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self.closed = True


class Engine:
    """Threads and clocks that all executions share."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        # Time-outs of calls are real: they bound real work.
        self.real = ScaledClock()
        self._pool = ThreadPoolExecutor(_THREADS, "states")
        self._closed = False

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread; the clock stands still until it has ended."""
        hold = self.clock.hold()

        def run() -> None:
            with self.clock.working():
                hold.release()
                if self._closed:
                    return
                try:
                    work()
                except Exception:
                    log.exception("a strand broke")

        try:
            self._pool.submit(run)
        except RuntimeError:  # the cloud is going down
            hold.release()

    def close(self) -> None:
        """Run nothing more."""
        self._closed = True
        self.real.close()
        # What is queued still runs, to let go of its hold on the clock.
        self._pool.shutdown(wait=False)


class Strand:
    """One line of control of an execution."""

    def __init__(
        self,
        engine: Engine,
        lock: threading.RLock,
        program: Callable[[Strand], Program],
        ended: Callable[[Any, StateFailure | None], None],
        previous: int = 0,
    ) -> None:
        """`lock` is the execution's; `previous` the event that led here; `ended` gets result or failure."""
        self.previous = previous
        self.state: str | None = None  # type of the state that it is in, for the event of an abort
        self.cancelled = False
        self.over = False
        self._engine = engine
        self._lock = lock
        self._program = program(self)
        self._ended = ended
        self._ticket = 0
        self._clean: list[Callable[[], None]] = []
        self._children: list[Strand] = []

    def start(self) -> None:
        """Begin, on a thread of the pool."""
        self._engine.submit(lambda: self._run(None, None))

    def cancel(self, aborted: Callable[[Strand], None] = lambda _: None) -> None:
        """Go no further; `aborted` is called for each strand that was in a state, innermost first."""
        with self._lock:
            if self.cancelled or self.over:
                return
            self.cancelled = True
            self._ticket += 1
            clean, self._clean = self._clean, []
            for child in self._children:
                child.cancel(aborted)
            if self.state:
                aborted(self)
        for action in clean:
            action()

    def resume(self, ticket: int, value: Any = None, failure: StateFailure | None = None) -> bool:
        """Go on with what was waited for; False if somebody else was first."""
        if not self._claim(ticket):
            return False
        self._engine.submit(lambda: self._run(value, failure))
        return True

    def _claim(self, ticket: int) -> bool:
        with self._lock:
            if self.cancelled or ticket != self._ticket:
                return False
            self._ticket += 1
            clean, self._clean = self._clean, []
        for action in clean:
            action()
        return True

    def _run(self, value: Any, failure: StateFailure | None) -> None:
        while (effect := self._advance(value, failure)) is not None and not self.cancelled:
            if not isinstance(effect, Call):
                self._wait(effect)
                return
            ticket = self._ticket
            value, failure = self._call(effect, ticket)
            if not self._claim(ticket):
                return

    def _advance(self, value: Any, failure: StateFailure | None) -> Effect | None:
        """Run to the next effect; None once there is nothing more to run."""
        try:
            return self._program.throw(failure) if failure else self._program.send(value)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except StateFailure as error:
            self._finish(None, error)
        except Stopped:
            pass
        except Exception as error:
            log.exception("a state machine broke the interpreter")
            self._finish(None, StateFailure(RUNTIME, f"{type(error).__name__}: {error}"))
        return None

    def _finish(self, value: Any, failure: StateFailure | None) -> None:
        with self._lock:
            if self.cancelled or self.over:
                return
            self.over = True
            self._ticket += 1
        self._ended(value, failure)

    def _call(self, call: Call, ticket: int) -> tuple[Any, StateFailure | None]:
        if call.timeout is not None:
            timer = self._engine.real.call_later(call.timeout, lambda: self._time_out(ticket))
            self._clean.append(timer.cancel)
        try:
            return call.work(), None
        except StateFailure as failure:
            return None, failure
        except Exception as error:
            log.exception("a task broke")
            return None, StateFailure(RUNTIME, f"{type(error).__name__}: {error}")

    def _time_out(self, ticket: int, error: str = TIMEOUT) -> None:
        self.resume(ticket, failure=StateFailure(error))

    def _wait(self, effect: Sleep | Await | Fork) -> None:
        ticket = self._ticket
        match effect:
            case Sleep(seconds):
                self._after(seconds, lambda: self.resume(ticket))
            case Await():
                self._await(effect, ticket)
            case Fork():
                _Join(self, effect, ticket).start()

    def _after(self, seconds: float, action: Callable[[], Any]) -> Timer:
        timer = self._engine.clock.call_later(max(0.0, seconds), action)
        self._clean.append(timer.cancel)
        return timer

    def _await(self, effect: Await, ticket: int) -> None:
        promise = effect.promise
        self._clean.append(promise.close)
        if effect.timeout is not None:
            self._after(effect.timeout, lambda: self._time_out(ticket))
        heartbeat = effect.heartbeat
        timers: list[Timer] = []

        def beat() -> None:
            if heartbeat is None:
                return
            while timers:
                timers.pop().cancel()
            with self._lock:
                if not self.cancelled and ticket == self._ticket:
                    timers.append(self._after(heartbeat, lambda: self._time_out(ticket, HEARTBEAT_TIMEOUT)))

        beat()
        promise.wait(lambda value, failure: self.resume(ticket, value, failure), beat)

    def fork(self, program: Callable[[Strand], Program], ended: Callable[[Any, StateFailure | None], None]) -> Strand:
        """A child that ends with this strand."""
        child = Strand(self._engine, self._lock, program, ended, self.previous)
        with self._lock:
            self._children = [strand for strand in self._children if not (strand.cancelled or strand.over)]
            self._children.append(child)
        return child


class _Join:
    """Starts the strands of a Fork and waits for them."""

    def __init__(self, parent: Strand, fork: Fork, ticket: int) -> None:
        self._parent = parent
        self._fork = fork
        self._ticket = ticket
        self._results: list[Any] = [None] * len(fork.programs)
        self._left = len(fork.programs)
        self._next = 0
        self._failed = False
        self._strands: dict[int, Strand] = {}

    def start(self) -> None:
        """Start as many as may run at once."""
        if not self._left:
            self._parent.resume(self._ticket, [])
            return
        for _ in range(min(self._fork.limit or self._left, self._left)):
            self._start_next()

    def _start_next(self) -> None:
        with self._parent._lock:
            number = self._next
            if number >= len(self._fork.programs) or self._failed or self._parent.cancelled:
                return
            self._next += 1
            strand = self._parent.fork(
                self._fork.programs[number], lambda value, failure: self._ended(number, value, failure)
            )
            self._strands[number] = strand
        strand.start()

    def _ended(self, number: int, value: Any, failure: StateFailure | None) -> None:
        with self._parent._lock:
            if self._failed or self._parent.cancelled:
                return
            strand = self._strands.pop(number)
            self._fork.ended(strand, number, failure)
            self._parent.previous = max(self._parent.previous, strand.previous)
            if failure:
                self._failed = True
                for sibling in self._strands.values():
                    sibling.cancel(self._fork.aborted)
            else:
                self._results[number] = value
                self._left -= 1
        if failure:
            self._parent.resume(self._ticket, failure=failure)
        elif self._left == 0:
            self._parent.resume(self._ticket, self._results)
        else:
            self._start_next()
