"""A small contract, a week that keeps it, and a landing folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from trimtab import params

START, END = "2026-01-05T00:00:00+00:00", "2026-01-12T00:00:00+00:00"
NOTE = {"batch": "W2", "start": START, "end": END, "partial": False}

Land = Callable[..., Path]


@pytest.fixture
def data() -> params.Data:
    return params.Data.model_validate(
        {
            "timezone": "Europe/Berlin",
            "max_bad_share": 0.02,
            "max_unseen_share": 0.05,
            "min_label_coverage": 0.5,
            "landing_grace_seconds": 60.0,
            "log": None,
            "label": {"kind": "binary"},
            "features": {
                "region": {"kind": "category", "nullable": False, "categories": ["north", "south"]},
                "wind": {"kind": "number", "nullable": False, "min": 0.0, "max": 150.0},
                "cloud": {"kind": "number", "nullable": True, "min": 0.0, "max": 8.0},
            },
        }
    )


@pytest.fixture
def week() -> pd.DataFrame:
    """A hundred rows, an hour apart, every tenth without a label, every fifth without a cloud."""
    times = pd.date_range(START, periods=100, freq="h")
    label = pd.Series([None if row % 10 == 0 else row % 2 for row in range(100)], dtype="Int64")
    return pd.DataFrame(
        {
            "row_id": [f"row-{row}" for row in range(100)],
            "event_time": times,
            "region": ["north", "south"] * 50,
            "wind": [float(row) for row in range(100)],
            "cloud": [None if row % 5 == 0 else 3.0 for row in range(100)],
            "label": label,
            "label_known_at": pd.Series(times + pd.Timedelta(hours=2)).where(label.notna()),
        }
    )


@pytest.fixture
def land(tmp_path: Path) -> Land:
    """Land a batch the way a producer does; `content` instead of a frame for what is not one."""

    def landing(
        frame: pd.DataFrame | None = None,
        *,
        content: bytes = b"",
        note: str | Mapping[str, object] | None = None,
        batch: str = "W2",
    ) -> Path:
        folder = tmp_path / "landing"
        folder.mkdir(exist_ok=True)
        if frame is None:
            (folder / f"{batch}.parquet").write_bytes(content)
        else:
            frame.to_parquet(folder / f"{batch}.parquet", index=False)
        whole = note if isinstance(note, str) else json.dumps({**NOTE, "batch": batch, **(note or {})})
        (folder / f"{batch}.json").write_text(whole)
        return folder

    return landing
