"""Predictions and outcomes: nothing twice, nothing lost, joined without a look ahead."""

import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.unit.serve.shelf import NOON
from trimtab.errors import StoreUnreachable
from trimtab.serve.prediction_log import Joined, Prediction, PredictionLog, Truth

HOUR = timedelta(hours=1)


def prediction(id_: str, row: str = "a", *, at: datetime = NOON, model: str = "demand") -> Prediction:
    return Prediction(
        prediction_id=id_,
        row_id=row,
        model=model,
        version="1",
        served_at=at,
        probability=0.25,
        features={"price": 10},
    )


def truth(row: str = "a", label: int = 1, *, at: datetime = NOON + HOUR, model: str = "demand") -> Truth:
    return Truth(model=model, row_id=row, prediction_id=None, label=label, label_known_at=at)


def joined(log: PredictionLog) -> list[tuple[str, int | None]]:
    found = log.joined("demand", start=NOON - 24 * HOUR, end=NOON + 24 * HOUR)
    return [(one.prediction_id, one.label) for one in found]


def test_predictions_are_written_all_or_none(log):
    log.add([prediction("p1")])
    with pytest.raises(Exception, match="UNIQUE"):
        log.add([prediction("p2"), prediction("p1")])
    assert log.count() == (1, 0)


def test_the_row_of_a_prediction_is_known_within_its_model(log):
    log.add([prediction(f"p{number}", f"row-{number}") for number in range(1200)])
    assert log.rows_of("demand", [f"p{number}" for number in range(1200)] + ["nobody"]) == {
        f"p{number}": f"row-{number}" for number in range(1200)
    }
    assert log.rows_of("supply", ["p1"]) == {}


def test_the_same_label_again_is_not_new_even_when_known_later(log):
    assert log.learn([truth(), truth()], received_at=NOON) == 1
    assert log.learn([truth(at=NOON + 2 * HOUR)], received_at=NOON) == 0
    assert log.count() == (0, 1)


def test_another_label_is_a_correction_and_a_late_retry_of_the_first_does_not_undo_it(log):
    first, correction = truth(label=1), truth(label=0, at=NOON + 2 * HOUR)
    assert log.learn([first, correction], received_at=NOON) == 2
    assert log.learn([first], received_at=NOON) == 0
    log.add([prediction("p")])
    assert joined(log) == [("p", 0)]


def test_a_correction_known_at_the_same_time_is_in_force(log):
    log.learn([truth(label=1)], received_at=NOON)
    assert log.learn([truth(label=0)], received_at=NOON) == 1
    log.add([prediction("p")])
    assert joined(log) == [("p", 0)]


def test_what_was_known_earlier_and_comes_later_corrects_nothing(log):
    log.learn([truth(label=0, at=NOON + 2 * HOUR)], received_at=NOON)
    log.learn([truth(label=1, at=NOON + HOUR)], received_at=NOON)
    log.add([prediction("p")])
    assert joined(log) == [("p", 0)]


def test_outcomes_of_two_models_on_one_row_are_apart(log):
    assert log.learn([truth(), truth(model="supply")], received_at=NOON) == 2


def test_the_last_prediction_before_the_outcome_was_first_known_counts(log):
    log.add(
        [
            prediction("early", at=NOON),
            prediction("last", at=NOON + HOUR),
            prediction("too late", at=NOON + 2 * HOUR),
        ]
    )
    log.learn(
        [truth(label=1, at=NOON + 2 * HOUR), truth(label=0, at=NOON + 9 * HOUR)], received_at=NOON + 9 * HOUR
    )
    assert joined(log) == [("last", 0)]


def test_without_truth_the_last_prediction_counts_and_its_label_is_none(log):
    log.add([prediction("p1"), prediction("p2", at=NOON + HOUR)])
    assert joined(log) == [("p2", None)]


def test_a_row_counts_in_one_window_only(log):
    log.add([prediction("p1", at=NOON), prediction("p2", at=NOON + HOUR)])
    windows = [log.joined("demand", start=NOON + k * HOUR, end=NOON + (k + 1) * HOUR) for k in range(3)]
    assert [[one.prediction_id for one in window] for window in windows] == [[], ["p2"], []]


def test_predictions_of_other_models_are_left_out(log):
    log.add([prediction("ours"), prediction("theirs", "a", at=NOON + HOUR, model="supply")])
    log.learn([truth(model="supply")], received_at=NOON)
    assert joined(log) == [("ours", None)]


def test_times_come_back_in_utc_whatever_offset_they_had(log):
    new_york = timezone(-5 * HOUR)
    log.add([prediction("p", at=NOON.astimezone(new_york))])
    log.learn([truth(at=(NOON + HOUR).astimezone(new_york))], received_at=NOON)
    assert log.joined("demand", start=NOON, end=NOON + HOUR) == [
        Joined(
            prediction_id="p",
            row_id="a",
            version="1",
            served_at=datetime(2026, 1, 5, 12, tzinfo=UTC),
            probability=0.25,
            label=1,
            label_known_at=datetime(2026, 1, 5, 13, tzinfo=UTC),
        )
    ]


def test_eight_threads_with_the_same_outcomes_write_each_once(log):
    gate = threading.Barrier(8)
    new: list[int] = []

    def send() -> None:
        gate.wait()
        for row in range(20):
            new.append(log.learn([truth(f"row-{row}")], received_at=NOON))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(new) == 160
    assert sum(new) == 20
    assert log.count() == (0, 20)


def test_a_second_process_reads_what_was_written(log, tmp_path: Path):
    log.add([prediction("p")])
    with sqlite3.connect(tmp_path / "log.db") as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert PredictionLog(f"sqlite:///{tmp_path / 'log.db'}").count() == (1, 0)


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path):
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnreachable, match="The prediction log at sqlite:///.*folder.db does not answer"):
        PredictionLog(f"sqlite:///{tmp_path / 'folder.db'}")
