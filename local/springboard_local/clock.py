"""One clock for the whole local cloud.

What AWS takes its time over (lifecycles, Wait states, schedules) runs on *virtual* seconds, so that a
nine-minute control plane takes nine seconds at speed 60 and no time at all in a test. What must agree
with the outside (signatures, tokens, certificates, Lambda time-outs, Kubernetes timestamps) stays real
and does not come from here.

`ScaledClock` moves by itself; speed 1 is real time. `ManualClock` moves only when a test says so, and
then only while nobody is at work: whoever does something on behalf of the cloud in a thread of its own
does it under `working()`, and whoever hands work to another thread takes a `hold()` before and releases
it after, so that the clock never runs ahead of work that has been asked for.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

log = logging.getLogger(__name__)


class Hold:
    """Work that was asked for and has not ended yet; `release` is idempotent."""

    def __init__(self, released: Callable[[], None]) -> None:
        self._released: Callable[[], None] | None = released
        self._lock = threading.Lock()

    def release(self) -> None:
        """Say that the work has ended."""
        with self._lock:
            released, self._released = self._released, None
        if released:
            released()


@dataclass(order=True)
class Timer:
    """A callback due at a virtual moment; `cancel` keeps it from running."""

    due: float
    number: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Drop the callback; one that runs already is not stopped."""
        self.cancelled = True


class Clock(Protocol):
    """What a service of the local cloud may ask of time."""

    @property
    def speed(self) -> float:
        """Virtual seconds per real second; 0 on a clock that does not move by itself."""

    def now(self) -> datetime:
        """The virtual moment, in UTC."""

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        """Block for virtual `seconds`; False if `cancelled` was set before they were over."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` on the clock's own thread after virtual `seconds`; it must not block."""

    def working(self) -> AbstractContextManager[None]:
        """Context manager: this thread is at work for the cloud, so a manual clock stands still."""

    def hold(self) -> Hold:
        """As `working`, for work that another thread will finish."""


class _Timers:
    """A heap of timers, shared by both clocks."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._numbers = itertools.count()

    def add(self, due: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(due, next(self._numbers), callback)
        heapq.heappush(self._heap, timer)
        return timer

    def next_due(self) -> float | None:
        while self._heap and self._heap[0].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def pop_due(self, now: float) -> Timer | None:
        due = self.next_due()
        return heapq.heappop(self._heap) if due is not None and due <= now else None


def _run(timer: Timer) -> None:
    try:
        if not timer.cancelled:
            timer.callback()
    except Exception:  # one broken lifecycle must not stop the clock for all others
        log.exception("a timer failed")


class ScaledClock:
    """A clock that moves `speed` virtual seconds in each real one."""

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        if speed <= 0:
            message = f"speed must be above 0, not {speed}"
            raise ValueError(message)
        self._speed = speed
        self._changed = threading.Condition()
        self._base_virtual = (start or datetime.now(UTC)).timestamp()
        self._base_real = time.monotonic()
        self._timers = _Timers()
        self._closed = False
        self._thread = threading.Thread(target=self._tick, name="clock", daemon=True)
        self._thread.start()

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._speed

    def set_speed(self, speed: float) -> None:
        """Go on from the present moment at another speed."""
        if speed <= 0:
            message = f"speed must be above 0, not {speed}"
            raise ValueError(message)
        with self._changed:
            self._base_virtual, self._base_real = self._virtual(), time.monotonic()
            self._speed = speed
            self._changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Jump ahead by virtual `seconds`; what falls due meanwhile runs at once, in order."""
        with self._changed:
            self._base_virtual += seconds
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the clock's thread; sleepers go on at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _virtual(self) -> float:
        return self._base_virtual + (time.monotonic() - self._base_real) * self._speed

    def now(self) -> datetime:
        """The virtual moment, in UTC."""
        with self._changed:
            return datetime.fromtimestamp(self._virtual(), UTC)

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        """Block for virtual `seconds`; False if `cancelled` was set before they were over."""
        with self._changed:
            due = self._virtual() + seconds
            while not self._closed and (left := due - self._virtual()) > 0:
                if cancelled is not None and cancelled.is_set():
                    return False
                wait = left / self._speed
                self._changed.wait(wait if cancelled is None else min(wait, 0.05))
        return not (cancelled is not None and cancelled.is_set())

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` on the clock's thread after virtual `seconds`."""
        with self._changed:
            timer = self._timers.add(self._virtual() + seconds, callback)
            self._changed.notify_all()
        return timer

    @contextmanager
    def working(self) -> Iterator[None]:
        """Nothing to do: this clock moves whatever happens."""
        yield

    def hold(self) -> Hold:
        """Nothing to do: this clock moves whatever happens."""
        return Hold(lambda: None)

    def _tick(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                timer = self._timers.pop_due(self._virtual())
                if timer is None:
                    due = self._timers.next_due()
                    self._changed.wait(None if due is None else max(0.0, (due - self._virtual()) / self._speed))
                    continue
            _run(timer)


class ManualClock:
    """A clock that a test moves; it stops at each deadline until all work is done."""

    def __init__(self, start: datetime | None = None, patience: float = 60.0) -> None:
        """`patience`: real seconds to wait for busy threads before it says who is stuck."""
        self._now = (start or datetime(2026, 11, 23, 9, 0, tzinfo=UTC)).timestamp()
        self._changed = threading.Condition()
        self._timers = _Timers()
        self._busy = 0
        self._sleepers: dict[int, float] = {}
        self._numbers = itertools.count()
        self._patience = patience
        self._mine = threading.local()
        self._closed = False

    @property
    def speed(self) -> float:
        """0: this clock does not move by itself."""
        return 0.0

    def close(self) -> None:
        """Let every sleeper go on at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def now(self) -> datetime:
        """The virtual moment, in UTC."""
        with self._changed:
            return datetime.fromtimestamp(self._now, UTC)

    def sleep(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        """Block until the test has moved the clock by `seconds`; False if `cancelled` came first."""
        depth = getattr(self._mine, "depth", 0)
        number = next(self._numbers)
        with self._changed:
            due = self._now + seconds
            self._sleepers[number] = due
            self._busy -= 1 if depth else 0
            self._changed.notify_all()
            try:
                while not self._closed and self._now < due:
                    if cancelled is not None and cancelled.is_set():
                        return False
                    self._changed.wait(None if cancelled is None else 0.02)
            finally:
                del self._sleepers[number]
                self._busy += 1 if depth else 0
                self._changed.notify_all()
        return not (cancelled is not None and cancelled.is_set())

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` in the advancing thread once the test has moved the clock that far."""
        with self._changed:
            timer = self._timers.add(self._now + seconds, callback)
            self._changed.notify_all()
        return timer

    @contextmanager
    def working(self) -> Iterator[None]:
        """This thread is at work: the clock stands still until it leaves or sleeps. May be nested."""
        depth = getattr(self._mine, "depth", 0)
        self._mine.depth = depth + 1
        if depth == 0:
            with self._changed:
                self._busy += 1
        try:
            yield
        finally:
            self._mine.depth = depth
            if depth == 0:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def hold(self) -> Hold:
        """The clock stands still until the hold is released, by whichever thread."""
        with self._changed:
            self._busy += 1

        def released() -> None:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

        return Hold(released)

    def settle(self) -> None:
        """Wait, in real time, until nobody is at work; what is due at this moment has then run.

        Raises TimeoutError when somebody is still at work after `patience` seconds.
        """
        while True:
            with self._changed:
                # A sleeper whose moment has come is about to work: it counts as busy.
                ready = self._changed.wait_for(
                    lambda: self._busy == 0 and all(due > self._now for due in self._sleepers.values()),
                    self._patience,
                )
                if not ready:
                    message = f"{self._busy} still at work after {self._patience} s at {self._now}"
                    raise TimeoutError(message)
                timer = self._timers.pop_due(self._now)
            if timer is None:
                return
            _run(timer)

    def advance(self, seconds: float) -> None:
        """Move by virtual `seconds`, from deadline to deadline, everything settled at each."""
        with self._changed:
            target = self._now + seconds
        while self._step(target):
            pass

    def run_until(self, done: Callable[[], bool], limit: float = 86_400) -> None:
        """Move from deadline to deadline until `done()`; TimeoutError past `limit` virtual seconds."""
        with self._changed:
            target = self._now + limit
        self.settle()
        while not done():
            if not self._step(target):
                message = f"not done after {limit} virtual seconds"
                raise TimeoutError(message)

    def _step(self, target: float) -> bool:
        """Move to the next deadline, at most to `target`; False once there."""
        self.settle()
        with self._changed:
            if self._now >= target:
                return False
            deadlines = [due for due in (self._timers.next_due(), *self._sleepers.values()) if due is not None]
            self._now = max(self._now, min([target, *deadlines]))
            self._changed.notify_all()
        self.settle()
        return True


def iso(moment: datetime) -> str:
    """`moment` in UTC as AWS writes it: 2026-11-23T09:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
