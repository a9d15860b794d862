"""Two models side by side: a loop each, and one PostgreSQL that holds the ledger, MLflow and the prediction log of both."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.integration.predictions.servers import Postgres, running
from tests.support import playground
from tests.support.ledger import decisions
from tests.support.moments import SMALL
from trimtab.contracts import BatchRef, Stage, Training
from trimtab.ledger import Batch, Request, Transition, Version
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, monitor
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop
from trimtab.predictions.opening import open_log
from trimtab.predictions.records import Prediction
from trimtab.registry import transitions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODELS = ("delay", "late")

Turn = Callable[[str], Loop]


@pytest.fixture
def turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turn]:
    """Lead the environment to one of the models, as that of its own Airflow would, and open its loop."""
    monkeypatch.chdir(tmp_path)  # without a server, MLflow puts artifacts below the working directory
    with running(Postgres) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for store in ("ledger", "mlflow", "predictions"):
                connection.execute(f"CREATE DATABASE {store}".encode())
        at = f"trimtab@127.0.0.1:{server.port}"

        def lead(model: str) -> Loop:
            home = tmp_path / model
            shared = {
                "MLFLOW_TRACKING_URI": f"postgresql+psycopg2://{at}/mlflow",
                "TRIMTAB_LEDGER_URL": f"postgresql://{at}/ledger",
                "TRIMTAB_PREDICTION_LOG_URL": f"postgresql://{at}/predictions",
                "TRIMTAB_MODEL": model,
            }
            for name, value in (playground.environment(home) | shared).items():
                monkeypatch.setenv(name, value)
            if not home.joinpath("origin.git").exists():
                initialise(playground.tree(tmp_path / f"{model}-tree", **SMALL, model__name=model))
            return playground.opened()

        yield lead


def test_two_models_live_on_the_same_stores_and_do_not_mix(turn: Turn) -> None:
    for model in MODELS:
        loop = turn(model)
        playground.take_in(loop, [0])  # the same id and rows in both
        assert [batch.manifest.model for batch in loop.ledger.all(Batch)] == [model]
        loop.take_lease("one run id")
    for model in MODELS:
        moved(turn(model), "Staging")
    moved(turn("delay"), "Production")
    delay, late = (turn(model) for model in MODELS)
    assert (delay.registry.stages("delay"), late.registry.stages("late")) == (
        {"1": "Production"},
        {"1": "Staging"},
    )
    assert delay.registry.aliases("delay") == {"champion": "1"}
    assert late.registry.aliases("late") == {"challenger": "1"}

    turn("delay")
    playground.take_in(delay, [1])
    assert [entry["batch"] for entry in monitor.find_unobserved()] == [playground.weeks()[1].batch]
    turn("late")
    assert (monitor.find_unobserved(), late.champion()) == ([], None)
    _ask_and_look_elsewhere(turn)
    _answer_one_row_twice(turn)


def moved(loop: Loop, stage: Stage) -> None:
    """Register version 1 if it does not exist, and move it; an MLflow on psycopg 3 fails here."""
    import mlflow

    model = loop.model
    if not loop.ledger.keys(Version):
        run = mlflow.MlflowClient().create_run(experiment_id="0").info.run_id
        training = Training(
            run_id=run,
            source=f"runs:/{run}/model",
            digest="ab",
            rows=1,
            batches=(BatchRef(batch=playground.weeks()[0].batch, revision=1),),
            trained_through=playground.weeks()[0].end,
            seconds=1.0,
        )
        version = loop.registry.register(model, run, training.source, {})
        loop.ledger.append(Version(version=version, candidate="all", training=training))
    transitions.move(
        loop.ledger,
        loop.ledger,
        loop.registry,
        Transition(
            key=f"r:{stage}",
            kind="promote" if stage == "Production" else "stage",
            version="1",
            to_stage=stage,
            replaces=None,
            actor="test",
            reason="test",
            evidence_sha256=None,
            event_time=playground.weeks()[0].end,
        ),
    )


def _ask_and_look_elsewhere(turn: Turn) -> None:
    """A request of one model is answered by that model's arbiter alone."""
    late, delay = turn("late"), turn("delay")
    asked = Request(source="alert", episode="e", reason="a test", event_time=NOON, champion=None)
    late.ledger.append(asked)
    assert waiting_requests(delay.ledger) == []
    assert arbitrate.arbitrate("woken", None) is None
    assert (decisions(delay.ledger), decisions(late.ledger)) == ([], [])
    assert waiting_requests(late.ledger) == [asked]


def _answer_one_row_twice(turn: Turn) -> None:
    """The log keeps the answers of both models on one row apart."""
    for place, model in enumerate(MODELS):
        loop = turn(model)
        log = open_log(loop.stores.prediction_log, loop.params.predictions)
        log.prepare()
        log.add([answered(model, place / 4)])
        log.close()
    for place, model in enumerate(MODELS):
        log = open_log(turn(model).stores.prediction_log, loop.params.predictions)
        (joined,) = log.joined(model, start=NOON, end=NOON + timedelta(hours=1))
        assert joined.prediction.answer == place / 4
        log.close()


def answered(model: str, answer: float) -> Prediction:
    return Prediction(
        prediction_id=f"{model}-1",
        row_id="one row",
        model=model,
        version="1",
        served_at=NOON,
        event_time=NOON,
        answer=answer,
        features={},
        role="champion",
    )
