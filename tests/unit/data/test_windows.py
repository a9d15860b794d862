from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from trimtab.data.windows import Window, ended

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def names(every: str, now: datetime, *, wait: timedelta, until: timedelta) -> list[str]:
    return [window.batch for window in ended(every, BERLIN, now=now, wait=wait, until=until)]


def test_days_end_at_midnight_in_the_time_zone_of_the_data() -> None:
    (day,) = ended("day", BERLIN, now=datetime(2026, 1, 6, 0, tzinfo=UTC), wait=HOUR, until=6 * HOUR)
    assert day == Window(
        batch="2026-01-05",
        start=datetime(2026, 1, 4, 23, tzinfo=UTC),
        end=datetime(2026, 1, 5, 23, tzinfo=UTC),
    )


@pytest.mark.parametrize(("minutes", "there"), [(59, False), (60, True)])
def test_a_window_waits_for_its_labels(minutes: int, there: bool) -> None:
    now = datetime(2026, 1, 5, 23, tzinfo=UTC) + timedelta(minutes=minutes)
    assert ("2026-01-05" in names("day", now, wait=HOUR, until=3 * DAY)) == there


def test_old_windows_are_not_returned() -> None:
    now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    assert names("day", now, wait=HOUR, until=3 * DAY) == ["2026-01-07", "2026-01-08", "2026-01-09"]


def test_a_day_on_which_the_clocks_change_is_one_window() -> None:
    (day,) = ended("day", BERLIN, now=datetime(2026, 3, 29, 23, tzinfo=UTC), wait=HOUR, until=3 * HOUR)
    assert (day.batch, day.end - day.start) == ("2026-03-29", 23 * HOUR)


def test_weeks_follow_each_other_over_the_turn_of_the_year() -> None:
    windows = list(ended("week", BERLIN, now=datetime(2026, 1, 14, tzinfo=UTC), wait=DAY, until=22 * DAY))
    assert [window.batch for window in windows] == ["2025-W52", "2026-W01", "2026-W02"]
    assert [window.end for window in windows[:-1]] == [window.start for window in windows[1:]]
