"""Moments and spans of time, as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SPAN = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")


def moment(text: str) -> datetime:
    """The time that the API wrote."""
    return datetime.fromisoformat(text).astimezone(UTC)


def seconds(text: str) -> float:
    """90 for "90", "90s" and "1m30s"; ValueError for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = _SPAN.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no duration: write 90s, 30m or 1h30m")
    parts = {unit: int(value or 0) for unit, value in found.groupdict().items()}
    return float(parts["h"] * 3600 + parts["m"] * 60 + parts["s"])


def span(length: float) -> str:
    """45s, 9m24s, 3h05m, 4d3h."""
    whole = max(round(length), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d{hours_left}h"
    if hours:
        return f"{hours}h{minutes_left:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def age(text: str, now: datetime) -> str:
    """How long ago a time of the API was."""
    return span((now - moment(text)).total_seconds())
