"""Days and weeks that become batches. They begin at midnight in the time zone of the data."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One day or ISO week of local time, as [start, end) in UTC."""

    batch: str
    start: datetime
    end: datetime


def ended(
    every: Literal["day", "week"], zone: ZoneInfo, *, now: datetime, wait: timedelta, until: timedelta
) -> Iterator[Window]:
    """Return the windows that ended at least `wait` and at most `until` before now, oldest first.

    A day of 23 or 25 hours, when the clocks change, is a single window.

    >>> new_york, noon = ZoneInfo("America/New_York"), datetime(2026, 3, 11, 12, tzinfo=UTC)
    >>> for window in ended("week", new_york, now=noon, wait=timedelta(days=1), until=timedelta(days=5)):
    ...     print(window.batch, window.start.isoformat(), window.end.isoformat())
    2026-W10 2026-03-02T05:00:00+00:00 2026-03-09T04:00:00+00:00
    """
    step = timedelta(days=1 if every == "day" else 7)
    day = (now - until).astimezone(zone).date() - 2 * step
    if every == "week":
        day -= timedelta(days=day.weekday())
    while (end := _midnight(day + step, zone)) <= now - wait:
        if end >= now - until:
            name = day.isoformat() if every == "day" else f"{day:%G-W%V}"
            yield Window(batch=name, start=_midnight(day, zone), end=end)
        day += step


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
