"""A client's retry is the same prediction, whichever worker answers it, and whenever."""

import threading

import pytest
from werkzeug.exceptions import Conflict

from tests.unit.serve.shelf import ROW, WANTED, Log, client_of
from trimtab.serve.retries import Retries
from trimtab.serve.row_checker import RowChecker

ROWS = {"rows": [ROW, {**ROW, "row_id": "b"}]}
KEY = {"Idempotency-Key": "order 7"}


def test_a_retry_is_answered_as_before_even_after_a_promotion(client, shelf, holder, log):
    first = client.post("/predict", json=ROWS, headers=KEY)
    shelf.promote("2")
    holder.refresh()
    again = client.post("/predict", json=ROWS, headers=KEY)
    assert again.data == first.data
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert log.count() == (2, 0)


def test_another_process_knows_the_answer_from_the_log(client, holder, log):
    first = client.post("/predict", json=ROWS, headers=KEY)
    log.flush(seconds=30)
    assert client_of(holder, log).post("/predict", json=ROWS, headers=KEY).data == first.data
    assert log.count() == (2, 0)


def test_another_process_knows_the_answer_while_it_waits_for_the_log(holder, tmp_path):
    log = Log(tmp_path)  # its writer was not started
    first = client_of(holder, log).post("/predict", json=ROWS, headers=KEY)
    assert client_of(holder, log).post("/predict", json=ROWS, headers=KEY).data == first.data
    log.close()


@pytest.mark.parametrize(
    "other",
    [
        {"rows": [ROW]},
        {"rows": [*ROWS["rows"], {**ROW, "row_id": "c"}]},
        {"rows": [ROW, {**ROW, "row_id": "b", "price": 11}]},
        {"rows": ROWS["rows"][::-1]},
    ],
    ids=["fewer", "more", "changed", "turned"],
)
@pytest.mark.parametrize("known", ["here", "in the log"])
def test_a_key_with_another_body_is_refused(client, holder, log, other, key):
    client.post("/predict", json=ROWS, headers=KEY)
    asked = client if key == "here" else client_of(holder, log)
    answer = asked.post("/predict", json=other, headers=KEY)
    assert answer.status_code == 422
    assert answer.json["faults"] == [
        {
            "field": "Idempotency-Key",
            "expected": "a key that did not come with another body",
            "got": "order 7",
        }
    ]
    assert log.count() == (2, 0)


def test_a_row_alone_and_a_list_of_it_are_the_same(client):
    alone = client.post("/predict", json={"row": ROW}, headers=KEY)
    assert client.post("/predict", json={"rows": [ROW]}, headers=KEY).data == alone.data


def test_without_a_key_each_request_is_a_prediction_of_its_own(client, log):
    first, other = (client.post("/predict", json=ROWS).json["predictions"][0] for _ in range(2))
    assert first["prediction_id"] != other["prediction_id"]
    assert log.count() == (4, 0)


def test_a_refused_request_leaves_its_key_free(client):
    bad = {"rows": [{**ROW, "price": -1}]}
    assert client.post("/predict", json=bad, headers=KEY).status_code == 422
    assert client.post("/predict", json=ROWS, headers=KEY).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
def test_a_key_that_is_none_is_refused(client, key):
    answer = client.post("/predict", json=ROWS, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json["faults"][0]["expected"] == "1 to 255 printable ASCII characters"


def test_while_it_is_answered_the_same_key_waits_for_nobody(log):
    retries = Retries(log, "flight-delay", 10)
    request = RowChecker(WANTED.data, 50).check({"row": ROW})
    inside, go_on = threading.Event(), threading.Event()

    def slowly(ids):
        inside.set()
        assert go_on.wait(30)
        return []

    running = threading.Thread(target=lambda: retries.answer("k", request, slowly))
    running.start()
    assert inside.wait(30)
    with pytest.raises(Conflict, match="is being processed; try again"):
        retries.answer("k", request, slowly)
    go_on.set()
    running.join()


def test_what_is_remembered_is_bounded_and_the_log_knows_the_rest(client, log):
    for number in range(40):  # 20 requests of 50 rows are remembered, at most
        rows = [{**ROW, "row_id": f"{number}-{row}"} for row in range(50)]
        client.post("/predict", json={"rows": rows}, headers={"Idempotency-Key": str(number)})
    rows = [{**ROW, "row_id": f"0-{row}"} for row in range(50)]
    again = client.post("/predict", json={"rows": rows}, headers={"Idempotency-Key": "0"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert log.count() == (2000, 0)
