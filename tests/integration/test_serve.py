"""The real service: granian on a free port, the ledger, the registry and model files of a loop."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid5

import pytest
import requests
from sklearn.pipeline import Pipeline

from tests.integration.service import real
from tests.integration.service.real import PATIENCE_SECONDS, Service, promote, requested, week
from tests.support import playground
from tests.support.waiting import until
from trimtab.data.recipes import recipe_of
from trimtab.ledger import queries
from trimtab.loop import measure
from trimtab.loop.loop import Loop
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog
from trimtab.train.fit import build, fit, predict

KNOWN_AT = "2013-12-31T00:00:00Z"


@pytest.fixture
def service(loop: Loop, request: pytest.FixtureRequest) -> Iterator[Service]:
    """The service, which may be another application than production's."""
    loop.registry.stages(loop.model)  # MLflow makes its tables now, and not twice at once
    with real.running(loop, getattr(request, "param", "trimtab.serve.wsgi:application")) as service:
        yield service


def test_a_service_lives_through_two_promotions_under_traffic(loop: Loop, service: Service) -> None:
    assert service.get("/healthz").status_code == 200
    assert service.get("/readyz").status_code == 503

    frame = week(0)
    rows = requested(loop, frame.head(20))
    honest = fit(build(loop.params), loop.params, frame)
    turned = fit(build(loop.params), loop.params, frame.assign(label=1 - frame["label"]))
    expected = {
        version: predict(pipeline, loop.params, frame.head(20)).tolist()
        for version, pipeline in (("1", honest), ("2", turned))
    }

    assert promote(loop, honest) == "1"
    service.wait_for("1")
    body = service.post("/predict", {"rows": rows}).json()
    assert [item["probability"] for item in body["predictions"]] == expected["1"]

    asked = _asked_while_promoting(loop, service, rows, turned)
    assert [answer.status_code for answer in asked] == [200] * len(asked)
    bodies = [answer.json() for answer in asked]
    assert {row["version"] for item in bodies for row in item["predictions"]} == {"1", "2"}
    for item in bodies:
        (version,) = {row["version"] for row in item["predictions"]}
        assert [row["probability"] for row in item["predictions"]] == expected[version]

    log = open_log(loop.stores.prediction_log, loop.params.predictions)
    _wait_for(log, 20 * (1 + len(asked)))
    ids = {row["prediction_id"] for item in [body, *bodies] for row in item["predictions"]}
    assert len(log.find(loop.model, sorted(ids))) == 20 * (1 + len(asked))

    _check_truth(service, log, ids)
    _check_refusals(service, rows)
    text = service.get("/metrics").text
    assert 'trimtab_model_info{model="flight-delay",version="2"} 1.0' in text
    assert 'trimtab_outcomes_total{model="flight-delay"} 2.0' in text
    assert 'trimtab_reload_errors_total{model="flight-delay",role="champion"} 0.0' in text


def _asked_while_promoting(
    loop: Loop, service: Service, rows: list[dict[str, Any]], pipeline: Pipeline
) -> list[requests.Response]:
    """Ask 8 at a time, at least 200 times and until the second version has answered each client."""
    promoted = threading.Event()

    def ask(_: int) -> list[requests.Response]:
        with requests.Session() as session:
            session.trust_env = False
            own = Service(address=service.address, session=session)
            answers: list[requests.Response] = []
            while len(answers) < 25 or not promoted.is_set():
                answers.append(own.post("/predict", {"rows": rows}))
            return [*answers, own.post("/predict", {"rows": rows})]

    with ThreadPoolExecutor(8) as clients:
        asked = clients.map(ask, range(8))
        try:
            service.wait_for(promote(loop, pipeline))
        finally:
            promoted.set()
        return [answer for of_client in asked for answer in of_client]


def _wait_for(log: PredictionLog, predictions: int) -> None:
    """They are written behind the answers."""
    until(lambda: log.count()[0] >= predictions, "the records", seconds=PATIENCE_SECONDS)
    assert log.count() == (predictions, 0)


def _check_truth(service: Service, log: PredictionLog, ids: set[str]) -> None:
    by_prediction = {"prediction_id": min(ids), "label": 1, "label_known_at": KNOWN_AT}
    by_row = {"row_id": "a flight of which nobody asked", "label": 0, "label_known_at": KNOWN_AT}
    items = {"items": [by_prediction, by_row]}
    assert service.post("/feedback", items).json() == {"received": 2, "new": 2}
    assert service.post("/feedback", items).json() == {"received": 2, "new": 0}
    assert log.count()[1] == 2


def _check_refusals(service: Service, rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    for change, field in (
        ({"distance": "227"}, "distance"),
        ({"distance": 7000}, "distance"),
        ({"carrier": None}, "carrier"),
        ({"arr_delay": 4}, "arr_delay"),
        ({"event_time": "2013-06-17T05:15:00"}, "event_time"),
    ):
        answer = service.post("/predict", {"row": {**first, **change}})
        assert (answer.status_code, [fault["field"] for fault in answer.json()["faults"]]) == (422, [field])
    many = [{**first, "row_id": str(number)} for number in range(1001)]
    assert service.post("/predict", {"rows": many}).status_code == 413


def test_a_challenger_in_staging_answers_into_the_log_only(loop: Loop, service: Service) -> None:
    frame = week(0)
    rows = requested(loop, frame.head(20))
    honest = fit(build(loop.params), loop.params, frame)
    turned = fit(build(loop.params), loop.params, frame.assign(label=1 - frame["label"]))
    promote(loop, honest)
    promote(loop, turned, "Staging")
    challenger = queries.served(loop.ledger).challenger
    assert challenger is not None and challenger.version == "2"
    service.wait_for("1")

    log = open_log(loop.stores.prediction_log, loop.params.predictions)
    patience = time.monotonic() + PATIENCE_SECONDS
    asked = 0
    while log.count()[0] <= asked and time.monotonic() < patience:  # the challenger is ready at some time
        answer = service.post("/predict", {"rows": rows}).json()
        assert {record["version"] for record in answer["predictions"]} == {"1"}
        asked += len(rows)
        time.sleep(0.2)
    shadows = {str(uuid5(UUID(record["prediction_id"]), "shadow 2")) for record in answer["predictions"]}
    until(lambda: len(log.find(loop.model, sorted(shadows))) == len(rows), "the challenger's answers")
    records = log.find(loop.model, sorted(shadows)).values()
    expected = predict(turned, loop.params, frame.head(20)).tolist()
    by_row = dict(zip([row["row_id"] for row in rows], expected, strict=True))
    assert {record.row_id: record.answer for record in records} == by_row
    assert {(record.role, record.version) for record in records} == {("shadow", "2")}


def test_the_champion_before_is_the_one_that_was_replaced(loop: Loop) -> None:
    frame = week(0)
    pipeline = fit(build(loop.params), loop.params, frame)
    promote(loop, pipeline)
    assert queries.served(loop.ledger).former is None
    promote(loop, fit(build(loop.params), loop.params, frame.head(800)))
    served = queries.served(loop.ledger)
    assert served.former is not None and served.former.version == "1"
    assert served.challenger is None


def test_a_service_without_a_model_starts_and_says_so(service: Service) -> None:
    until(lambda: "Production" in service.get("/readyz").text, "the first look", seconds=PATIENCE_SECONDS)
    assert service.get("/readyz").json() == {"error": "No version is in Production yet"}
    assert service.get("/model").status_code == 503
    assert service.get("/healthz").status_code == 200


@pytest.mark.parametrize("service", ["tests.integration.service.counted:application"], indirect=True)
def test_full_collections_pass_over_what_a_model_brought(loop: Loop, service: Service) -> None:
    frame = week(0)
    rows = requested(loop, frame.head(20))
    before = service.get("/objects").json()
    assert before["passed_over"] == 0
    for label in (frame["label"], 1 - frame["label"]):
        service.wait_for(promote(loop, fit(build(loop.params), loop.params, frame.assign(label=label))))
        assert service.post("/predict", {"rows": rows}).status_code == 200

        def set_aside() -> dict[str, int] | None:  # the model answers before its objects are
            counts: dict[str, int] = service.get("/objects").json()
            return counts if counts["looked_at"] < 20_000 else None

        counts = until(set_aside, "the model's objects to be set aside", seconds=PATIENCE_SECONDS)
        assert counts["passed_over"] > before["looked_at"]


def test_a_change_of_the_data_contract_refuses_no_client(loop: Loop) -> None:
    loop.registry.stages(loop.model)
    measure.enter_race(loop)
    frame = week(0).assign(holiday=0.0)
    row = requested(loop, frame.head(1))[0]
    old, new = row, {name: value for name, value in row.items() if name != "temp"} | {"holiday": 0.0}
    features = {name: feature.model_dump() for name, feature in loop.params.data.features.items()}
    del features["temp"]
    features["holiday"] = {"kind": "number", "nullable": False, "min": 0.0, "max": 1.0}

    def deploy(later: Loop) -> str:
        """Promote a version of the recipe of this commit."""
        recipe, tags = recipe_of(later.params), {"trimtab.commit": later.commit}
        return promote(later, fit(build(later.params), later.params, frame), tags=tags, recipe=recipe)

    def statuses(service: Service) -> list[int]:
        rows = (old, {**old, **new}, new, {**old, **new, "color": "red"})
        return [service.post("/predict", {"row": row}).status_code for row in rows]

    with real.running(loop) as service:
        service.wait_for(deploy(loop))
        assert statuses(service) == [200, 422, 422, 422], "nobody knows of the new field"
        later = loop.at(playground.push(loop, data__features=features))
        measure.enter_race(later)
        until(lambda: statuses(service)[1] == 200, "the new recipe", seconds=PATIENCE_SECONDS)
        assert statuses(service) == [200, 200, 422, 422]
    with real.running(loop) as service:
        assert service.get("/readyz").json() == {"status": "ok", "version": "1", "trouble": None}
        assert statuses(service) == [200, 200, 422, 422], "a restart changes nothing"
        service.wait_for(deploy(later))
        assert statuses(service) == [422, 200, 200, 422]
        assert service.get("/readyz").json() == {"status": "ok", "version": "2", "trouble": None}
        (prediction,) = service.post("/predict", {"row": new}).json()["predictions"]
        assert prediction["version"] == "2"
        assert "holiday" in service.get("/model").json()["row"]["required"]
