"""Two models side by side: a loop each, and one PostgreSQL that holds the ledger, MLflow and the prediction log of both."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.integration import playground
from tests.integration.moments import SMALL
from tests.integration.predictions.servers import Postgres, running
from trimtab.contracts import Request
from trimtab.predictions.opening import open_log
from trimtab.predictions.records import Prediction
from trimtab.steps import arbitrate, monitor
from trimtab.steps.initialise import initialise
from trimtab.steps.loop import Loop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = {
    "delay": SMALL,
    "late": SMALL | {"model__settings": SMALL["model__settings"] | {"max_iter": 12, "learning_rate": 0.2}},
}
"""Changes to `params.yaml`, by the model's name."""

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
                initialise(playground.tree(tmp_path / f"{model}-tree", **FILES[model], model__name=model))
            return playground.opened()

        yield lead


def test_two_models_are_retrained_at_once_on_the_same_stores_and_do_not_mix(turn: Turn) -> None:
    keys = {}
    for model in FILES:
        playground.take_in(turn(model), range(4))
        keys[model] = arbitrate.arbitrate("one run id", "ui", reason=f"the first {model}")
    assert None not in keys.values()  # a lease is a model's
    for model, run_key in keys.items():
        turn(model)
        done = [task(run_key, "one run id") for task in playground.TASKS][-1]
        assert done["verdict"] == "PROMOTE", done

    for model in FILES:
        loop = turn(model)
        assert loop.model == model
        assert loop.registry.stages(model) == {"1": "Archived", "2": "Production"}
        assert [one.manifest.model for one in loop.ledger.batches(model)] == [model] * 4
        known = loop.ledger.versions(model)
        assert {one.training.batches[0].batch for one in known.values()} == {playground.weeks()[0].batch}
        (asked,) = loop.ledger.requests(model)
        assert asked.request.reason == f"the first {model}"
    digests = [turn(model).ledger.versions(model)["2"].training.digest for model in FILES]
    assert digests[0] != digests[1]

    playground.take_in(turn("delay"), [4])
    assert [one["batch"] for one in monitor.find_unmonitored()] == [playground.weeks()[4].batch]
    turn("late")
    assert monitor.find_unmonitored() == []
    _ask_and_look_elsewhere(turn)
    _serve_one_row_twice(turn)


def _ask_and_look_elsewhere(turn: Turn) -> None:
    """A request of one model is answered by that model's arbiter alone."""
    late = turn("late")
    late.ledger.add_request(
        Request(model="late", source="alert", episode="e", reason="a test", event_time=NOON, champion="2")
    )
    assert [one.request.model for one in late.ledger.waiting("late")] == ["late"]
    delay = turn("delay")
    assert delay.ledger.waiting("delay") == []
    assert arbitrate.arbitrate("woken", None) is None
    assert [one.request.model for one in late.ledger.waiting("late")] == ["late"]


def _serve_one_row_twice(turn: Turn) -> None:
    """The log keeps the answers of both models on one row apart."""
    for place, model in enumerate(FILES):
        loop = turn(model)
        log = open_log(loop.stores.prediction_log, loop.params.predictions)
        log.prepare()
        log.add([_answer(model, place / 4)])
        log.close()
    for place, model in enumerate(FILES):
        loop = turn(model)
        log = open_log(loop.stores.prediction_log, loop.params.predictions)
        (joined,) = log.joined(model, start=NOON, end=NOON + timedelta(hours=1))
        assert joined.prediction.answer == place / 4
        log.close()


def _answer(model: str, answer: float) -> Prediction:
    return Prediction(
        prediction_id=f"{model}-1",
        row_id="one row",
        model=model,
        version="2",
        served_at=NOON,
        event_time=NOON,
        answer=answer,
        features={},
        role="champion",
    )
