"""What a client does upon an answer stays with the prediction."""

import pytest

from tests.unit.serve.shelf import ROW
from trimtab.serve.retries import HEADER

CHANCE = "a number above 0 and at most 1"
GIVEN = {"name": "discount", "propensity": 0.9}


def logged(log, answer) -> list[tuple[str | None, float | None]]:
    ids = [id_["prediction_id"] for id_ in answer.json["predictions"]]
    records = log.find("flight-delay", ids)
    return [(records[id_].action, records[id_].propensity) for id_ in ids]


def test_an_action_is_kept_with_its_row(client, log):
    rows = [ROW, {**ROW, "row_id": "b"}]
    answer = client.post("/predict", json={"rows": rows, "actions": [None, GIVEN]})
    assert logged(log, answer) == [(None, None), ("discount", 0.9)]
    assert logged(log, client.post("/predict", json={"row": ROW, "action": GIVEN})) == [("discount", 0.9)]
    assert logged(log, client.post("/predict", json={"row": ROW, "action": None})) == [(None, None)]


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        ({"row": ROW, "action": "discount"}, "action", "an object"),
        ({"row": ROW, "action": {"name": "discount"}}, "propensity", CHANCE),
        ({"row": ROW, "action": GIVEN | {"name": ""}}, "name", "text of 1 to 300 characters without NUL"),
        ({"row": ROW, "action": GIVEN | {"propensity": 0}}, "propensity", CHANCE),
        ({"row": ROW, "action": GIVEN | {"propensity": 1.1}}, "propensity", CHANCE),
        ({"row": ROW, "action": GIVEN | {"propensity": True}}, "propensity", CHANCE),
        ({"row": ROW, "action": GIVEN | {"reason": "x"}}, "reason", "no field with this name"),
        ({"rows": [ROW], "actions": [7]}, "(action)", "an object"),
        ({"rows": [ROW], "actions": []}, "actions", "a list with an action or null for each row"),
        ({"rows": [ROW], "actions": GIVEN}, "actions", "a list"),
        ({"row": ROW, "actions": [GIVEN]}, "actions", "no field with this name"),
        ({"rows": [ROW], "action": GIVEN}, "action", "no field with this name"),
    ],
)
def test_what_is_no_action_is_refused_and_nothing_is_logged(client, log, body, field, expected):
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    (fault,) = answer.json["faults"]
    assert (fault["field"], fault["expected"]) == (field, expected)
    assert log.count() == (0, 0)


def test_a_retry_with_another_action_is_another_body(client):
    def ask(**action):
        return client.post("/predict", json={"row": ROW, **action}, headers={HEADER: "k"})

    first = ask(action=GIVEN)
    assert ask(action=GIVEN).json == first.json
    for other in ({"action": GIVEN | {"propensity": 0.5}}, {"action": GIVEN | {"name": "none"}}, {}):
        assert ask(**other).status_code == 422
