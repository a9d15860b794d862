"""Stores and processes die, hang and return; no acknowledged record is lost or written twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.predictions.servers import Mongo, Postgres, Server, running
from tests.support.predictions import HOUR, NOON, flush, joined_labels, log_settings, outcome, prediction
from tests.support.waiting import until
from trimtab import params
from trimtab.clock import system_clock
from trimtab.errors import StoreUnreachable
from trimtab.predictions.opening import open_log
from trimtab.predictions.writer import LogWriter

ROOT = Path(__file__).parents[3]
QUICK = log_settings(timeout_seconds=1.0, write_seconds=5.0, batch=20, queue=50)


@pytest.fixture(params=[Postgres, Mongo], ids=["postgresql", "mongodb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(request.param) as server:
        yield server


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[..., LogWriter]]:
    writers = []

    def make(url: str, parameters: params.Predictions = QUICK) -> LogWriter:
        writers.append(LogWriter(open_log(url, parameters), tmp_path / "spool", parameters, system_clock))
        writers[-1].start()
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


class Traffic:
    """Four clients that send a prediction every few milliseconds."""

    def __init__(self, log: LogWriter) -> None:
        self.answered: list[str] = []
        self.slowest = 0.0
        self._log, self._stop = log, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        goal = len(self.answered) + count
        until(lambda: len(self.answered) >= goal, f"{count} more predictions", every=0.01)

    def _ask(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            id_ = f"{client}-{number}"
            began = time.monotonic()
            self._log.add([prediction(id_, id_)])
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.answered.append(id_)
            number += 1
            time.sleep(0.01)


def check(url: str, acknowledged: list[str], *, outcomes: int = 0, unacknowledged: int = 0) -> None:
    """Check that the log holds each acknowledged record once, and at most so many that were not acknowledged."""
    log = open_log(url, log_settings())
    prediction_count, outcome_count = log.count()
    assert set(log.find("demand", acknowledged)) == set(acknowledged)
    assert len(acknowledged) <= prediction_count <= len(acknowledged) + unacknowledged
    assert outcomes <= outcome_count <= outcomes + unacknowledged
    log.close()


def test_a_store_that_is_killed_and_comes_back_gets_all_of_it_once(server, writer):
    log = writer(server.url)
    with Traffic(log) as traffic:
        for _ in range(2):
            traffic.wait_for_more(100)
            server.kill()
            traffic.wait_for_more(300)
            assert log.state()["away"]
            assert log.state()["spooled"] > 0
            server.start()
            traffic.wait_for_more(100)
    assert flush(log, seconds=60)
    state = log.state()
    assert state["written"] == len(traffic.answered)
    assert (state["queued"], state["spooled"], state["spool_bytes"], state["refused"]) == (0, 0, 0, 0)
    assert state["replayed"] >= 2 * 300 - 100
    assert not state["away"]
    check(server.url, traffic.answered)


def test_a_store_that_stands_still_holds_up_nobody(server, writer):
    log = writer(server.url)
    log.add([prediction("first")])
    assert flush(log, seconds=30)
    server.pause()
    with Traffic(log) as traffic:
        traffic.wait_for_more(100)
        began = time.monotonic()
        assert log.find("demand", ["first"]) == {}  # it cannot be known now
        newest = traffic.answered[-1]
        assert log.find("demand", [newest]).keys() == {newest}
        assert log.add_outcomes([outcome("first")]) is None
        with pytest.raises(StoreUnreachable, match="The prediction log at .* does not answer"):
            log.find("demand", ["first"], complete=True)
        assert time.monotonic() - began < 5
        assert traffic.slowest < 5
        server.resume()
        traffic.wait_for_more(100)
    assert flush(log, seconds=60)
    check(server.url, ["first", *traffic.answered], outcomes=1)


def test_a_service_starts_while_its_store_is_away_and_writes_when_it_comes(server, writer):
    url = server.url
    server.kill()
    log = writer(url)
    log.add([prediction("early")])
    assert log.add_outcomes([outcome("early")]) is None
    assert set(log.find("demand", ["early"], complete=True)) == {"early"}
    server.start()
    assert flush(log, seconds=60)
    assert log.add_outcomes([outcome("early")]) == 0
    check(url, ["early"], outcomes=1)


def test_outcomes_that_wait_keep_their_order(server, writer):
    log = writer(server.url)
    log.add([prediction("p", "a")])
    assert flush(log, seconds=30)
    server.kill()
    for label in (0, 1, 0):
        assert log.add_outcomes([outcome("a", label)]) is None
    server.start()
    assert log.add_outcomes([outcome("a", 7)]) in (None, 1)
    assert flush(log, seconds=60)
    assert joined_labels(open_log(server.url, log_settings())) == [("p", 7)]


@pytest.mark.parametrize("server", [Postgres], indirect=True)
@pytest.mark.parametrize("away", [False, True], ids=["store there", "store away"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_is_ended_at_any_instant_loses_nothing_that_it_answered(
    server, writer, tmp_path, end, away
):
    url, acknowledged, rounds = server.url, [], 2
    if away:
        server.kill()
    for number in range(rounds):
        child = _client(url, tmp_path / "spool", f"round{number}", end, seconds=1.0 + 0.13 * number)
        acknowledged += child
    assert len(acknowledged) > 10 * rounds
    if away:
        server.start()
    log = writer(url)
    assert flush(log, seconds=60)
    assert list((tmp_path / "spool").glob("*.jsonl")) == []
    check(url, acknowledged, outcomes=len(acknowledged) // 3, unacknowledged=3 * rounds)


@pytest.mark.parametrize("server", [Postgres], indirect=True)
def test_what_a_dead_process_left_is_taken_over_and_what_a_living_one_has_is_not(server, tmp_path, writer):
    url = server.url
    server.kill()
    dead = _client(url, tmp_path / "spool", "dead", signal.SIGKILL, seconds=1.0)
    living = writer(url)
    living.add([prediction("living")])
    other = writer(url)
    other.add([prediction("other")])
    assert living.state()["spooled"] + living.state()["queued"] >= len(dead)
    assert other.state()["spooled"] + other.state()["queued"] == 1
    server.start()
    assert flush(living, seconds=60) and flush(other, seconds=60)
    check(url, [*dead, "living", "other"], outcomes=len(dead) // 3, unacknowledged=3)


def test_the_spool_has_an_end_and_says_so(server, writer):
    url = server.url
    server.kill()
    log = writer(url, QUICK.model_copy(update={"spool_mb": 0.02}))
    accepted = []
    with pytest.raises(StoreUnreachable, match=r"takes no more \(.* of 0.02 MB \(predictions.spool_mb\)"):
        for number in range(1000):
            log.add([prediction(f"p{number}", at=NOON + number * HOUR)])
            accepted.append(f"p{number}")
    assert 20 < len(accepted) < 100
    assert log.state()["spool_bytes"] <= log.state()["spool_limit_bytes"]
    server.start()
    assert flush(log, seconds=60)
    log.add([prediction("again")])
    assert flush(log, seconds=60)
    check(url, [*accepted, "again"])


def _client(url: str, folder: Path, name: str, end: signal.Signals, *, seconds: float) -> list[str]:
    """Run a client for some time after its first line, end it, and return the ids that it printed."""
    command = [sys.executable, "-m", "tests.integration.predictions.client", url, str(folder), name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ) as child:
        assert child.stdout is not None
        output = child.stdout.readline()
        threading.Timer(seconds, child.send_signal, (end,)).start()
        output += child.stdout.read()
    complete = output[: output.rfind(b"\n") + 1].decode()
    return complete.split()
