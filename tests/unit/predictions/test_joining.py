"""Which prediction counts, which label is in force, what is news."""

from dataclasses import replace
from datetime import datetime

import pytest

from tests.support.predictions import HOUR, NOON, outcome, prediction
from trimtab.predictions.joining import LabelRevision, join, new_outcomes
from trimtab.predictions.records import ReceivedOutcome

ALL = {"start": NOON, "end": NOON + 24 * HOUR, "by": "served_at", "known_by": None}


def test_news_counts_on_from_what_is_known():
    known = {("demand", "a"): [LabelRevision(NOON, 1, 0), LabelRevision(NOON + HOUR, 2, 1)]}
    first, second = (
        ReceivedOutcome(outcome=outcome(label=one, at=NOON + 2 * HOUR), received_at=NOON) for one in (0, "x")
    )
    assert new_outcomes(known, [first, second]) == [(first, 3), (second, 4)]


def test_what_is_in_force_or_was_said_word_for_word_is_no_news():
    known = {("demand", "a"): [LabelRevision(NOON, 1, 0), LabelRevision(NOON + HOUR, 2, 1)]}
    in_force = ReceivedOutcome(outcome=outcome(label=1, at=NOON + 9 * HOUR), received_at=NOON)
    again = ReceivedOutcome(outcome=outcome(label=0, at=NOON), received_at=NOON + 9 * HOUR)
    assert new_outcomes(known, [in_force, again]) == []


def test_of_two_served_at_one_time_the_greater_id_counts():
    (found,) = join([prediction("q"), prediction("p")], {}, **ALL)
    assert found.prediction.prediction_id == "q"


def test_a_shadow_does_not_count_however_late_it_was_served():
    (found,) = join([prediction("p"), prediction("q", at=NOON + HOUR, role="shadow")], {}, **ALL)
    assert found.prediction.prediction_id == "p"


def test_one_served_when_the_outcome_was_known_does_not_count():
    assert join([prediction("p", at=NOON + HOUR)], {"a": [LabelRevision(NOON + HOUR, 1, 1)]}, **ALL) == []


def test_the_end_of_a_window_is_outside_and_its_start_inside():
    both = [prediction("p", "a"), prediction("q", "b", at=NOON + HOUR)]
    found = join(both, {}, **{**ALL, "end": NOON + HOUR})
    assert [one.prediction.prediction_id for one in found] == ["p"]


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="times with a time zone"):
        replace(prediction("p"), served_at=datetime(2026, 1, 5))
