"""Who runs what: workers are kept warm, capped in number, and shared fairly between functions."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from springboard_local.services.lambda_.errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

    from springboard_local.services.lambda_.configuration import Configuration

_PATIENCE = 60.0  # real seconds that an invocation waits for a worker of a full pool
_KEYS_LAST = 3_600.0  # seconds of a role session
_MARGIN = 300.0


class Runner(Protocol):
    """A worker, in a process of its own or in this one."""

    configuration: Configuration
    access_key: str
    last_used: float
    started: float
    dead: threading.Event

    def invoke(self, payload: bytes, request_id: str) -> tuple[bytes, str | None]:
        """Run one invocation; the answer, and the kind of error."""

    def kill(self) -> None:
        """End it now."""

    def close(self) -> None:
        """End it and wait for the end."""


class Pool:
    """All workers of one cloud."""

    def __init__(self, make: Callable[[Configuration], Runner], limit: int) -> None:
        self._make = make
        self._limit = limit
        self._changed = threading.Condition()
        self._idle: list[Runner] = []
        self._busy: list[Runner] = []
        self._starting: Counter[str] = Counter()  # by function ARN
        self._fingerprints: dict[str, str] = {}
        self._closed = False

    def run(self, configuration: Configuration, payload: bytes, request_id: str) -> tuple[bytes, str | None, Runner]:
        """Run one invocation on a worker of its own; Throttled when there is no way to have one."""
        worker = self._acquire(configuration)
        try:
            answer, error = worker.invoke(payload, request_id)
        finally:
            self._release(worker)
        return answer, error, worker

    def worker_of(self, access_key: str) -> Runner | None:
        """The busy worker that has these credentials."""
        with self._changed:
            return next((worker for worker in self._busy if worker.access_key == access_key), None)

    def retire(self, arn: str) -> None:
        """The function is gone: no worker of it stays."""
        with self._changed:
            self._fingerprints.pop(arn, None)
            doomed = self._take_outdated()
        _end(doomed)

    def close(self) -> None:
        """End all workers, and wait for their ends."""
        with self._changed:
            self._closed = True
            workers = self._idle + self._busy
            self._idle.clear()
            self._changed.notify_all()
        _end(workers)
        for worker in workers:
            worker.close()

    def _acquire(self, configuration: Configuration) -> Runner:
        limit = time.monotonic() + _PATIENCE
        doomed: list[Runner] = []
        try:
            with self._changed:
                self._fingerprints[configuration.arn] = configuration.fingerprint
                doomed += self._take_outdated()
                while not (worker := self._take_idle(configuration)):
                    self._check(configuration)
                    if self._count() < self._limit:
                        break
                    if evicted := self._take_evictable():
                        doomed.append(evicted)
                        break
                    if not self._changed.wait(max(0.0, limit - time.monotonic())):
                        raise Throttled("ConcurrentInvocationLimitExceeded")
                if worker:
                    return worker
                self._starting[configuration.arn] += 1
        finally:
            _end(doomed)
        return self._start(configuration)

    def _start(self, configuration: Configuration) -> Runner:
        worker: Runner | None = None
        try:
            worker = self._make(configuration)
        finally:
            with self._changed:
                self._starting[configuration.arn] -= 1
                if worker:
                    self._busy.append(worker)
                self._changed.notify_all()
        if self._closed:
            worker.kill()
        return worker

    def _release(self, worker: Runner) -> None:
        with self._changed:
            self._busy.remove(worker)
            keep = self._is_current(worker) and not self._closed
            if keep:
                self._idle.append(worker)
            self._changed.notify_all()
        if not keep:
            _end([worker])

    def _check(self, configuration: Configuration) -> None:
        if self._closed:
            raise Throttled("CallerRateLimitExceeded")
        reserved = configuration.reserved_concurrency
        if reserved is None:
            return
        busy = sum(worker.configuration.name == configuration.name for worker in self._busy)
        if busy + self._starting[configuration.arn] >= reserved:
            raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")

    def _take_idle(self, configuration: Configuration) -> Runner | None:
        """The most recently used, so that the others can grow old."""
        for worker in reversed(self._idle):
            if worker.configuration.arn == configuration.arn:
                self._check(configuration)
                self._idle.remove(worker)
                self._busy.append(worker)
                return worker
        return None

    def _take_outdated(self) -> list[Runner]:
        outdated = [worker for worker in self._idle if not self._is_current(worker)]
        self._idle = [worker for worker in self._idle if worker not in outdated]
        return outdated

    def _take_evictable(self) -> Runner | None:
        """The least recently used worker of the function that keeps the most of them."""
        if not self._idle:
            return None
        held = Counter(worker.configuration.arn for worker in self._idle)
        evicted = min(self._idle, key=lambda worker: (-held[worker.configuration.arn], worker.last_used))
        self._idle.remove(evicted)
        return evicted

    def _is_current(self, worker: Runner) -> bool:
        """Alive, of the function's present code and settings, and with keys that outlast an invocation."""
        configuration = worker.configuration
        left = worker.started + _KEYS_LAST - _MARGIN - configuration.timeout - time.monotonic()
        same = self._fingerprints.get(configuration.arn) == configuration.fingerprint
        return same and left > 0 and not worker.dead.is_set()

    def _count(self) -> int:
        return len(self._idle) + len(self._busy) + self._starting.total()


def _end(workers: list[Runner]) -> None:
    for worker in workers:
        worker.kill()
