"""The writer between the service and a prediction log in SQLite."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.predictions import HOUR, NOON, flush, joined_labels, log_settings, outcome, prediction
from tests.support.waiting import until
from trimtab import params
from trimtab.errors import StoreUnreachable, Unfit
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.timeout import call_with_timeout
from trimtab.predictions.writer import LogWriter

QUICK = log_settings(retry_seconds=0.02)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionLog]:
    store = open_log(f"sqlite:///{tmp_path / 'log.db'}", QUICK)
    yield store
    store.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., LogWriter]]:
    writers = []

    def new(parameters: params.Predictions = QUICK, now: datetime = NOON) -> LogWriter:
        log = open_log(f"sqlite:///{tmp_path / 'log.db'}", parameters)
        writers.append(LogWriter(log, tmp_path / "spool", parameters, lambda: now))
        return writers[-1]

    yield new
    for writer in writers:
        writer.close()


def started(log: LogWriter) -> LogWriter:
    log.start()
    return log


def test_what_is_accepted_is_written_soon_and_found_before_and_after(make, store):
    log = make()
    log.add([prediction("p")])
    assert store.count() == (0, 0)
    assert log.find("demand", ["p", "nobody"]) == {"p": prediction("p")}
    assert log.find("supply", ["p"]) == {}
    log.start()
    assert flush(log, seconds=30)
    assert store.count() == (1, 0)
    assert log.find("demand", ["p", "nobody"]) == {"p": prediction("p")}
    assert log.find("demand", ["p", "nobody"], complete=True) == {"p": prediction("p")}
    assert log.state()["written"] == 1


def test_closing_writes_what_waits(make, store):
    log = started(make())
    log.add([prediction(f"p{number}") for number in range(1200)])
    log.close()
    assert store.count() == (1200, 0)
    with pytest.raises(StoreUnreachable, match="the service stops"):
        log.add([prediction("late")])


def test_what_is_not_written_at_the_end_is_written_by_the_next(make, store):
    first = make()
    first.add([prediction("p", "a")])
    first.close()
    second = started(make())
    second.add([prediction("q", "b")])
    assert flush(second, seconds=30)
    assert [id_ for id_, _ in joined_labels(store)] == ["p", "q"]
    assert (second.state()["written"], second.state()["replayed"]) == (2, 1)


def test_outcomes_are_written_at_once_and_the_new_ones_counted(make, store):
    log = started(make())
    assert log.add_outcomes([outcome(), outcome(label=0, at=NOON + 2 * HOUR)]) == 2
    assert log.add_outcomes([outcome()]) == 0
    assert store.count() == (0, 2)


def test_while_outcomes_wait_later_ones_wait_behind_them(make, store, tmp_path):
    first = make(log_settings(timeout_seconds=0.3))
    (tmp_path / "log.db").mkdir()
    assert first.add_outcomes([outcome(label=0)]) is None
    first.close()
    (tmp_path / "log.db").rmdir()
    second = make()
    assert second.add_outcomes([outcome(label=1)]) is None
    second.start()
    assert flush(second, seconds=30)
    store.add([prediction("p")])
    assert joined_labels(store) == [("p", 1)]


def test_a_store_that_is_busy_for_long_counts_as_away_until_it_answers(make, store):
    log = started(make(log_settings(retry_seconds=0.02, timeout_seconds=0.3)))
    with _locked(store):
        assert log.add_outcomes([outcome()]) is None
        assert log.state()["away"]
    assert flush(log, seconds=60)
    until(lambda: not log.state()["away"], "the store to answer", seconds=30, every=0.01)
    assert store.count() == (0, 1)


def test_a_record_that_no_store_takes_is_put_aside_and_the_others_are_written(make, store, tmp_path):
    log = started(make())
    log.add([prediction("p1"), prediction("bad", "half \ud800"), prediction("p2")])
    assert flush(log, seconds=30)
    assert store.count() == (2, 0)
    assert (log.state()["written"], log.state()["refused"], log.state()["away"]) == (2, 1, False)
    (entry,) = map(json.loads, (tmp_path / "spool" / "refused.txt").read_text().splitlines())
    assert entry["reason"].startswith("UnicodeEncodeError: ")
    assert json.loads(entry["record"])["prediction_id"] == "bad"


def test_a_broken_line_of_the_spool_is_put_aside_and_the_others_are_written(make, store, tmp_path):
    first = make()
    first.add([prediction("p")])
    first.close()
    (segment,) = (tmp_path / "spool").glob("*.jsonl")
    segment.write_bytes(b"{broken}\n" + segment.read_bytes())
    log = started(make())
    assert flush(log, seconds=30)
    assert store.count() == (1, 0)
    (entry,) = map(json.loads, (tmp_path / "spool" / "refused.txt").read_text().splitlines())
    assert entry == {"reason": "no record of the prediction log", "record": "{broken}"}


def test_a_log_of_another_version_is_refused_at_the_start(make, store, tmp_path):
    store.prepare()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("update prediction_log set version = 7")
    with pytest.raises(Unfit, match="has version 7, this trimtab supports version 2"):
        make().start()


def test_a_log_that_cannot_be_migrated_ends_the_start(make, tmp_path):
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("create table predictions (prediction_id text)")
    with pytest.raises(Exception, match="has version none"):
        make().start()


def test_a_log_that_cannot_be_migrated_puts_nothing_aside(make, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "log.db").symlink_to(tmp_path / "folder")
    log = started(make())
    log.add([prediction("p")])
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("create table predictions (prediction_id text)")
    (tmp_path / "link").symlink_to(tmp_path / "other.db")
    (tmp_path / "link").replace(tmp_path / "log.db")
    before = log.state()["failures"]
    until(lambda: log.state()["failures"] > before + 3, "more failures", seconds=30, every=0.01)
    assert (log.state()["refused"], log.state()["spooled"]) == (0, 1)


def test_old_records_are_deleted_from_time_to_time(make, store):
    store.add(
        [prediction("old", at=NOON - 31 * 24 * HOUR), prediction("young", "b", at=NOON - 29 * 24 * HOUR)]
    )
    started(make(log_settings(retention_days=30.0, retry_seconds=0.02)))
    until(lambda: store.count() == (1, 0), "the old record to be deleted", seconds=30, every=0.01)
    assert set(store.find("demand", ["old", "young"])) == {"young"}


def test_old_records_are_deleted_again_and_again(make, store):
    log = started(make(log_settings(retention_days=30.0, retry_seconds=0.02, purge_minutes=0.001)))
    for number in range(2):
        log.add([prediction(f"old{number}", at=NOON - 31 * 24 * HOUR)])
        assert flush(log, seconds=30)
        until(lambda: store.count() == (0, 0), "the record to be deleted", seconds=30, every=0.01)


def test_a_call_that_does_not_end_is_given_up_in_time():
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer in 0.05 s"):
        call_with_timeout(lambda: time.sleep(1), seconds=0.05)
    assert time.monotonic() - began < 0.9


def test_a_url_with_another_scheme_is_refused():
    with pytest.raises(
        Unfit, match=r"expected sqlite:///..., postgresql://... or mongodb://..., got mysql://"
    ):
        open_log("mysql://localhost/x", QUICK)


def test_the_redacted_url_has_no_password():
    for url, redacted in (
        # pragma: allowlist nextline secret
        ("postgresql://me:secret@db/log", "postgresql://db/log"),
        # pragma: allowlist nextline secret
        ("mongodb://me:secret@one:1,two:2/log?replicaSet=r", "mongodb://one:1,two:2/log?replicaSet=r"),
    ):
        log = open_log(url, QUICK)
        assert log.redacted_url == redacted
        log.close()


def test_the_error_for_an_unreachable_log_contains_its_url(tmp_path: Path):
    (tmp_path / "folder.db").mkdir()
    log = open_log(f"sqlite:///{tmp_path / 'folder.db'}", QUICK)
    with pytest.raises(StoreUnreachable, match="The prediction log at sqlite:///.*folder.db does not answer"):
        log.count()


class _locked:
    """Another program holds the write lock of the database."""

    def __init__(self, store: PredictionLog) -> None:
        store.prepare()
        self._path = store.redacted_url.removeprefix("sqlite:///")

    def __enter__(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("begin immediate")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("rollback")
        self._connection.close()
