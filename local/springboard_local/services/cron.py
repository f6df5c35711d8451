"""Schedule expressions of EventBridge: at(…), rate(…) and cron(…), with AWS's own rules for each. Pure."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


class InvalidExpressionError(ValueError):
    """A schedule expression, or a time zone, that AWS refuses."""


@dataclass(frozen=True)
class Rate:
    """rate(5 minutes)"""

    step: timedelta


@dataclass(frozen=True)
class At:
    """at(2026-12-01T09:00:00), in local time"""

    moment: datetime


@dataclass(frozen=True)
class Cron:
    """cron(minutes hours day-of-month month day-of-week year); one of the two days is the unset `?`."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    day_of_month: str
    months: frozenset[int]
    day_of_week: str
    years: frozenset[int]

    def days(self, year: int, month: int) -> list[int]:
        """The days of a month that it names, in order."""
        if self.day_of_week == "?":
            return sorted(_days_of_month(self.day_of_month, year, month))
        return sorted(_days_of_week(self.day_of_week, year, month))

    def from_day(self, first: date) -> Iterator[datetime]:
        """Local times from the beginning of a day on, in order."""
        for year in range(first.year, _LAST_YEAR + 1):
            if year not in self.years:
                continue
            for month in range(first.month if year == first.year else 1, 13):
                if month not in self.months:
                    continue
                for day in self.days(year, month):
                    if date(year, month, day) < first:
                        continue
                    for hour in self.hours:
                        for minute in self.minutes:
                            yield datetime(year, month, day, hour, minute)  # noqa: DTZ001 - local time


@lru_cache(maxsize=1_024)
def parse(expression: str) -> Rate | At | Cron:
    """The parts of an expression; InvalidExpressionError for one that AWS refuses."""
    found = re.fullmatch(r"(at|rate|cron)\((.*)\)", expression.strip())
    if not found:
        raise InvalidExpressionError(f"Invalid Schedule Expression {expression}.")
    kind, body = found.groups()
    try:
        match kind:
            case "at":
                return _at(body)
            case "rate":
                return _rate(body)
        return _cron(body)
    except ValueError as error:
        raise InvalidExpressionError(f"Invalid Schedule Expression {expression}.") from error


def zone(name: str | None) -> ZoneInfo:
    """A time zone of the IANA database; InvalidExpressionError for a name that isn't there."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidExpressionError(f"Invalid timezone {name}.") from error


def next_fire(
    expression: str,
    after: datetime,
    time_zone: str | None = "UTC",
    start: datetime | None = None,
) -> datetime | None:
    """The first moment later than `after`, in UTC; None if there is none.

    A rate counts from `start`, which is its first moment; without one, from `after`, exclusive. A local time
    that a change to summer time skips does not happen; one that comes twice is the first of the two.
    """
    parsed, local_zone = parse(expression), zone(time_zone)
    match parsed:
        case Rate(step):
            base = start or after
            if base > after:
                return base.astimezone(UTC)
            return (base + step * ((after - base) // step + 1)).astimezone(UTC)
        case At(moment):
            due = moment.replace(tzinfo=local_zone).astimezone(UTC)
            return due if due > after else None
        case Cron():
            earliest = max(after, start - timedelta(microseconds=1)) if start else after
            return _next_cron(parsed, earliest, local_zone)


def _next_cron(cron: Cron, after: datetime, local_zone: ZoneInfo) -> datetime | None:
    # A day earlier, because the day at `after` in UTC may be another one in the zone around a change.
    for local in cron.from_day(after.astimezone(local_zone).date() - timedelta(days=1)):
        due = local.replace(tzinfo=local_zone).astimezone(UTC)
        skipped = due.astimezone(local_zone).replace(tzinfo=None) != local
        if due > after and not skipped:
            return due
    return None


def _at(body: str) -> At:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", body):
        raise ValueError(body)
    return At(datetime.fromisoformat(body))


def _rate(body: str) -> Rate:
    found = re.fullmatch(r"([1-9]\d*) (minute|hour|day)s?", body)
    if not found:
        raise ValueError(body)
    return Rate(timedelta(**{f"{found[2]}s": int(found[1])}))


def _cron(body: str) -> Cron:
    fields = body.split(" ")
    if len(fields) != 6:
        raise ValueError(body)
    minutes, hours, day_of_month, month, day_of_week, year = fields
    if (day_of_month == "?") == (day_of_week == "?"):
        raise ValueError(body)  # just one of the two is given
    day_of_week = day_of_week.upper()
    if day_of_week == "?":
        _days_of_month(day_of_month, 2024, 1)
    else:
        _days_of_week(day_of_week, 2024, 1)
    return Cron(
        tuple(sorted(_numbers(minutes, 0, 59))),
        tuple(sorted(_numbers(hours, 0, 23))),
        day_of_month,
        frozenset(_numbers(month.upper(), 1, 12, _MONTHS)),
        day_of_week,
        frozenset(_numbers(year, _FIRST_YEAR, _LAST_YEAR)),
    )


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The values of a field of lists, ranges and steps."""
    found: set[int] = set()
    for part in field.split(","):
        spread, slash, step = part.partition("/")
        every = _number(step, 1, high, None) if slash else 1
        if spread == "*":
            first, last = low, high
        else:
            begin, dash, end = spread.partition("-")
            first = _number(begin, low, high, names)
            last = _number(end, low, high, names) if dash else (high if slash else first)
        if last < first:
            if names is not _DAYS and names is not _MONTHS:
                raise ValueError(field)
            found.update(range(first, high + 1, every))  # FRI-MON goes over the end
            first = low
        found.update(range(first, last + 1, every))
    return found


def _number(text: str, low: int, high: int, names: dict[str, int] | None) -> int:
    value = (names or {}).get(text)
    if value is None:
        if not re.fullmatch(r"\d{1,4}", text):
            raise ValueError(text)
        value = int(text)
    if not low <= value <= high:
        raise ValueError(text)
    return value


def _days_of_month(field: str, year: int, month: int) -> set[int]:
    last = calendar.monthrange(year, month)[1]
    if field == "L":
        return {last}
    if field == "LW":
        return {_nearest_weekday(year, month, last)}
    if found := re.fullmatch(r"(\d{1,2})W", field):
        day = _number(found[1], 1, 31, None)
        return {_nearest_weekday(year, month, day)} if day <= last else set()
    return {day for day in _numbers(field, 1, 31) if day <= last}


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The Monday to Friday next to a day, in the same month."""
    last = calendar.monthrange(year, month)[1]
    match date(year, month, day).isoweekday():
        case 6:
            return day - 1 if day > 1 else day + 2
        case 7:
            return day + 1 if day < last else day - 2
    return day


def _days_of_week(field: str, year: int, month: int) -> set[int]:
    last = calendar.monthrange(year, month)[1]

    def on(weekday: int) -> list[int]:
        # AWS counts from Sunday as 1; isoweekday() % 7 has it at 0.
        return [day for day in range(1, last + 1) if date(year, month, day).isoweekday() % 7 + 1 == weekday]

    if field == "L":
        return set(on(7))
    if found := re.fullmatch(r"(\w+)L", field):
        return {on(_number(found[1], 1, 7, _DAYS))[-1]}
    if found := re.fullmatch(r"(\w+)#([1-5])", field):
        days = on(_number(found[1], 1, 7, _DAYS))
        return set(days[int(found[2]) - 1 : int(found[2])])
    return {day for weekday in _numbers(field, 1, 7, _DAYS) for day in on(weekday)}
