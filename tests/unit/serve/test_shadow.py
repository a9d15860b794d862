"""The challenger answers the same rows behind the request, and no request waits for it."""

import re
from uuid import UUID, uuid5

import pytest

from tests.support.builders import shops
from tests.support.waiting import until
from tests.unit.serve.shelf import NOON, ROW, Shelf, client_of

SHADOWED = shops(serve__max_rows=50, serve__shadow_rows=100)
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


def dropped(client) -> int:
    (line,) = re.findall(
        r'trimtab_shadow_dropped_total{model="flight-delay"} (.*)', client.get("/metrics").text
    )
    return int(float(line))


def wait_for(log, predictions: int) -> None:
    until(lambda: log.count()[0] >= predictions, "the records", seconds=30, every=0.01)
    assert log.count() == (predictions, 0)


def test_both_answers_are_in_the_log(holder, log, challenger):
    client = client_of(holder, log, SHADOWED, shadow=challenger)
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
    client = client_of(holder, log, SHADOWED, shadow=nobody)
    client.post("/predict", json=ROWS)
    assert log.count() == (2, 0)


def test_what_does_not_fit_is_dropped_and_counted(holder, log, challenger):
    client = client_of(holder, log, shops(serve__max_rows=50, serve__shadow_rows=1), shadow=challenger)
    assert client.post("/predict", json=ROWS).status_code == 200
    assert dropped(client) == 2
    client.post("/predict", json={"row": ROW})
    wait_for(log, 4)
    assert dropped(client) == 2


def test_a_challenger_that_cannot_be_loaded_is_counted_under_its_role(holder, log, staging):
    staging.away = True
    gone = staging.holder(keeps=False)
    gone.refresh()
    text = client_of(holder, log, SHADOWED, shadow=gone).get("/metrics").text
    assert 'trimtab_reload_errors_total{model="flight-delay",role="shadow"} 1.0' in text
    assert 'trimtab_reload_errors_total{model="flight-delay",role="champion"} 0.0' in text


def test_a_challenger_that_cannot_answer_hurts_nobody(holder, log, challenger):
    class Broken:
        fast = False

        def answers(self, rows):
            raise ZeroDivisionError

    object.__setattr__(challenger.serving, "scorer", Broken())
    client = client_of(holder, log, SHADOWED, shadow=challenger)
    assert client.post("/predict", json=ROWS).status_code == 200
    until(lambda: dropped(client), "the count of dropped rows", seconds=30, every=0.01)
    assert dropped(client) == 2
    assert log.count() == (2, 0)
