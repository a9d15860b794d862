"""The contract that every store of the prediction log keeps: SQLite, PostgreSQL, and MongoDB's protocol."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.predictions import (
    HOUR,
    NOON,
    add_outcomes,
    joined_labels,
    log_settings,
    outcome,
    prediction,
)
from tests.support.waiting import until
from trimtab.clock import system_clock
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.records import JoinedPrediction

DAY = 24 * HOUR


def test_a_prediction_is_read_as_it_was_written(log):
    features = {
        "row_id": "a",
        "price": 0.1 + 0.2,
        "shop": "n\N{SNOWMAN}\0rth",
        "none": None,
        "a.b": 1,
        "$c": 2**53 + 1,
        "big": 1.7976931348623157e308,
    }
    written = [
        prediction("float", answer=0.1 + 0.2, features=features, propensity=1 / 3, action="discount"),
        prediction("classes", answer={"cl.a": 0.1 + 0.2, "$5": 0.7}, features=features, role="holdback"),
        prediction("other", role="shadow"),
    ]
    log.add(written)
    assert log.find("demand", ["float", "classes", "other", "nobody"]) == {
        entry.prediction_id: entry for entry in written
    }


def test_the_first_of_two_predictions_with_one_id_stays(log):
    log.add([prediction("p1", answer=0.1), prediction("p1", answer=0.2)])
    log.add([prediction("p1", answer=0.3), prediction("p2")])
    assert log.count() == (2, 0)
    assert log.find("demand", ["p1"])["p1"].answer == 0.1


def test_of_1200_predictions_each_is_found_within_its_model(log):
    log.add([prediction(f"p{number}", f"row-{number}") for number in range(1200)])
    predictions = log.find("demand", [f"p{number}" for number in range(1200)] + ["nobody"])
    assert {id_: entry.row_id for id_, entry in predictions.items()} == {
        f"p{number}": f"row-{number}" for number in range(1200)
    }
    assert log.find("supply", ["p1"]) == {}
    assert len(log.joined("demand", start=NOON, end=NOON + HOUR)) == 1200


@pytest.mark.parametrize("label", [1, 2.5, "late", "1"])
def test_a_label_keeps_its_type(log, label):
    log.add([prediction("p")])
    assert add_outcomes(log, outcome(label=label)) == 1
    ((_, joined),) = joined_labels(log)
    assert (joined, type(joined)) == (label, type(label))


def test_the_same_label_again_is_not_new_even_when_known_later(log):
    assert add_outcomes(log, outcome(), outcome()) == 1
    assert add_outcomes(log, outcome(at=NOON + 2 * HOUR)) == 0
    assert log.count() == (0, 1)


def test_a_number_and_its_text_are_two_labels(log):
    assert add_outcomes(log, outcome(label=1), outcome(label="1")) == 2


def test_another_label_is_a_correction_and_a_late_retry_of_the_first_does_not_undo_it(log):
    first, correction = outcome(label=1), outcome(label=0, at=NOON + 2 * HOUR)
    assert add_outcomes(log, first, correction) == 2
    assert add_outcomes(log, first) == 0
    log.add([prediction("p")])
    assert joined_labels(log) == [("p", 0)]


def test_a_correction_known_at_the_same_time_is_in_force(log):
    add_outcomes(log, outcome(label=1))
    assert add_outcomes(log, outcome(label=0)) == 1
    log.add([prediction("p")])
    assert joined_labels(log) == [("p", 0)]


def test_a_label_that_became_known_earlier_corrects_nothing(log):
    add_outcomes(log, outcome(label=0, at=NOON + 2 * HOUR))
    add_outcomes(log, outcome(label=1, at=NOON + HOUR))
    log.add([prediction("p")])
    assert joined_labels(log) == [("p", 0)]


def test_outcomes_of_two_models_on_one_row_are_apart(log):
    assert add_outcomes(log, outcome(), outcome(model="supply", label=0)) == 2
    log.add([prediction("p")])
    assert joined_labels(log) == [("p", 1)]


def test_erasing_a_row_deletes_its_records_and_no_others(log):
    log.add(
        [prediction("p"), prediction("again"), prediction("shadow", role="shadow"), prediction("q", "other")]
    )
    log.add([prediction("theirs", model="supply")])
    add_outcomes(
        log, outcome(), outcome(label=0, at=NOON + 2 * HOUR), outcome("other"), outcome(model="supply")
    )
    rows = ["a", *(f"nobody-{number}" for number in range(600))]
    assert log.erase("demand", rows) == 5
    assert log.erase("demand", rows) == 0
    assert log.count() == (2, 2)
    assert joined_labels(log) == [("q", 1)]


def test_the_last_prediction_before_the_outcome_was_first_known_counts(log):
    log.add(
        [
            prediction("early", at=NOON),
            prediction("last", at=NOON + HOUR),
            prediction("too late", at=NOON + 2 * HOUR),
        ]
    )
    corrected = [outcome(label=1, at=NOON + 2 * HOUR), outcome(label=0, at=NOON + 9 * HOUR)]
    add_outcomes(log, *corrected, at=NOON + 9 * HOUR)
    assert joined_labels(log) == [("last", 0)]


def test_without_an_outcome_the_last_prediction_counts_and_its_label_is_none(log):
    log.add([prediction("p1"), prediction("p2", at=NOON + HOUR)])
    assert joined_labels(log) == [("p2", None)]


def test_a_mirrored_prediction_never_counts_and_a_holdback_does(log):
    log.add(
        [
            prediction("champion", "a"),
            prediction("shadow", "a", at=NOON + HOUR, role="shadow"),
            prediction("holdback", "b", role="holdback"),
            prediction("alone", "c", role="shadow"),
        ]
    )
    assert joined_labels(log) == [("champion", None), ("holdback", None)]


def test_a_row_counts_in_one_window_only(log):
    log.add([prediction("p1", at=NOON), prediction("p2", at=NOON + HOUR)])
    windows = [log.joined("demand", start=NOON + k * HOUR, end=NOON + (k + 1) * HOUR) for k in range(3)]
    assert [[row.prediction.prediction_id for row in window] for window in windows] == [[], ["p2"], []]


def test_a_window_may_be_of_event_times(log):
    log.add(
        [
            prediction("before", "a", event_time=NOON + DAY - timedelta(milliseconds=1)),
            prediction("late", "b", event_time=NOON + DAY + 2 * HOUR),
            prediction("first", "c", event_time=NOON + DAY),
            prediction("after", "d", event_time=NOON + 2 * DAY),
            prediction("was inside", "e", event_time=NOON + DAY),
            prediction("is not any more", "e", at=NOON + HOUR, event_time=NOON + 2 * DAY),
        ]
    )
    rows = log.joined("demand", start=NOON + DAY, end=NOON + 2 * DAY, by="event_time")
    assert [row.prediction.prediction_id for row in rows] == ["first", "late"]


def test_a_label_known_after_the_cutoff_is_not_known(log):
    log.add([prediction("first", at=NOON), prediction("second", at=NOON + 2 * HOUR)])
    add_outcomes(
        log, outcome(label=1, at=NOON + HOUR), outcome(label=0, at=NOON + 5 * HOUR), at=NOON + 5 * HOUR
    )
    assert joined_labels(log, known_by=NOON) == [("second", None)]
    assert joined_labels(log, known_by=NOON + HOUR) == [("first", 1)]
    assert joined_labels(log, known_by=NOON + 5 * HOUR) == [("first", 0)]


def test_predictions_of_other_models_are_left_out(log):
    log.add([prediction("ours"), prediction("theirs", "a", at=NOON + HOUR, model="supply")])
    add_outcomes(log, outcome(model="supply"))
    assert joined_labels(log) == [("ours", None)]


def test_times_come_back_in_utc_to_the_millisecond_whatever_offset_they_had(log):
    new_york = timezone(-5 * HOUR)
    at = NOON + timedelta(microseconds=345_678)
    log.add([prediction("p", at=at.astimezone(new_york))])
    add_outcomes(log, outcome(at=(at + HOUR).astimezone(new_york)))
    (row,) = log.joined("demand", start=NOON, end=NOON + HOUR)
    assert row == JoinedPrediction(
        prediction=prediction("p", at=datetime(2026, 1, 5, 12, 0, 0, 345_000, tzinfo=UTC)),
        label=1,
        label_known_at=datetime(2026, 1, 5, 13, 0, 0, 345_000, tzinfo=UTC),
    )
    assert row.prediction.served_at.utcoffset() == timedelta(0)


def test_eight_threads_with_the_same_outcomes_write_each_once(log):
    gate = threading.Barrier(8)
    counts: list[int] = []

    def send() -> None:
        gate.wait()
        for row in range(10):
            counts.append(add_outcomes(log, outcome(f"row-{row}")))

    _in_eight_threads(send)
    assert len(counts) == 80
    assert sum(counts) == 10
    assert log.count() == (0, 10)


def test_eight_threads_with_the_same_predictions_write_each_once(log):
    gate = threading.Barrier(8)

    def send() -> None:
        gate.wait()
        for number in range(5):
            log.add([prediction(f"p{number}-{row}") for row in range(10)])

    _in_eight_threads(send)
    assert log.count() == (50, 0)


def test_eight_threads_that_correct_one_row_leave_one_history(log):
    gate = threading.Barrier(8)
    turns = iter(range(8))

    def send() -> None:
        gate.wait()
        add_outcomes(log, outcome(label=next(turns) + 10))

    _in_eight_threads(send)
    assert log.count() == (0, 8)
    log.add([prediction("p")])
    assert joined_labels(log)[0][1] in range(10, 18)


def test_a_second_process_reads_what_was_written(log, url):
    log.add([prediction("p")])
    add_outcomes(log, outcome())
    other = open_log(url, log_settings())
    assert other.count() == (1, 1)
    assert joined_labels(other) == [("p", 1)]
    other.close()


def test_only_records_older_than_the_retention_are_deleted(url):
    log = open_log(url, log_settings(retention_days=30.0))
    now = system_clock()
    log.add([prediction("old", at=now - 31 * DAY), prediction("young", "b", at=now - 29 * DAY)])
    add_outcomes(log, outcome("a"), at=now - 31 * DAY)
    add_outcomes(log, outcome("b"), at=now - 29 * DAY)
    _wait_for(log, (1, 1), purge_at=now)
    assert set(log.find("demand", ["old", "young"])) == {"young"}
    log.close()


def test_a_changed_retention_applies_when_the_log_is_opened(url):
    now = system_clock()
    for retention, remaining in ((60.0, (2, 0)), (40.0, (1, 0)), (None, (1, 0))):
        log = open_log(url, log_settings(retention_days=retention))
        log.add([prediction("old", at=now - 50 * DAY), prediction("young", "b", at=now - 30 * DAY)])
        if retention is not None:
            _wait_for(log, remaining, purge_at=now)
        log.close()
    log = open_log(url, log_settings(retention_days=None))
    log.purge(now)
    assert log.count() == (2, 0)
    log.close()


def _wait_for(log: PredictionLog, counts: tuple[int, int], *, purge_at: datetime) -> None:
    """Wait, because MongoDB deletes old records once a minute."""
    log.purge(purge_at)
    until(lambda: log.count() == counts, "the purge", seconds=150)


def _in_eight_threads(function) -> None:
    threads = [threading.Thread(target=function) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
