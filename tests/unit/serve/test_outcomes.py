"""Ground truth, by row or by prediction, checked before anything is written."""

import pytest

from tests.unit.serve.shelf import ROW

TRUTH = {"row_id": "a", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}
TIME = "a time from 1678 to 2261 with its UTC offset, such as 2026-03-01T05:15:00Z"
ID = "text of 1 to 300 characters without NUL"


def test_truth_is_taken_by_row_or_by_prediction_once(client, log):
    prediction = client.post("/predict", json={"row": ROW}).json["predictions"][0]["prediction_id"]
    by_id = {**TRUTH, "row_id": None, "prediction_id": prediction}
    assert client.post("/feedback", json={"items": [by_id]}).json == {"received": 1, "new": 1}
    both = {**TRUTH, "prediction_id": prediction}
    assert client.post("/feedback", json={"items": [TRUTH, by_id, both]}).json == {"received": 3, "new": 0}
    assert log.count() == (1, 1)


def test_a_correction_is_kept_beside_what_it_corrects(client, log):
    client.post("/feedback", json={"items": [TRUTH]})
    corrected = {**TRUTH, "label": 0}
    assert client.post("/feedback", json={"items": [corrected]}).json == {"received": 1, "new": 1}
    assert log.count() == (0, 2)


@pytest.mark.parametrize(
    ("change", "field", "expected", "got"),
    [
        ({"prediction_id": "nobody"}, "prediction_id", "the id of a prediction of this service", "nobody"),
        ({"prediction_id": []}, "prediction_id", f"{ID}, or null", "[]"),
        ({"row_id": None}, "row_id", f"{ID}, or a prediction_id", None),
        ({"row_id": "a\0"}, "row_id", f"{ID}, or null", "a\0"),
        ({"label": 2}, "label", "0 or 1", 2),
        ({"label": 1.0}, "label", "0 or 1", 1.0),
        ({"label": True}, "label", "0 or 1", True),
        ({"label_known_at": "2026-01-06"}, "label_known_at", TIME, "2026-01-06"),
        ({"lable": 1}, "lable", "no field with this name", 1),
    ],
)
def test_a_bad_truth_is_a_422_and_the_good_one_beside_it_is_not_written(
    client, log, change, field, expected, got
):
    good = {**TRUTH, "row_id": "z"}
    answer = client.post("/feedback", json={"items": [good, {**TRUTH, **change}]})
    assert answer.status_code == 422
    assert answer.json["faults"] == [{"row": 1, "field": field, "expected": expected, "got": got}]
    assert log.count() == (0, 0)


def test_an_id_of_a_prediction_and_another_row_contradict(client):
    prediction = client.post("/predict", json={"row": ROW}).json["predictions"][0]["prediction_id"]
    answer = client.post("/feedback", json={"items": [{**TRUTH, "row_id": "b", "prediction_id": prediction}]})
    (fault,) = answer.json["faults"]
    assert fault == {"row": 0, "field": "row_id", "expected": "a, the row of the prediction", "got": "b"}


def test_an_item_that_is_not_an_object_is_named(client):
    (fault,) = client.post("/feedback", json={"items": [None]}).json["faults"]
    assert fault == {"row": 0, "field": "(item)", "expected": "an object", "got": None}


def test_faults_of_one_item_do_not_hide_those_of_others(client):
    items = [
        {**TRUTH, "prediction_id": "nobody"},
        {**TRUTH, "label": 2, "row_id": None},
        {**TRUTH, "lable": 1},
    ]
    faults = client.post("/feedback", json={"items": items}).json["faults"]
    assert [(fault["row"], fault["field"]) for fault in faults] == [
        (0, "prediction_id"),
        (1, "row_id"),
        (1, "label"),
        (2, "lable"),
    ]
