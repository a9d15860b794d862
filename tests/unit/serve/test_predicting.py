"""Who answers a row, and that no answer is made up."""

import re

import numpy as np
import pytest

from tests.support.builders import shops
from tests.unit.serve.shelf import NOON, ROW, Shelf, client_of
from trimtab.serve.holder import ModelHolder, Ready
from trimtab.serve.predicting import held_back, random_ids

SHARED = shops(serve__max_rows=500, serve__holdback_share=0.25)


@pytest.fixture
def former(tmp_path):
    (tmp_path / "former").mkdir()
    shelf = Shelf(tmp_path / "former")
    shelf.promote("2")
    former = shelf.holder(keeps=False)
    former.refresh()
    return former


def test_a_share_of_the_ids_is_answered_by_the_champion_before(holder, log, former):
    client = client_of(holder, log, SHARED, former=former)
    rows = [{**ROW, "row_id": str(number)} for number in range(400)]
    predictions = client.post("/predict", json={"rows": rows}).json["predictions"]
    assert [prediction["row_id"] for prediction in predictions] == [row["row_id"] for row in rows]
    held = {prediction["row_id"] for prediction in predictions if prediction["version"] == "2"}
    assert held == {row["row_id"] for row in rows if held_back(row["row_id"], 0.25)}
    assert 70 < len(held) < 130
    assert log.count() == (400, 0)
    records = log.find("flight-delay", [prediction["prediction_id"] for prediction in predictions]).values()
    assert {(prediction.version, prediction.role, prediction.propensity) for prediction in records} == {
        ("1", "champion", 0.75),
        ("2", "holdback", 0.25),
    }


def test_without_a_champion_before_the_champion_answers_all(holder, log, former):
    former.serving = None
    client = client_of(holder, log, SHARED, former=former)
    rows = [{**ROW, "row_id": str(number)} for number in range(50)]
    predictions = client.post("/predict", json={"rows": rows}).json["predictions"]
    assert {prediction["version"] for prediction in predictions} == {"1"}


def test_what_is_no_number_is_no_answer(holder, log):
    class Lost:
        fast = True

        def answers(self, rows):
            return np.full(len(rows), np.nan)

    version = holder.serving.champion
    broken = ModelHolder(
        find=lambda: version, prepare=lambda _: Ready(scorer=Lost(), commit=None, batches={})
    )
    broken.refresh()
    answer = client_of(broken, log).post("/predict", json={"row": ROW})
    assert answer.status_code == 500
    assert answer.json == {"error": "The model has no answer to these rows; nothing was written"}
    assert log.count() == (0, 0)


def test_what_is_logged_is_what_was_answered(client, log):
    (answered,) = client.post("/predict", json={"row": ROW}).json["predictions"]
    (logged,) = log.find("flight-delay", [answered["prediction_id"]]).values()
    assert (logged.answer, logged.version, logged.role) == (answered["probability"], "1", "champion")
    assert (logged.served_at, logged.event_time, dict(logged.features)) == (NOON, NOON, ROW)


def test_random_ids_are_uuids_of_version_4():
    ids = random_ids(1000)
    assert len(set(ids)) == 1000
    form = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(id_) for id_ in ids)
