"""Builds records of the prediction log for tests. Fields that a test does not name have defaults."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trimtab import params
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.records import Outcome, Prediction
from trimtab.predictions.writer import LogWriter

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def prediction(id_: str, row: str = "a", *, at: datetime = NOON, **changes: Any) -> Prediction:
    """Return a prediction that was served at `at`, for an event an hour later."""
    defaults = {
        "model": "demand",
        "version": "1",
        "event_time": at + HOUR,
        "answer": 0.25,
        "features": {"row_id": row, "price": 10},
        "role": "champion",
    }
    return Prediction(prediction_id=id_, row_id=row, served_at=at, **{**defaults, **changes})


def outcome(
    row: str = "a",
    label: int | str | float = 1,
    *,
    at: datetime = NOON + HOUR,
    model: str = "demand",
    received_at: datetime = NOON,
) -> Outcome:
    return Outcome(
        model=model,
        row_id=row,
        prediction_id=None,
        label=label,
        label_known_at=at,
        received_at=received_at,
    )


def add_outcomes(log: PredictionLog, *outcomes: Outcome, at: datetime = NOON) -> int:
    return log.add_outcomes([replace(outcome, received_at=at) for outcome in outcomes])


def flush(log: LogWriter, *, seconds: float = 60) -> bool:
    """Wait until nothing waits to be written to the store, and return whether it is so."""
    deadline = time.monotonic() + seconds
    while (state := log.state())["queued"] + state["spooled"] and time.monotonic() < deadline:
        time.sleep(0.005)
    return not state["queued"] + state["spooled"]


def joined_labels(log: PredictionLog, **bounds: Any) -> list[tuple[str, Any]]:
    """Return the ids and labels of the predictions that count within two days."""
    two_days = {"start": NOON - 24 * HOUR, "end": NOON + 24 * HOUR}
    rows = log.joined("demand", **{**two_days, **bounds})
    return [(row.prediction.prediction_id, row.label) for row in rows]


def log_settings(**changes: Any) -> params.Predictions:
    """Return the shipped parameters with short retries, and with long time-outs because a test machine may be slow."""
    defaults = {"retry_seconds": 0.05, "timeout_seconds": 30.0, "write_seconds": 120.0}
    shipped = params.load(Path(__file__).parents[2] / params.FILE).predictions
    return shipped.model_copy(update={**defaults, **changes})
