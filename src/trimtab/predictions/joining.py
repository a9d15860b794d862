"""Decides which outcomes are new, which prediction of a row counts and which label is in force, for every store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from trimtab.predictions.records import (
    SHADOW,
    JoinedPrediction,
    Label,
    Outcome,
    Prediction,
    ReceivedOutcome,
    TimeField,
)


class LabelRevision(NamedTuple):
    """A label of a row; `revision` counts from 1 in the order in which the log received the row's labels."""

    label_known_at: datetime
    revision: int
    label: Label


def new_outcomes(
    stored: Mapping[tuple[str, str], Sequence[LabelRevision]], received: Iterable[ReceivedOutcome]
) -> list[tuple[ReceivedOutcome, int]]:
    """Return the outcomes to store, each with its revision; the keys of `stored` are model and row id.

    An outcome is not new if its label is in force already, or if it repeats an earlier one word for word (a late retry).
    """
    revisions = {key: list(labels) for key, labels in stored.items()}
    new = []
    for entry in received:
        outcome = entry.outcome
        of_row = revisions.setdefault((outcome.model, outcome.row_id), [])
        if _is_repeated(outcome, of_row):
            continue
        revision = 1 + max((label.revision for label in of_row), default=0)
        of_row.append(LabelRevision(outcome.label_known_at, revision, outcome.label))
        new.append((entry, revision))
    return new


def join(
    predictions: Iterable[Prediction],
    labels: Mapping[str, Sequence[LabelRevision]],
    *,
    by: TimeField,
    start: datetime,
    end: datetime,
    known_by: datetime | None,
) -> list[JoinedPrediction]:
    """Return the predictions that count in a window of time, oldest first, each with its label.

    If a row has several predictions, the last one that was served before its first label was known counts, because a
    later one could have used the label. So a row counts in at most one window. The label that became known last is in
    force. Predictions with the role `shadow` never count.

    Args:
        predictions: All predictions of each row that has a prediction in the window.
        labels: All labels of these rows, by row id.
        by: The time of a prediction that must be in the window.
        start: Start of the window, included.
        end: End of the window, excluded.
        known_by: Labels that became known later are ignored; None uses all.
    """
    rows: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        if prediction.role != SHADOW:
            rows.setdefault(prediction.row_id, []).append(prediction)
    joined = [_join_row(of_row, labels.get(row_id, ()), known_by) for row_id, of_row in rows.items()]
    inside = [row for row in joined if row and start <= getattr(row.prediction, by) < end]
    return sorted(inside, key=lambda row: (getattr(row.prediction, by), row.prediction.prediction_id))


def _is_repeated(outcome: Outcome, of_row: Sequence[LabelRevision]) -> bool:
    if any(
        (label.label_known_at, label.label) == (outcome.label_known_at, outcome.label) for label in of_row
    ):
        return True
    return bool(of_row) and max(of_row).label == outcome.label


def _join_row(
    predictions: Sequence[Prediction], labels: Sequence[LabelRevision], known_by: datetime | None
) -> JoinedPrediction | None:
    labels = [label for label in labels if known_by is None or label.label_known_at <= known_by]
    first_known_at = min((label.label_known_at for label in labels), default=None)
    in_time = [entry for entry in predictions if first_known_at is None or entry.served_at < first_known_at]
    if not in_time:
        return None
    newest = max(labels, default=None)
    return JoinedPrediction(
        prediction=max(in_time, key=lambda prediction: (prediction.served_at, prediction.prediction_id)),
        label=newest.label if newest else None,
        label_known_at=newest.label_known_at if newest else None,
    )
