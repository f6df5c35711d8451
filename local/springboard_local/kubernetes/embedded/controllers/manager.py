"""One queue for all controllers of a cluster, on the event loop and the virtual clock."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from springboard_local.kubernetes.embedded.errors import ApiError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from springboard_local.clock import Clock, Hold, Timer
    from springboard_local.kubernetes.embedded.store import Change, Store

log = logging.getLogger(__name__)

# What a controller is asked to look at: namespace and name.
type Item = tuple[str, str]

_BATCH = 25
_RETRY_SECONDS = 2.0
# Virtual moments are computed with floats: a deadline this near has come.
TICK = 0.001


class Controller(Protocol):
    """Brings one kind of thing to where it should be, whatever happened before."""

    def items(self, change: Change) -> Iterable[Item]:
        """What to look at again after a change."""

    def reconcile(self, namespace: str, name: str) -> None:
        """Look at one thing."""


class Manager:
    """Runs controllers until nothing is left to do; a manual clock stands still meanwhile."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._controllers: list[Controller] = []
        self._queue: dict[tuple[Controller, Item], None] = {}
        self._hold: Hold | None = None
        self._timers: dict[int, Timer] = {}
        self._stopped = False
        self._stop_listening = store.listen(self._changed)

    def add(self, controller: Controller) -> None:
        """Let a controller take part."""
        self._controllers.append(controller)

    def now(self) -> float:
        """The virtual moment in seconds."""
        return self._clock.now().timestamp()

    def enqueue(self, controller: Controller, namespace: str, name: str) -> None:
        """Look at something soon."""
        if self._stopped:
            return
        self._queue[controller, (namespace, name)] = None
        if self._hold is None:
            self._hold = self._clock.hold()
            self._loop.call_soon(self._work)

    def later(self, controller: Controller, namespace: str, name: str, seconds: float) -> Timer:
        """Look at something after virtual `seconds`."""

        def due() -> None:
            # On the clock's thread: hold it until the loop has taken the item over.
            hold = self._clock.hold()
            try:
                self._loop.call_soon_threadsafe(arrive, hold)
            except RuntimeError:  # the loop has ended
                hold.release()

        def arrive(hold: Hold) -> None:
            self._timers.pop(id(timer), None)
            if not timer.cancelled:
                self.enqueue(controller, namespace, name)
            hold.release()

        timer = self._clock.call_later(seconds, due)
        self._timers[id(timer)] = timer
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget a deadline."""
        if timer is not None:
            timer.cancel()
            self._timers.pop(id(timer), None)

    def stop(self) -> None:
        """Do nothing more."""
        self._stopped = True
        self._stop_listening()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        self._release()

    def _changed(self, change: Change) -> None:
        for controller in self._controllers:
            for namespace, name in controller.items(change):
                self.enqueue(controller, namespace, name)

    def _work(self) -> None:
        """A few items, then requests get their turn."""
        for _ in range(_BATCH):
            if not self._queue:
                self._release()
                return
            controller, item = next(iter(self._queue))
            del self._queue[controller, item]
            self._reconcile(controller, item)
        self._loop.call_soon(self._work)

    def _reconcile(self, controller: Controller, item: Item) -> None:
        try:
            controller.reconcile(*item)
        except ApiError as error:
            log.debug("%s %s: %s", type(controller).__name__, item, error.message)
            if error.code != 404:
                self.later(controller, *item, _RETRY_SECONDS)
        except Exception:  # one broken object must not stop the controllers of all others
            log.exception("%s failed on %s", type(controller).__name__, item)

    def _release(self) -> None:
        hold, self._hold = self._hold, None
        if hold:
            hold.release()
