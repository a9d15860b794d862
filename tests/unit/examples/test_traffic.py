"""The demo's client against the real service."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from werkzeug.serving import make_server

from examples.flights.traffic import Client
from tests.support.predictions import flush
from trimtab import params
from trimtab.clock import system_clock
from trimtab.contracts import ModelVersion
from trimtab.errors import RequestRejected, StoreUnreachable
from trimtab.predictions.opening import open_log
from trimtab.predictions.writer import LogWriter
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.scoring import scorer
from trimtab.serve.tokens import Tokens
from trimtab.train.fit import build, fit

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
CHAMPION = ModelVersion(version="7", run_id="r", source="models:/m-1", digest="d", trained_through=NOON)


@pytest.fixture
def parameters() -> params.Params:
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["gate"]["slices"] = []
    raw["data"]["features"] = {
        "heat": {"kind": "number", "nullable": True, "min": 0, "max": 1},
        "town": {"kind": "category", "nullable": False, "categories": ["a", "b"]},
    }
    raw["model"]["settings"] = {"max_iter": 3}
    raw["serve"]["max_rows"] = 40
    return params.parse(yaml.safe_dump(raw))


def flights(rows: int) -> pd.DataFrame:
    heat = np.random.default_rng(1).random(rows)
    return pd.DataFrame(
        {
            "row_id": [f"row-{row}" for row in range(rows)],
            "event_time": pd.date_range(NOON, periods=rows, freq="min"),
            "heat": heat,
            "town": np.where(heat > 0.5, "a", "b"),
            "label": pd.array(heat > 0.5, dtype="Int64"),
            "label_known_at": pd.Timestamp(NOON),
        }
    )


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/predictions.db"


@pytest.fixture
def log(tmp_path: Path, parameters: params.Params, address: str) -> Iterator[LogWriter]:
    log = LogWriter(
        open_log(address, parameters.predictions), tmp_path / "spool", parameters.predictions, system_clock
    )
    log.start()
    yield log
    log.close()


def served(parameters: params.Params, log: LogWriter, champion: ModelVersion | None) -> Iterator[str]:
    pipeline = fit(build(parameters), parameters, flights(300))
    ready = scorer(pipeline, parameters)
    holder = ModelHolder(
        find=lambda: champion,
        prepare=lambda version: Serving(
            version=version, scorer=ready, params=parameters, commit=None, batches={}
        ),
    )
    holder.refresh()
    server = make_server(
        "127.0.0.1",
        0,
        create_app({"champion": holder}, log, parameters, system_clock, tokens=Tokens({})),
        threaded=True,
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(parameters: params.Params, log: LogWriter) -> Iterator[Client]:
    for address in served(parameters, log, CHAMPION):
        yield Client(address, parameters)


def test_every_row_gets_an_answer_whatever_the_size_of_a_request(client):
    answers = client.predict(flights(100))

    assert answers["row_id"].tolist() == flights(100)["row_id"].tolist()
    assert answers["version"].unique().tolist() == ["7"]


def test_answers_are_the_models_own(client, parameters):
    pipeline = fit(build(parameters), parameters, flights(300))
    rows = flights(50)

    expected = pipeline.predict_proba(rows[["heat", "town"]])[:, 1]

    assert client.predict(rows)["probability"].tolist() == expected.tolist()


def test_a_missing_number_is_sent_as_null(client):
    rows = flights(3)
    rows.loc[1, "heat"] = float("nan")

    assert len(client.predict(rows)) == 3


def test_rows_that_break_the_contract_are_left_out_and_the_others_answered(client):
    rows = flights(90)
    rows.loc[[0, *range(45, 70)], "heat"] = 2.0

    assert client.predict(rows)["row_id"].tolist() == [
        f"row-{row}" for row in [*range(1, 45), *range(70, 90)]
    ]


def test_truth_is_sent_for_labelled_rows_and_is_kept(client, log, address, parameters):
    rows = flights(90)
    rows.loc[:9, "label"] = pd.NA
    client.predict(rows)

    assert client.feedback(rows) == 80
    assert flush(log, seconds=30)
    assert open_log(address, parameters.predictions).count() == (90, 80)


def test_the_version_that_answers_is_known(client):
    assert client.version() == "7"


def test_without_a_model_there_is_no_version_and_no_answer(parameters, log):
    for address in served(parameters, log, None):
        client = Client(address, parameters)

        assert client.version() is None
        with pytest.raises(StoreUnreachable, match="HTTP 503"):
            client.predict(flights(1))


def test_truth_that_the_service_refuses_is_an_error(client):
    rows = flights(1)
    rows["label"] = 3

    with pytest.raises(RequestRejected, match="label"):
        client.feedback(rows)


def test_a_service_that_is_away_is_named(parameters):
    with pytest.raises(StoreUnreachable, match="The model service at http://127.0.0.1:9 does not answer"):
        Client("http://127.0.0.1:9", parameters).version()
