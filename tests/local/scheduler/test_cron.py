"""When a schedule fires, by AWS's rules; the examples are of AWS's own kinds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springboard_local.services.cron import InvalidExpressionError, next_fire, parse, zone

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday


def following(expression: str, count: int = 1, time_zone: str = "UTC", after: datetime = NOW) -> list[str]:
    found = []
    for _ in range(count):
        due = next_fire(expression, after, time_zone)
        if due is None:
            break
        found.append(f"{due:%Y-%m-%dT%H:%M}")
        after = due
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 10 * * ? *)", ["2026-11-23T10:00", "2026-11-24T10:00"]),
        ("cron(15 12 ? * MON-FRI *)", ["2026-11-23T12:15", "2026-11-24T12:15"]),
        ("cron(0 0 ? * 1 *)", ["2026-11-29T00:00", "2026-12-06T00:00"]),
        ("cron(0 0 ? * SUN *)", ["2026-11-29T00:00", "2026-12-06T00:00"]),
        ("cron(0/20 9 23 11 ? 2026)", ["2026-11-23T09:20", "2026-11-23T09:40"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01T08:00", "2027-01-01T08:00"]),
        ("cron(0 8 L * ? *)", ["2026-11-30T08:00", "2026-12-31T08:00"]),
        ("cron(0 8 LW 5 ? *)", ["2027-05-31T08:00", "2028-05-31T08:00"]),
        ("cron(0 8 1W 5 ? *)", ["2027-05-03T08:00", "2028-05-01T08:00"]),
        ("cron(0 8 ? * 6L *)", ["2026-11-27T08:00", "2026-12-25T08:00"]),
        ("cron(0 8 ? * L *)", ["2026-11-28T08:00", "2026-12-05T08:00"]),
        ("cron(0 8 ? * 3#2 *)", ["2026-12-08T08:00", "2027-01-12T08:00"]),
        ("cron(0 8 29 2 ? *)", ["2028-02-29T08:00", "2032-02-29T08:00"]),
        ("cron(0 8 ? * FRI-MON *)", ["2026-11-27T08:00", "2026-11-28T08:00"]),
        ("cron(5,10 9-11/2 ? JAN,MAR WED 2027)", ["2027-01-06T09:05", "2027-01-06T09:10"]),
        ("rate(5 minutes)", ["2026-11-23T09:05", "2026-11-23T09:10"]),
        ("rate(1 day)", ["2026-11-24T09:00", "2026-11-25T09:00"]),
        ("at(2026-11-23T09:30:00)", ["2026-11-23T09:30"]),
        ("at(2026-11-23T08:30:00)", []),
        ("cron(0 8 31 2 ? *)", []),
        ("cron(0 8 1 1 ? 2020)", []),
    ],
)
def test_the_next_moments(expression: str, expected: list[str]) -> None:
    assert following(expression, 2) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "cron(nonsense)", "cron(0 10 1 * MON *)",
        "cron(0 10 * * * *)", "cron(0 10 ? * ? *)", "cron(60 10 * * ? *)",
        "cron(0 24 * * ? *)", "cron(0 10 0 * ? *)", "cron(0 10 ? * 0 *)", "cron(0 10 ? * 8 *)",
        "cron(0 10 ? * MON#6 *)",
        "cron(0 10 * 13 ? *)", "cron(0 10 * * ?)", "cron(0 10 * * ? 1969)", "cron(5-1 10 * * ? *)",
        "cron(*/0 * * * ? *)",
        "rate(0 minutes)", "rate(5 seconds)", "rate(five minutes)", "rate(5)", "at(tomorrow)",
        "at(2026-13-01T00:00:00)",
        "at(2026-11-23)", "every day", "",
    ],
)  # fmt: skip
def test_nonsense_is_refused(expression: str) -> None:
    with pytest.raises(InvalidExpressionError):
        parse(expression)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "+09:00"])
def test_a_zone_has_to_exist(name: str) -> None:
    with pytest.raises(InvalidExpressionError):
        zone(name)


def test_a_local_time_that_summer_time_skips_does_not_happen() -> None:
    before = datetime(2027, 3, 27, 12, tzinfo=UTC)
    found = following("cron(30 2 * * ? *)", 2, "Europe/Berlin", before)
    assert found == ["2027-03-29T00:30", "2027-03-30T00:30"]  # not on the 28th, when 2:30 was 3:30


def test_a_local_time_that_comes_twice_happens_once() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    found = following("cron(30 2 * * ? *)", 2, "Europe/Berlin", before)
    assert found == ["2026-10-25T00:30", "2026-10-26T01:30"]


def test_a_rate_counts_from_its_start() -> None:
    start = NOW - timedelta(minutes=7)
    assert next_fire("rate(5 minutes)", NOW, start=start) == NOW + timedelta(minutes=3)
    later = NOW + timedelta(hours=1)
    assert next_fire("rate(5 minutes)", NOW, start=later) == later
    assert next_fire("cron(0 * * * ? *)", NOW, start=later) == later


ZONES = ["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001
fields = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.integers(1, 12).map(lambda step: f"0/{step}"))


@settings(max_examples=60)
@given(moments, fields, fields, st.sampled_from(["*", "L", "1", "15W", "28-30"]), st.sampled_from(ZONES))
def test_what_comes_next_is_later_and_matches_its_fields(
    after: datetime, minute: str, hour: str, day: str, name: str
) -> None:
    expression = f"cron({minute} {hour} {day} * ? *)"
    due = next_fire(expression, after, name)
    assert due is not None
    assert due > after
    local = due.astimezone(ZoneInfo(name))
    assert (local.second, local.microsecond) == (0, 0)
    for field, value in ((minute, local.minute), (hour, local.hour)):
        assert field == "*" or (value % int(field[2:]) == 0 if "/" in field else value == int(field))
    # Nothing was jumped over: from just before it, it is the next one again.
    assert next_fire(expression, due - timedelta(microseconds=1), name) == due


@given(moments, st.integers(1, 500), st.integers(0, 10_000))
def test_rates_keep_their_rhythm(start: datetime, minutes: int, later: int) -> None:
    after = start + timedelta(minutes=later)
    due = next_fire(f"rate({minutes} minutes)", after, start=start)
    assert due is not None
    assert timedelta(0) < due - after <= timedelta(minutes=minutes)
    assert (due - start) % timedelta(minutes=minutes) == timedelta(0)
