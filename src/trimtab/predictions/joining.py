"""Decides which outcomes are new, which prediction of a row counts and which label is in force, for every store."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from trimtab.predictions.records import SHADOW, JoinedPrediction, Label, Outcome, Prediction, TimeField


class LabelRevision(NamedTuple):
    """A label of a row; `revision` counts from 1 in the order in which the log received the row's labels."""

    label_known_at: datetime
    revision: int
    label: Label
    model: str
    row_id: str


def new_outcomes(stored: Iterable[LabelRevision], received: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    """Return the outcomes to store, each with its revision; `stored` are all labels of their rows.

    An outcome is not new if its label is in force already, or if it repeats an earlier one word for word (a late retry).
    """
    rows: dict[tuple[str, str], list[LabelRevision]] = defaultdict(list)
    for label in stored:
        rows[label.model, label.row_id].append(label)
    new = []
    for outcome in received:
        of_row = rows[outcome.model, outcome.row_id]
        if not _is_repeated(outcome, of_row):
            revision = 1 + max((label.revision for label in of_row), default=0)
            of_row.append(
                LabelRevision(outcome.label_known_at, revision, outcome.label, outcome.model, outcome.row_id)
            )
            new.append((outcome, revision))
    return new


def join(
    predictions: Iterable[Prediction],
    labels: Iterable[LabelRevision],
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
        labels: All labels of these rows.
        by: The time of a prediction that must be in the window.
        start: Start of the window, included.
        end: End of the window, excluded.
        known_by: Labels that became known later are ignored; None uses all.
    """
    rows: dict[str, tuple[list[Prediction], list[LabelRevision]]] = defaultdict(lambda: ([], []))
    for prediction in predictions:
        if prediction.role != SHADOW:
            rows[prediction.row_id][0].append(prediction)
    for label in labels:
        if known_by is None or label.label_known_at <= known_by:
            rows[label.row_id][1].append(label)
    joined = [_join_row(*of_row) for of_row in rows.values()]
    inside = [row for row in joined if row and start <= getattr(row.prediction, by) < end]
    return sorted(inside, key=lambda row: (getattr(row.prediction, by), row.prediction.prediction_id))


def _is_repeated(outcome: Outcome, of_row: Sequence[LabelRevision]) -> bool:
    repeated = (outcome.label_known_at, outcome.label)
    return any((label.label_known_at, label.label) == repeated for label in of_row) or (
        bool(of_row) and max(of_row).label == outcome.label
    )


def _join_row(predictions: Sequence[Prediction], labels: Sequence[LabelRevision]) -> JoinedPrediction | None:
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
