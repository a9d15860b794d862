"""A week in the landing folder."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from examples.flights.flights import Week, land, unlabelled


def test_a_landed_week_is_a_parquet_file_and_its_manifest(tmp_path: Path):
    rows = pd.DataFrame({"row_id": ["a"], "label": pd.array([1], dtype="Int64")})
    start, end = datetime(2013, 1, 7, 5, tzinfo=UTC), datetime(2013, 1, 14, 5, tzinfo=UTC)

    land(tmp_path / "landing", Week(batch="2013-W02", start=start, end=end, partial=False, rows=rows))

    landed = sorted(path.name for path in (tmp_path / "landing").iterdir())
    assert landed == ["2013-W02.json", "2013-W02.parquet"]
    assert pd.read_parquet(tmp_path / "landing" / "2013-W02.parquet").equals(rows)
    assert json.loads((tmp_path / "landing" / "2013-W02.json").read_text()) == {
        "batch": "2013-W02",
        "start": "2013-01-07T05:00:00+00:00",
        "end": "2013-01-14T05:00:00+00:00",
        "partial": False,
    }


def test_a_week_before_its_labels_are_known_has_none_and_keeps_its_types():
    times = pd.Series(pd.to_datetime(["2013-01-07T06:00Z", None]))
    rows = pd.DataFrame(
        {"row_id": ["a", "b"], "label": pd.array([1, None], dtype="Int64"), "label_known_at": times}
    )
    week = Week(batch="2013-W02", start=times[0], end=times[0], partial=False, rows=rows)

    early = unlabelled(week).rows

    assert early[["label", "label_known_at"]].isna().all(axis=None)
    assert early.dtypes.equals(rows.dtypes)
    assert list(early["row_id"]) == ["a", "b"]
    assert week.rows["label"].notna().sum() == 1
