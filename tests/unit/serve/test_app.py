"""The service's answers, with a real pipeline from a file and a real log."""

from pathlib import Path

import pandas as pd
import pytest

from tests.support.builders import CLASSES, VALUE, sales, shops
from tests.unit.serve.shelf import NOON, ROW, WANTED, Log, client_of
from trimtab.contracts import ModelVersion
from trimtab.registry.load import load
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.scoring import scorer
from trimtab.train.fit import build, fit, predict

PRICE = "a number between 0 and 100, or null"


def test_one_row_is_answered_with_version_and_id(client):
    answer = client.post("/predict", json={"row": ROW})
    assert answer.status_code == 200
    assert answer.json["model"] == "flight-delay"
    (only,) = answer.json["predictions"]
    assert (only["row_id"], only["version"]) == ("a", "1")
    assert 0 < only["probability"] < 0.5
    assert len(only["prediction_id"]) == 36


def test_answers_equal_the_models_own_to_the_bit(client, holder, shelf):
    frame = sales(40, seed=3)
    rows = [
        {**ROW, "row_id": item.row_id, "shop": item.shop, "price": item.price, "noise": item.noise}
        for item in frame.itertuples()
    ]
    answer = client.post("/predict", json={"rows": rows}).json
    assert [item["row_id"] for item in answer["predictions"]] == frame["row_id"].tolist()
    version = holder.serving.version
    pipeline = load(version.source, version.digest, WANTED.model.trusted_types, cache=shelf.folder)
    expected = predict(pipeline, WANTED, frame).tolist()
    assert [item["probability"] for item in answer["predictions"]] == expected


def test_every_answer_is_in_the_log(client, log):
    answer = client.post("/predict", json={"rows": [ROW, {**ROW, "row_id": "b"}]}).json
    ids = [prediction["prediction_id"] for prediction in answer["predictions"]]
    assert log.count() == (2, 0)
    assert [log.find("flight-delay", ids)[id_].row_id for id_ in ids] == ["a", "b"]


def test_a_refused_request_leaves_nothing_in_the_log(client, log):
    answer = client.post("/predict", json={"rows": [ROW, {**ROW, "row_id": "b", "price": "10"}]})
    assert answer.status_code == 422
    assert answer.json == {
        "error": "The request breaks the contract",
        "total": 1,
        "faults": [{"row": 1, "field": "price", "expected": PRICE, "got": "10"}],
    }
    assert log.count() == (0, 0)


def test_of_many_faults_the_first_twenty_are_named_and_all_are_counted(client):
    rows = [{**ROW, "row_id": str(number), "price": 200} for number in range(50)]
    answer = client.post("/predict", json={"rows": rows}).json
    assert answer["total"] == 50
    assert [fault["row"] for fault in answer["faults"]] == list(range(20))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_not_a_number_in_the_body_is_refused(client, number):
    body = '{"row": {"row_id": "a", "event_time": "2026-01-05T12:00:00Z", "shop": null, "price": NUMBER, "noise": 0}}'
    answer = client.post("/predict", data=body.replace("NUMBER", number), content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"].startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "The body is not JSON: unexpected end of data"),
        (b"\xff\xfe{", 400, "The body is not JSON"),
        (b'{"rows": "\\ud800"}', 400, "The body is not JSON"),
        (b"[" * 100_000, 400, "depth limit exceeded"),
        (b"[]", 422, "The request breaks the contract"),
        (b'{"rows": []}', 422, "The request breaks the contract"),
        (b'{"rows": {}}', 422, "The request breaks the contract"),
        (b'{"row": {}, "rows": []}', 422, "The request breaks the contract"),
        (b'{"rows": [' + b"1," * 50 + b"1]}", 413, "Expected at most 50 rows (serve.max_rows), got 51"),
        (b" " * 2_000_000, 413, "exceeds the capacity limit"),
    ],
    ids=[
        "malformed",
        "no UTF-8",
        "half a surrogate pair",
        "nested",
        "no object",
        "no rows",
        "rows no list",
        "row and rows",
        "51 rows",
        "huge",
    ],
)
@pytest.mark.parametrize("route", ["/predict", "/feedback"])
def test_a_body_that_cannot_be_used_is_a_4xx_with_its_reason(client, route, body, status, reason):
    if route == "/feedback":
        body, reason = body.replace(b'"rows"', b'"items"'), reason.replace("rows (", "items (")
    answer = client.post(route, data=body, content_type="application/json")
    assert answer.status_code == status
    assert reason in answer.json["error"]


def test_a_body_that_is_not_said_to_be_json_is_a_415(client):
    answer = client.post("/predict", data="a=1", content_type="text/plain")
    assert answer.status_code == 415
    assert answer.json == {"error": "Expected application/json, got text/plain"}


def test_an_unknown_route_and_method_are_answered_in_json(client):
    assert "not found" in client.get("/nowhere").json["error"]
    answer = client.get("/predict")
    assert answer.status_code == 405
    assert answer.allow == {"POST", "OPTIONS"}


def test_without_a_model_it_lives_but_is_not_ready(shelf, log):
    shelf.champion = None
    holder = shelf.holder()
    client = client_of(holder, log)
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics").status_code == 200
    for answer in (client.get("/readyz"), client.get("/model"), client.post("/predict", json={"row": ROW})):
        assert answer.status_code == 503
        assert answer.json == {"error": "No version is in Production yet"}


def test_without_a_model_the_reason_is_told(shelf, log):
    shelf.away = True
    holder = shelf.holder()
    holder.refresh()
    client = client_of(holder, log)
    assert client.get("/readyz").json == {"error": "MLflow does not answer"}


def test_truth_is_taken_even_while_there_is_no_model(shelf, log):
    shelf.champion = None
    client = client_of(shelf.holder(), log)
    item = {"row_id": "a", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}
    assert client.post("/feedback", json={"items": [item]}).json == {"received": 1, "new": 1}


def test_it_says_who_answers(client, holder):
    body = client.get("/model").json
    assert body.pop("row")["required"] == ["row_id", "event_time", "shop", "price", "noise"]
    assert body == {
        "model": "flight-delay",
        "version": "1",
        "stage": "Production",
        "run_id": "r",
        "digest": holder.serving.version.digest,
        "commit": "c0ffee",
        "batches": {"w1": "revision 1, md5 0"},
        "trained_through": "2026-01-05T12:00:00+00:00",
    }
    assert client.get("/readyz").json == {"status": "ok", "version": "1", "trouble": None}


def test_it_stays_ready_and_tells_its_trouble_when_the_registry_goes_away(client, shelf, holder):
    shelf.away = True
    holder.refresh()
    assert client.get("/readyz").json == {
        "status": "ok",
        "version": "1",
        "trouble": "MLflow does not answer",
    }
    assert client.post("/predict", json={"row": ROW}).status_code == 200


def test_while_the_log_is_away_predictions_are_answered_and_truth_is_taken_and_both_are_written_later(
    client, log, tmp_path: Path
):
    client.post("/predict", json={"row": ROW})
    assert log.count() == (1, 0)
    path = tmp_path / "log.db"
    path.rename(tmp_path / "elsewhere.db")
    path.mkdir()
    log.store.close()  # its connections have the file open still

    assert client.post("/predict", json={"row": {**ROW, "row_id": "b"}}).status_code == 200
    truth = {"row_id": "a", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}
    assert client.post("/feedback", json={"items": [truth]}).json == {"received": 1, "new": None}
    by_id = {"prediction_id": "p", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}
    refused = client.post("/feedback", json={"items": [by_id]})
    assert refused.status_code == 503
    assert refused.json == {"error": "A store of the service does not answer; nothing was written, try again"}

    path.rmdir()
    (tmp_path / "elsewhere.db").rename(path)
    assert log.count() == (2, 1)


def test_what_can_neither_be_written_nor_wait_is_a_503(holder, tmp_path: Path):
    log = Log(tmp_path / "small", spool_mb=0.001)
    client = client_of(holder, log)
    rows = [{**ROW, "row_id": str(number)} for number in range(10)]
    answer = client.post("/predict", json={"rows": rows})
    assert answer.status_code == 503
    assert answer.json == {"error": "A store of the service does not answer; nothing was written, try again"}
    log.start()
    assert client.post("/predict", json={"row": ROW}).status_code == 200
    assert log.count() == (1, 0)
    log.close()


def test_two_services_in_one_process_count_apart(holder, log):
    first, other = (client_of(holder, log) for _ in range(2))
    first.post("/predict", json={"row": ROW})
    assert "trimtab_predictions_total{" in first.get("/metrics").text
    assert "trimtab_predictions_total{" not in other.get("/metrics").text


@pytest.mark.parametrize(
    ("label", "metric", "name", "good", "bad", "expected"),
    [
        (CLASSES, "log_loss", "HistGradientBoostingClassifier", "low", 1, "one of low, middle, high"),
        (
            VALUE,
            "squared_error",
            "HistGradientBoostingRegressor",
            12.5,
            "12.5",
            PRICE.removesuffix(", or null"),
        ),
        (
            VALUE,
            "squared_error",
            "HistGradientBoostingRegressor",
            100,
            100.5,
            PRICE.removesuffix(", or null"),
        ),
    ],
)
def test_classes_and_values_are_answered_and_learnt(log, label, metric, name, good, bad, expected):
    parameters = shops(
        data__label=label.model_dump(), gate__metric=metric, model__estimator=f"sklearn.ensemble.{name}"
    )
    frame = sales(300)
    middle = frame["price"] / 2 + 20
    frame["label"] = middle if label is VALUE else pd.cut(middle, 3, labels=CLASSES.classes).astype(object)
    pipeline = fit(build(parameters), parameters, frame)
    version = ModelVersion(version="1", run_id="r", source="s", digest="d", trained_through=NOON)
    ready = scorer(pipeline, parameters)
    serving = Serving(version=version, scorer=ready, params=parameters, commit=None, batches={})
    holder = ModelHolder(find=lambda: version, prepare=lambda _: serving)
    holder.refresh()
    client = client_of(holder, log, parameters)

    prediction = client.post("/predict", json={"row": ROW}).json["predictions"][0]
    (direct,) = predict(pipeline, parameters, pd.DataFrame([ROW])).tolist()
    if label is VALUE:
        assert prediction["value"] == direct
    else:
        assert prediction["probabilities"] == dict(zip(CLASSES.classes, direct, strict=True))
        assert prediction["label"] == "low"
    truth = {"row_id": "a", "label": good, "label_known_at": "2026-01-06T00:00:00Z"}
    assert client.post("/feedback", json={"item": truth}).json == {"received": 1, "new": 1}
    refused = client.post("/feedback", json={"item": {**truth, "label": bad}})
    assert refused.json["faults"] == [{"row": 0, "field": "label", "expected": expected, "got": bad}]
