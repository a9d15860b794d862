"""Puts a week into the landing folder, complete or not at all."""

import json
from pathlib import Path

from trimtab.examples.flights import Week


def land(folder: Path, week: Week) -> None:
    """Write `<batch>.parquet`, then `<batch>.json`, each renamed into place: the manifest makes the batch complete."""
    folder.mkdir(parents=True, exist_ok=True)
    data, manifest = folder / f".{week.batch}.parquet.part", folder / f".{week.batch}.json.part"
    week.rows.to_parquet(data, index=False)
    data.replace(folder / f"{week.batch}.parquet")
    bounds = {
        "batch": week.batch,
        "start": week.start.isoformat(),
        "end": week.end.isoformat(),
        "partial": week.partial,
    }
    manifest.write_text(json.dumps(bounds), encoding="utf-8")
    manifest.replace(folder / f"{week.batch}.json")
