"""Back up a loop on PostgreSQL and MongoDB while it works, lose it, restore it, and erase rows from it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from tests.integration.ops.test_recovery import data_of, memory, restored, wipe
from tests.integration.predictions.servers import Mongo, Postgres, Server, running
from tests.support import playground
from tests.support.predictions import NOON, add_outcomes, outcome, prediction
from trimtab.ledger import Batch, Erasure, Ledger, Notice, state
from trimtab.ledger.tombstones import Tombstones
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.erasure.erase import erase_rows
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog

STORES = {"TRIMTAB_LEDGER_URL": "ledger", "MLFLOW_TRACKING_URI": "mlflow"}
WRITER = """
import itertools
from contextlib import closing
from tests.support import playground
from tests.support.predictions import prediction
from trimtab.predictions.opening import open_log
from trimtab.loop import ingest
loop = playground.opened()
with closing(open_log(loop.stores.prediction_log, loop.params.predictions)) as log:
    for number in itertools.count():
        week = playground.weeks()[4 + number % 3]
        playground.land(loop.stores.landing, week.batch, playground.thin(week, 100 + number), week)
        for one in range(20):
            log.add([prediction(f"{number}-{one}", "b", model=loop.model)])
        ingest.ingest(week.batch)
        print(number, flush=True)
"""


def move_to(patch: pytest.MonkeyPatch, postgres: Server, mongo: Server, name: str) -> None:
    """Lead the environment to empty databases."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for variable, kind in STORES.items():
            connection.execute(f"CREATE DATABASE {kind}_{name}".encode())
            patch.setenv(variable, postgres.url.replace("/postgres", f"/{kind}_{name}"))
    patch.setenv("TRIMTAB_PREDICTION_LOG_URL", mongo.url.replace("/?", f"/{name}?"))


def lose(postgres: Server, loop: Loop, name: str) -> None:
    """Lose the machine and PostgreSQL's databases; MongoDB's is not named again."""
    wipe(loop)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for kind in STORES.values():
            connection.execute(f"DROP DATABASE {kind}_{name} WITH (FORCE)".encode())


def opened_log(loop: Loop) -> PredictionLog:
    return open_log(loop.stores.prediction_log, loop.params.predictions)


@contextmanager
def writing() -> Iterator["subprocess.Popen[str]"]:
    """Another process that takes batches in and logs predictions, without end."""
    places = os.pathsep.join((str(playground.ROOT), os.environ["PYTHONPATH"]))
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        env=os.environ | {"PYTHONPATH": places},
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "0\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_loop_on_servers_is_backed_up_while_it_writes_and_comes_back(
    led: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(Postgres) as postgres, running(Mongo) as mongo:
        monkeypatch.setenv("TRIMTAB_PREDICTION_LOG_URL", mongo.url.replace("/?", "/before?"))
        loop = playground.opened()
        with closing(opened_log(loop)) as log:
            log.add([prediction("p", model=loop.model), prediction("q", model=loop.model, at=NOON)])
            add_outcomes(log, outcome(model=loop.model))
        before, data = memory(loop), data_of(loop, tmp_path / "before")

        first = backup(tmp_path / "first").folder  # of SQLite, to PostgreSQL
        wipe(loop)
        move_to(monkeypatch, postgres, mongo, "once")
        assert restored(first)["agree"] is True
        loop = playground.opened()
        assert loop.ledger.url.startswith("postgresql") and memory(loop) == before

        with writing() as writer:
            second = backup(tmp_path / "second")  # of PostgreSQL
            assert writer.poll() is None
        now = playground.opened()
        batches = len(now.ledger.keys(Batch))
        lose(postgres, now, "once")
        move_to(monkeypatch, postgres, mongo, "twice")
        said = restored(second.folder)

        assert said["agree"] is True and not any(said["repaired"].values())
        again = playground.opened()
        assert memory(again) == before
        assert data_of(again, tmp_path / "after") == data
        assert 4 < len(again.ledger.keys(Batch)) <= batches
        with closing(opened_log(again)) as log:
            assert log.count() == (second.counts["log"]["predictions"], 1)
            assert second.counts["log"]["predictions"] > 20
        playground.take_in(again, range(8, 9))  # and it goes on
        _erases(again, playground.thin(playground.weeks()[0])["row_id"][0])


def _erases(loop: Loop, row: str) -> None:
    """A row of the data, and one of the log, are erased on these stores too."""
    with closing(opened_log(loop)) as log:
        before = log.count()
        done = erase_rows([row, "a"], actor="ann", reason="article 17")
        assert log.count() == (before[0] - 2, before[1] - 1)
    assert (done.versions, done.in_log) == (("1",), 1)
    assert Tombstones.of(loop.ledger.all(Erasure)).among([row, "a", "b"]) == [True, True, False]
    batch, *_ = state.batches_in_force(loop.ledger.all(Batch))
    rows = loop.origin.fetch_batch(batch.manifest.batch, md5=batch.md5, commit=batch.commit)
    assert row not in set(rows["row_id"]) and batch.manifest.revision == 2


def test_no_model_adds_a_fact_to_a_frozen_ledger_and_leases_stay_alive() -> None:
    with running(Postgres) as postgres:
        url = postgres.schema("frozen").replace("postgresql://", "postgresql+psycopg://")
        mine, other = Ledger(url, "mine"), Ledger(f"{url}%20-clock_timeout%3D100", "other")
        mine.migrate()
        lease = other.leases.take("retrain:other", holder="a run", minutes=1)
        with mine.frozen():
            with pytest.raises(OperationalError, match="lock timeout"):
                other.append(Notice(key="k", kind="ask", text="look"))
            other.leases.renew(lease)
        assert other.append(Notice(key="k", kind="ask", text="look"))
