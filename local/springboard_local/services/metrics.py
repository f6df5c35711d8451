"""What the local services measure: the store behind CloudWatch, on the cloud's clock.

A *counted* metric has samples (executions that failed). A *level* has a value until it changes (messages in a
queue, healthy targets) and gives one sample a minute, as the services of AWS report them. An *age* is a level that
grows by itself (of the oldest message). Services call `count`, `level` and `age`; without a running cloud they do
nothing.
"""

from __future__ import annotations

import json
import math
import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from springboard_local.clock import Clock
    from springboard_local.cloud import Cloud

MINUTE = 60
# CloudWatch keeps one-minute data for 15 days:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html, read 2026-11-26.
_KEPT_MINUTES = 15 * 24 * 60
_MOST_VALUES = 1_000  # of one minute; later ones of a busy minute replace earlier ones at the same weight

type Key = tuple[str, str, tuple[tuple[str, str], ...]]


def key(namespace: str, name: str, dimensions: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> Key:
    """A metric's identity: its dimensions belong to it, in no order."""
    return namespace, name, tuple(sorted(dict(dimensions).items()))


@dataclass
class _Counted:
    minutes: dict[int, list[tuple[float, float]]] = field(default_factory=dict)  # minute: (value, how often)
    unit: str = "None"


@dataclass
class _Level:
    times: list[float] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)  # None: not reported from then on
    unit: str = "Count"
    age: bool = False  # values are moments, seconds since 1970, that it counts from; infinity: 0 seconds


class Store:
    """All metrics of one cloud."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._counted: dict[Key, _Counted] = {}
        self._levels: dict[Key, _Level] = {}
        self._listener: Callable[[Key], None] = lambda _: None

    def listen(self, listener: Callable[[Key], None]) -> None:
        """Tell `listener`, in place of the one before, of each metric that has got data."""
        self._listener = listener

    def clear(self) -> None:
        """Forget all that was measured."""
        with self._lock:
            self._counted.clear()
            self._levels.clear()

    def count(self, metric: Key, value: float, weight: float = 1, unit: str = "None", at: float | None = None) -> None:
        """Add a sample, now or at a moment (seconds since 1970)."""
        minute = int((self._clock.now().timestamp() if at is None else at) // MINUTE)
        with self._lock:
            found = self._counted.setdefault(metric, _Counted())
            found.unit = unit
            values = found.minutes.setdefault(minute, [])
            values.append((value, weight))
            if len(values) > _MOST_VALUES:
                values[:] = [(total / number, number) for total, number in [_summed(values)]]
            for old in [each for each in found.minutes if each < minute - _KEPT_MINUTES]:
                del found.minutes[old]
        self._listener(metric)

    def level(self, metric: Key, value: float | None, unit: str = "Count") -> None:
        """Say what a level is from now on; None ends its reports."""
        now = self._clock.now().timestamp()
        with self._lock:
            found = self._levels.setdefault(metric, _Level(unit=unit))
            if (found.values[-1] if found.values else None) == value:
                return
            found.times.append(now)
            found.values.append(value)
            del found.times[:-_KEPT_MINUTES], found.values[:-_KEPT_MINUTES]
        self._listener(metric)

    def age(self, metric: Key, since: float | None) -> None:
        """Say since when (seconds since 1970) something is there; None: nothing is, and its age is 0."""
        with self._lock:
            self._levels.setdefault(metric, _Level(unit="Seconds", age=True))
        self.level(metric, math.inf if since is None else since)

    def end(self, metric: Key) -> None:
        """A level is reported no longer; a counted metric just has no more samples."""
        with self._lock:
            known = metric in self._levels
        if known:
            self.level(metric, None)

    def samples(self, metric: Key, start: float, end: float) -> list[tuple[float, float]]:
        """(value, how often) of what was measured from `start` to before `end`, seconds since 1970."""
        with self._lock:
            if counted := self._counted.get(metric):
                first, last = int(start // MINUTE), math.ceil(end / MINUTE)
                return [each for minute in range(first, last) for each in counted.minutes.get(minute, ())]
            found = self._levels.get(metric)
            return list(_at_minutes(found, start, min(end, self._clock.now().timestamp()))) if found else []

    def moving(self, metric: Key, start: float) -> bool:
        """Whether anything was measured, or a level has changed, since `start`."""
        with self._lock:
            counted, found = self._counted.get(metric), self._levels.get(metric)
            if counted:
                return any(minute * MINUTE >= start for minute in counted.minutes)
            if not found or not found.times:
                return False
            grows = found.age and found.values[-1] not in {None, math.inf}
            return grows or found.times[-1] >= start

    def metrics(self) -> list[Key]:
        """All that have ever got data."""
        with self._lock:
            return sorted({*self._counted, *self._levels})

    def unit(self, metric: Key) -> str:
        """The unit that it is measured in."""
        found = self._counted.get(metric) or self._levels.get(metric)
        return found.unit if found else "None"


def _summed(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(value * weight for value, weight in values), sum(weight for _, weight in values)


def _at_minutes(level: _Level, start: float, end: float) -> Iterator[tuple[float, float]]:
    """A level's value at the end of each minute that has begun."""
    minute = start // MINUTE * MINUTE
    while minute < end:
        position = bisect_right(level.times, min(minute + MINUTE, end)) - 1
        value = level.values[position] if position >= 0 else None
        if value is not None:
            yield max(0.0, min(minute + MINUTE, end) - value) if level.age else value, 1
        minute += MINUTE


def statistic(name: str, samples: Sequence[tuple[float, float]]) -> float | None:
    """Sum, SampleCount, Average, Minimum, Maximum or a percentile (p95); None without a sample.

    Raises ValueError for another one.
    """
    if not samples:
        return None
    total, number = _summed(samples)
    values = [value for value, _ in samples]
    simple = {
        "Sum": total,
        "SampleCount": number,
        "Average": total / number,
        "Minimum": min(values),
        "Maximum": max(values),
    }
    if name in simple:
        return simple[name]
    if name.startswith("p"):
        return _percentile(float(name[1:]), samples)
    raise ValueError(f"{name} is no statistic of the local cloud")


def _percentile(rank: float, samples: Sequence[tuple[float, float]]) -> float:
    if not 0 <= rank <= 100:
        raise ValueError(f"p{rank:g} is no percentile")
    ordered = sorted(samples)
    wanted = rank / 100 * sum(weight for _, weight in ordered)
    seen = 0.0
    for value, weight in ordered:
        seen += weight
        if seen >= wanted:
            return value
    return ordered[-1][0]


class _Present:
    """The store of the cloud that runs; one at a time, as moto's backends are the process's."""

    store: Store | None = None


def install(cloud: Cloud) -> None:
    """Measure for `cloud`."""
    _Present.store = Store(cloud.clock)


def reset(_cloud: Cloud) -> None:
    """Forget all that was measured."""
    present().clear()


def close(_cloud: Cloud) -> None:
    """No cloud runs any more. Idempotent."""
    _Present.store = None


def present() -> Store:
    """The store of the cloud that runs; RuntimeError when none does."""
    if _Present.store is None:
        raise RuntimeError("no local cloud runs")
    return _Present.store


def count(namespace: str, name: str, value: float = 1, unit: str = "Count", /, **dimensions: str) -> None:
    """A service has counted or measured something."""
    if _Present.store:
        _Present.store.count(key(namespace, name, dimensions), value, unit=unit)


def level(namespace: str, name: str, value: float | None, /, **dimensions: str) -> None:
    """A service reports a level from now on; None: no longer."""
    if _Present.store:
        _Present.store.level(key(namespace, name, dimensions), value)


def age(namespace: str, name: str, since: float | None, /, **dimensions: str) -> None:
    """A service reports an age in seconds from now on; `since` is a moment, None: there is nothing to be old."""
    if _Present.store:
        _Present.store.age(key(namespace, name, dimensions), since)


def ended(dimension: str, value: str) -> None:
    """Levels of something that is gone are no longer reported."""
    if _Present.store:
        for metric in _Present.store.metrics():
            if (dimension, value) in metric[2]:
                _Present.store.end(metric)


def embedded(line: str) -> None:
    """Take the metrics out of a log line in CloudWatch's embedded metric format; any other line has none.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    if _Present.store is None or '"_aws"' not in line:
        return
    try:
        record = json.loads(line)
        directives = record["_aws"]["CloudWatchMetrics"]
        at = float(record["_aws"]["Timestamp"]) / 1_000
        for directive in directives:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = {name: str(record[name]) for name in names}
                for metric in directive["Metrics"]:
                    values = record[metric["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        found = key(directive["Namespace"], metric["Name"], dimensions)
                        _Present.store.count(found, float(value), unit=metric.get("Unit", "None"), at=at)
    except (AttributeError, KeyError, TypeError, ValueError):
        return  # CloudWatch Logs keeps such a line, and no metric comes of it


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def seconds(value: Any) -> float:
    """A timestamp of a request, a datetime, a number or a text, as seconds since 1970."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float):
        return float(value)
    return datetime.fromisoformat(str(value)).timestamp()
