"""Records of the prediction log for tests: what is not named is ordinary."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trimtab import params
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.records import Heard, Prediction, Truth

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def prediction(id_: str, row: str = "a", *, at: datetime = NOON, **changes: Any) -> Prediction:
    """One served at `at` for an event an hour later."""
    ordinary = {
        "model": "demand",
        "version": "1",
        "event_time": at + HOUR,
        "answer": 0.25,
        "features": {"row_id": row, "price": 10},
        "role": "champion",
    }
    return Prediction(prediction_id=id_, row_id=row, served_at=at, **{**ordinary, **changes})


def truth(
    row: str = "a", label: int | str | float = 1, *, at: datetime = NOON + HOUR, model: str = "demand"
) -> Truth:
    return Truth(model=model, row_id=row, prediction_id=None, label=label, label_known_at=at)


def learn(log: PredictionLog, *truths: Truth, at: datetime = NOON) -> int:
    return log.learn([Heard(truth=one, received_at=at) for one in truths])


def joined(log: PredictionLog, **bounds: Any) -> list[tuple[str, Any]]:
    """Ids and labels of what counts within two days."""
    wide = {"start": NOON - 24 * HOUR, "end": NOON + 24 * HOUR}
    found = log.joined("demand", **{**wide, **bounds})
    return [(one.prediction.prediction_id, one.label) for one in found]


def wanted(**changes: Any) -> params.Predictions:
    """The shipped parameters of the log, quick to try again, and patient: a test machine may be slow."""
    ours = {"retry_seconds": 0.05, "timeout_seconds": 30.0, "write_seconds": 120.0}
    shipped = params.load(Path(__file__).parents[2] / params.FILE).predictions
    return shipped.model_copy(update={**ours, **changes})
