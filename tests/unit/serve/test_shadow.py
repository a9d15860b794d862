"""The challenger answers the same rows behind the request, and no request waits for it."""

import time
from uuid import UUID, uuid5

import pytest

from tests.unit.serve.shelf import NOON, ROW, WANTED, Shelf, client_of
from trimtab.serve.shadow import Shadow

ROWS = {"rows": [ROW, {**ROW, "row_id": "b", "price": None}]}


@pytest.fixture
def staging(tmp_path):
    (tmp_path / "staging").mkdir()
    shelf = Shelf(tmp_path / "staging")
    shelf.promote("2")
    return shelf


@pytest.fixture
def challenger(staging):
    challenger = staging.holder(keeps=False)
    challenger.refresh()
    return challenger


def shadowed(log, challenger, most_rows: int = 100) -> Shadow:
    return Shadow(challenger, log, WANTED.data.label, most_rows)


def wait_for(log, predictions: int) -> None:
    patience = time.monotonic() + 30
    while log.count()[0] < predictions and time.monotonic() < patience:
        time.sleep(0.01)
    assert log.count() == (predictions, 0)


def test_both_answers_are_in_the_log(holder, log, challenger):
    client = client_of(holder, log, shadow=shadowed(log, challenger))
    served = client.post("/predict", json=ROWS).json["predictions"]
    assert [prediction["version"] for prediction in served] == ["1", "1"]
    wait_for(log, 4)
    shadows = {
        prediction["prediction_id"]: str(uuid5(UUID(prediction["prediction_id"]), "shadow 2"))
        for prediction in served
    }
    records = log.find("flight-delay", [*shadows, *shadows.values()])
    for prediction in served:
        champion, shadow = records[prediction["prediction_id"]], records[shadows[prediction["prediction_id"]]]
        assert (champion.role, champion.answer) == ("champion", prediction["probability"])
        assert (shadow.role, shadow.version, shadow.row_id) == ("shadow", "2", prediction["row_id"])
        assert shadow.answer != champion.answer
    counted = log.store.joined("flight-delay", start=NOON, end=NOON.replace(hour=13))
    assert [prediction.prediction.role for prediction in counted] == ["champion", "champion"]


def test_without_a_challenger_nothing_more_is_logged(holder, log, staging):
    staging.champion = None
    nobody = staging.holder(keeps=False)
    nobody.refresh()
    client = client_of(holder, log, shadow=shadowed(log, nobody))
    client.post("/predict", json=ROWS)
    assert log.count() == (2, 0)


def test_what_does_not_fit_is_dropped_and_counted(holder, log, challenger):
    shadow = shadowed(log, challenger, most_rows=1)
    client = client_of(holder, log, shadow=shadow)
    assert client.post("/predict", json=ROWS).status_code == 200
    assert 'trimtab_shadow_dropped_total{model="flight-delay"} 2.0' in client.get("/metrics").text
    client.post("/predict", json={"row": ROW})
    wait_for(log, 4)
    assert shadow.dropped == 2


def test_a_challenger_that_cannot_be_loaded_is_counted_under_its_role(holder, log, staging):
    staging.away = True
    gone = staging.holder(keeps=False)
    gone.refresh()
    text = client_of(holder, log, shadow=shadowed(log, gone)).get("/metrics").text
    assert 'trimtab_reload_errors_total{model="flight-delay",role="shadow"} 1.0' in text
    assert 'trimtab_reload_errors_total{model="flight-delay",role="champion"} 0.0' in text


def test_a_challenger_that_cannot_answer_hurts_nobody(holder, log, challenger):
    class Broken:
        fast = False

        def answers(self, rows):
            raise ZeroDivisionError

    serving = challenger.serving
    object.__setattr__(serving.ready, "scorer", Broken())
    shadow = shadowed(log, challenger)
    client = client_of(holder, log, shadow=shadow)
    assert client.post("/predict", json=ROWS).status_code == 200
    patience = time.monotonic() + 30
    while not shadow.dropped and time.monotonic() < patience:
        time.sleep(0.01)
    assert shadow.dropped == 2
    assert log.count() == (2, 0)
    shadow.close()
