"""Puts a week into the landing folder in one step."""

import json
from dataclasses import replace
from pathlib import Path

from examples.flights.flights import Week
from trimtab import files
from trimtab.data.schema import LABEL_COLUMNS


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
