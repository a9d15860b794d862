"""Which prediction counts, which label is in force, which outcomes are new."""

from dataclasses import replace
from datetime import datetime

import pytest

from tests.support.predictions import HOUR, NOON, outcome, prediction
from trimtab.predictions.joining import LabelRevision, join, new_outcomes

ALL = {"start": NOON, "end": NOON + 24 * HOUR, "by": "served_at", "known_by": None}


STORED = [LabelRevision(NOON, 1, 0, "demand", "a"), LabelRevision(NOON + HOUR, 2, 1, "demand", "a")]


def test_revisions_continue_after_those_stored() -> None:
    first, second = (outcome(label=label, at=NOON + 2 * HOUR) for label in (0, "x"))
    assert new_outcomes(STORED, [first, second]) == [(first, 3), (second, 4)]


def test_the_label_in_force_and_a_repeated_outcome_are_not_new() -> None:
    in_force = outcome(label=1, at=NOON + 9 * HOUR)
    repeated = outcome(label=0, at=NOON, received_at=NOON + 9 * HOUR)
    assert new_outcomes(STORED, [in_force, repeated]) == []


def test_of_two_predictions_served_at_the_same_time_the_greater_id_counts():
    (row,) = join([prediction("q"), prediction("p")], [], **ALL)
    assert row.prediction.prediction_id == "q"


def test_a_mirrored_prediction_never_counts():
    (row,) = join([prediction("p"), prediction("q", at=NOON + HOUR, role="shadow")], [], **ALL)
    assert row.prediction.prediction_id == "p"


def test_a_prediction_served_when_its_label_was_known_does_not_count():
    assert (
        join([prediction("p", at=NOON + HOUR)], [LabelRevision(NOON + HOUR, 1, 1, "demand", "a")], **ALL)
        == []
    )


def test_a_window_includes_its_start_and_excludes_its_end():
    both = [prediction("p", "a"), prediction("q", "b", at=NOON + HOUR)]
    rows = join(both, [], **{**ALL, "end": NOON + HOUR})
    assert [row.prediction.prediction_id for row in rows] == ["p"]


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="times with a time zone"):
        replace(prediction("p"), served_at=datetime(2026, 1, 5))
