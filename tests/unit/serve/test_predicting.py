"""Who answers a row, and that no answer is made up."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.support.builders import shops
from tests.unit.serve.shelf import NOON, ROW, Shelf, client_of
from trimtab.serve.holder import ModelHolder
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
    client = client_of(holder, log, SHARED, holdback=former)
    rows = [{**ROW, "row_id": str(number)} for number in range(400)]
    found = client.post("/predict", json={"rows": rows}).json["predictions"]
    assert [one["row_id"] for one in found] == [row["row_id"] for row in rows]
    held = {one["row_id"] for one in found if one["version"] == "2"}
    assert held == {row["row_id"] for row in rows if held_back(row["row_id"], 0.25)}
    assert 70 < len(held) < 130
    assert log.count() == (400, 0)
    kept = log.find("flight-delay", [one["prediction_id"] for one in found]).values()
    assert {(one.version, one.role, one.propensity) for one in kept} == {
        ("1", "champion", 0.75),
        ("2", "holdback", 0.25),
    }


def test_without_a_champion_before_the_champion_answers_all(holder, log, former):
    former.serving = None
    client = client_of(holder, log, SHARED, holdback=former)
    rows = [{**ROW, "row_id": str(number)} for number in range(50)]
    found = client.post("/predict", json={"rows": rows}).json["predictions"]
    assert {one["version"] for one in found} == {"1"}


def test_what_is_no_number_is_no_answer(holder, log):
    class Lost:
        fast = True

        def answers(self, rows):
            return np.full(len(rows), np.nan)

    lost = replace(holder.serving, scorer=Lost())
    broken = ModelHolder(find=lambda: lost.version, prepare=lambda _: lost)
    broken.refresh()
    answer = client_of(broken, log).post("/predict", json={"row": ROW})
    assert answer.status_code == 500
    assert answer.json == {"error": "The model has no answer to these rows; nothing was written"}
    assert log.count() == (0, 0)


def test_what_is_logged_is_what_was_answered(client, log):
    (told,) = client.post("/predict", json={"row": ROW}).json["predictions"]
    (kept,) = log.find("flight-delay", [told["prediction_id"]]).values()
    assert (kept.answer, kept.version, kept.role) == (told["probability"], "1", "champion")
    assert (kept.served_at, kept.event_time, dict(kept.features)) == (NOON, NOON, ROW)


def test_random_ids_are_uuids_of_version_4():
    ids = random_ids(1000)
    assert len(set(ids)) == 1000
    form = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(one) for one in ids)
