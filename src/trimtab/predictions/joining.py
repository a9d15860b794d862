"""Which prediction of a row counts, which label is in force, and which outcome is news: the same for every store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from trimtab.predictions.records import SHADOW, Heard, Joined, Label, Moment, Prediction, Truth


class Told(NamedTuple):
    """What was said of a row; `revision` counts from 1 in the order in which the log learnt it."""

    label_known_at: datetime
    revision: int
    label: Label


def news(known: Mapping[tuple[str, str], Sequence[Told]], heard: Iterable[Heard]) -> list[tuple[Heard, int]]:
    """Return what of the outcomes is news, each with its revision; `known` is by model and row.

    One that says what is in force already, or was said before word for word (a late retry), is none.
    """
    said = {key: list(told) for key, told in known.items()}
    found = []
    for each in heard:
        one = each.truth
        of_row = said.setdefault((one.model, one.row_id), [])
        if _repeats(one, of_row):
            continue
        revision = 1 + max((told.revision for told in of_row), default=0)
        of_row.append(Told(one.label_known_at, revision, one.label))
        found.append((each, revision))
    return found


def join(
    predictions: Iterable[Prediction],
    told: Mapping[str, Sequence[Told]],
    *,
    by: Moment,
    start: datetime,
    end: datetime,
    known_by: datetime | None,
) -> list[Joined]:
    """Return the predictions that count and lie in [start, end) by the named time, oldest first, with their truth.

    Of several predictions of a row the last one counts that was served before the outcome was first known: a later one
    could have seen it. So a row counts in one window only, and one that was never predicted in time in none. Of its
    labels the one known last is in force. Shadows never count.

    Args:
        predictions: All of the rows that have one in the window.
        told: What was said of each of these rows, by row id.
        by: The time that must lie in the window.
        start: Its begin, inclusive.
        end: Its end, exclusive.
        known_by: What became known after it is not known; None knows all.
    """
    rows: dict[str, list[Prediction]] = {}
    for one in predictions:
        if one.role != SHADOW:
            rows.setdefault(one.row_id, []).append(one)
    found = [
        _counted(
            of_row, [one for one in told.get(row, ()) if known_by is None or one.label_known_at <= known_by]
        )
        for row, of_row in rows.items()
    ]
    inside = [one for one in found if one and start <= _time(one.prediction, by) < end]
    return sorted(inside, key=lambda one: (_time(one.prediction, by), one.prediction.prediction_id))


def _repeats(truth: Truth, of_row: Sequence[Told]) -> bool:
    if any((told.label_known_at, told.label) == (truth.label_known_at, truth.label) for told in of_row):
        return True
    return bool(of_row) and max(of_row).label == truth.label


def _counted(of_row: Sequence[Prediction], told: Sequence[Told]) -> Joined | None:
    first = min((one.label_known_at for one in told), default=None)
    in_time = [one for one in of_row if first is None or one.served_at < first]
    if not in_time:
        return None
    newest = max(told, default=None)
    return Joined(
        prediction=max(in_time, key=lambda one: (one.served_at, one.prediction_id)),
        label=newest.label if newest else None,
        label_known_at=newest.label_known_at if newest else None,
    )


def _time(prediction: Prediction, by: Moment) -> datetime:
    return prediction.served_at if by == "served_at" else prediction.event_time
