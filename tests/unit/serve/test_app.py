"""The service over HTTP semantics, with a real pipeline and a real log."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from flask.testing import FlaskClient
from sklearn.pipeline import Pipeline

from trimtab import params
from trimtab.clock import system_clock
from trimtab.contracts import Champion
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder
from trimtab.serve.prediction_log import PredictionLog
from trimtab.train.features import design
from trimtab.train.fit import build, fit

ROOT = Path(__file__).parents[3]
FEATURES = """
version: 1
model: {name: demand, estimator: sklearn.ensemble.HistGradientBoostingClassifier, settings: {min_samples_leaf: 2}, seed: 1, trusted_types: []}
data:
  timezone: UTC
  max_bad_share: 0.1
  max_unseen_share: 0.1
  landing_grace_seconds: 1
  features:
    shop: {kind: category, nullable: false, categories: [north, south]}
    price: {kind: number, nullable: false, min: 0, max: 100}
train: {start_batches: 4, window_batches: null, reference_batches: 2, env_manager: local}
gate:
  {metric: brier, judge_batches: 2, block_hours: 24, min_blocks: 2, confidence: 0.9, min_gain: 0, baseline: sklearn.dummy.DummyClassifier}
drift:
  data: {sample_rows: 100, max_share: 0.5}
  concept: {sigmas: 3.0, min_labels: 10, min_reference: 2}
  request_on: [concept]
  max_age_batches: 4
trigger: {cooldown_batches: 1, lease_minutes: 1}
serve: {refresh_seconds: 0.05, max_rows: 50}
"""
CHAMPION = Champion(
    version="1", run_id="r", source="s", digest="d", trained_through=datetime(2026, 1, 5, tzinfo=UTC)
)
ROW = {"row_id": "a", "event_time": "2026-01-05T12:00:00Z", "shop": "north", "price": 10}


@pytest.fixture(scope="module")
def wanted() -> params.Params:
    return params.parse(FEATURES)


def fitted(wanted: params.Params, flip: bool = False) -> Pipeline:
    price = [float(number) for number in range(40)]
    label = [int((number > 20) != flip) for number in price]
    frame = pd.DataFrame({"shop": ["north", "south"] * 20, "price": price, "label": label})
    return fit(build(wanted), wanted, frame)


class Registry:
    """Which version is in Production, as a test says."""

    def __init__(self, wanted: params.Params) -> None:
        self.champion: Champion | None = CHAMPION
        self.models = {"1": fitted(wanted), "2": fitted(wanted, flip=True)}
        self.away = False

    def find(self) -> Champion | None:
        if self.away:
            raise ConnectionError("the registry is away")
        return self.champion

    def load(self, champion: Champion) -> Pipeline:
        return self.models[champion.version]


@pytest.fixture
def registry(wanted: params.Params) -> Registry:
    return Registry(wanted)


@pytest.fixture
def holder(registry: Registry, wanted: params.Params) -> Iterator[ModelHolder]:
    def warm(pipeline: Pipeline) -> object:
        return pipeline.predict_proba(design(pd.DataFrame([ROW]), wanted.data))

    holder = ModelHolder(find=registry.find, load=registry.load, warm=warm, refresh_seconds=0.05)
    holder.refresh()
    yield holder
    holder.close()


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(f"sqlite:///{tmp_path / 'log.db'}")


@pytest.fixture
def client(holder: ModelHolder, log: PredictionLog, wanted: params.Params) -> FlaskClient:
    return create_app(holder, log, wanted, system_clock).test_client()


def test_one_row_is_answered_with_version_and_id(client: FlaskClient) -> None:
    answer = client.post("/predict", json={"row": ROW})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["version"] == "1"
    (only,) = answer.json["predictions"]
    assert only["row_id"] == "a"
    assert 0 <= only["probability"] < 0.5
    assert len(only["prediction_id"]) == 36


def test_answers_equal_the_models_own(client: FlaskClient, registry: Registry, wanted: params.Params) -> None:
    rows = [{**ROW, "row_id": str(number), "price": number} for number in range(30)]
    answer = client.post("/predict", json={"rows": rows}).json
    expected = registry.models["1"].predict_proba(design(pd.DataFrame(rows), wanted.data))[:, 1]
    assert answer is not None
    assert [one["probability"] for one in answer["predictions"]] == expected.tolist()


def test_every_answer_is_in_the_log(client: FlaskClient, log: PredictionLog) -> None:
    client.post("/predict", json={"rows": [ROW, {**ROW, "row_id": "b"}]})
    assert log.count() == (2, 0)


@pytest.mark.parametrize(
    ("change", "field", "expected", "got"),
    [
        ({"price": "10"}, "price", "a finite number", "10"),
        ({"price": True}, "price", "a finite number", True),
        ({"price": 101}, "price", "0 to 100", "101.0"),
        ({"price": None}, "price", "a value", None),
        ({"shop": 7}, "shop", "text", 7),
        ({"row_id": ""}, "row_id", "text that is not empty", ""),
        (
            {"event_time": "soon"},
            "event_time",
            "a time with its offset, such as 2013-03-01T05:15:00Z",
            "soon",
        ),
        ({"color": "red"}, "color", "no such field", "red"),
    ],
)
def test_a_bad_row_is_a_422_that_names_field_expected_and_got(
    client: FlaskClient, change: dict[str, object], field: str, expected: str, got: object
) -> None:
    answer = client.post("/predict", json={"rows": [ROW, {**ROW, "row_id": "b", **change}]})
    assert answer.status_code == 422
    assert answer.json is not None
    (fault,) = answer.json["faults"]
    assert (fault["row"], fault["field"], fault["got"]) == (1, field, got)
    assert expected in fault["expected"]


def test_a_missing_field_is_named(client: FlaskClient, log: PredictionLog) -> None:
    answer = client.post("/predict", json={"row": {name: ROW[name] for name in ROW if name != "price"}})
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["faults"] == [
        {"row": 0, "field": "price", "expected": "a value, or null", "got": "nothing"}
    ]
    assert log.count() == (0, 0)


def test_not_a_number_is_refused(client: FlaskClient) -> None:
    body = '{"row": {"row_id": "a", "event_time": "2026-01-05T12:00:00Z", "shop": "north", "price": NaN}}'
    answer = client.post("/predict", data=body, content_type="application/json")
    assert answer.status_code == 422


def test_an_undeclared_category_is_unknown_to_the_model_and_counted(client: FlaskClient) -> None:
    assert client.post("/predict", json={"row": {**ROW, "shop": "west"}}).status_code == 200
    assert (
        b'trimtab_unseen_categories_total{feature="shop",model="demand"} 1.0' in client.get("/metrics").data
    )


def test_malformed_requests_are_4xx(client: FlaskClient) -> None:
    assert client.post("/predict", data="{", content_type="application/json").status_code == 400
    assert client.post("/predict", data="a=1").status_code == 415
    assert client.post("/predict", json=[]).status_code == 422
    assert client.post("/predict", json={"rows": []}).status_code == 422
    assert client.post("/predict", json={"rows": [ROW] * 51}).status_code == 422
    assert client.get("/nowhere").status_code == 404


def test_truth_is_taken_by_row_or_by_prediction_once(client: FlaskClient, log: PredictionLog) -> None:
    predicted = client.post("/predict", json={"row": ROW}).json
    assert predicted is not None
    known_at = "2026-01-06T00:00:00Z"
    by_id = {
        "prediction_id": predicted["predictions"][0]["prediction_id"],
        "label": 1,
        "label_known_at": known_at,
    }
    by_row = {"row_id": "a", "label": 1, "label_known_at": known_at}
    assert client.post("/feedback", json={"items": [by_id]}).json == {"received": 1, "new": 1}
    assert client.post("/feedback", json={"items": [by_row, by_id]}).json == {"received": 2, "new": 0}
    corrected = {**by_row, "label": 0}
    assert client.post("/feedback", json={"items": [corrected]}).json == {"received": 1, "new": 1}
    assert log.count() == (1, 2)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"prediction_id": "nobody", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}, "prediction_id"),
        ({"label": 1, "label_known_at": "2026-01-06T00:00:00Z"}, "row_id"),
        ({"row_id": "a", "label": 2, "label_known_at": "2026-01-06T00:00:00Z"}, "label"),
        ({"row_id": "a", "label": 1, "label_known_at": "2026-01-06"}, "label_known_at"),
    ],
)
def test_a_bad_truth_is_a_422_and_nothing_is_written(
    client: FlaskClient, log: PredictionLog, item: dict[str, object], field: str
) -> None:
    good = {"row_id": "z", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}
    answer = client.post("/feedback", json={"items": [good, item]})
    assert answer.status_code == 422
    assert answer.json is not None
    assert [fault["field"] for fault in answer.json["faults"]] == [field]
    assert log.count() == (0, 0)


def test_without_a_model_it_lives_but_is_not_ready(
    registry: Registry, holder: ModelHolder, log: PredictionLog, wanted: params.Params
) -> None:
    holder.serving = None
    client = create_app(holder, log, wanted, system_clock).test_client()
    assert client.get("/healthz").status_code == 200
    for path in ("/readyz", "/model"):
        assert client.get(path).status_code == 503
    assert client.post("/predict", json={"row": ROW}).status_code == 503


def test_it_follows_a_promotion_and_keeps_the_last_good_model(
    client: FlaskClient, holder: ModelHolder, registry: Registry
) -> None:
    registry.champion = replace(CHAMPION, version="2")
    holder.refresh()
    assert client.get("/model").json["version"] == "2"  # type: ignore[index]  # JSON
    registry.champion = replace(CHAMPION, version="3")
    holder.refresh()
    ready = client.get("/readyz").json
    assert ready == {"status": "ok", "version": "2", "trouble": "KeyError: '3'"}
    registry.away = True
    holder.refresh()
    assert client.post("/predict", json={"row": ROW}).status_code == 200
    assert b'trimtab_reload_failures{model="demand"} 2.0' in client.get("/metrics").data


def test_a_swap_under_traffic_drops_nothing_and_mixes_nothing(
    client: FlaskClient, holder: ModelHolder, registry: Registry, wanted: params.Params
) -> None:
    expected = {
        version: float(model.predict_proba(design(pd.DataFrame([ROW]), wanted.data))[0, 1])
        for version, model in registry.models.items()
    }
    holder.follow()
    answers: list[tuple[int, str, float]] = []

    def ask() -> None:
        for _ in range(40):
            answer = client.application.test_client().post("/predict", json={"row": ROW})
            body = answer.json or {}
            answers.append((answer.status_code, body["version"], body["predictions"][0]["probability"]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    registry.champion = replace(CHAMPION, version="2")
    for thread in threads:
        thread.join()
    assert len(answers) == 160
    assert all(status == 200 and probability == expected[version] for status, version, probability in answers)
    assert {version for _, version, _ in answers} == {"1", "2"}


def test_metrics_name_model_route_and_version(client: FlaskClient) -> None:
    client.post("/predict", json={"row": ROW})
    text = client.get("/metrics").data.decode()
    assert 'trimtab_requests_total{model="demand",route="/predict",status="200"} 1.0' in text
    assert 'trimtab_predictions_total{model="demand",version="1"} 1.0' in text
    assert 'trimtab_serving_version{model="demand"} 1.0' in text
