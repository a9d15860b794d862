"""The checks of `make verify AREA=soak` find each fault, and accept a correct log."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from tests.support.predictions import HOUR, NOON, add_outcomes, log_settings, outcome, prediction
from tests.verify.soak.checks import differences, outcome_faults
from tests.verify.soak.load import label_of
from tests.verify.soak.records import Seen
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog

FIRST, SECOND, THIRD = (str(uuid4()) for _ in range(3))
EXPECTED = {"1": [0.25], "2": [0.75]}


def read(folder: Path, *records: dict[str, object]) -> Seen:
    defaults = {"kind": "single", "due": 0.0, "sent": 0.0, "done": 0.5, "status": 200}
    path, seen = folder / "records.jsonl", Seen(expected=EXPECTED)
    path.write_bytes(b"\n".join(orjson.dumps({**defaults, **record}) for record in records))
    assert seen.read(path) == len(records)
    return seen


def response(*rows: tuple[str, str, str, float], **changes: object) -> dict[str, object]:
    return {"told": rows, **changes}


@pytest.fixture
def kind() -> str:
    return "postgresql"


def add_two(log: PredictionLog) -> None:
    log.add([prediction(FIRST, "a-1-0", answer=0.25), prediction(SECOND, "a-2-0", answer=0.25)])


BOTH = response((FIRST, "a-1-0", "1", 0.25), (SECOND, "a-2-0", "1", 0.25))


def test_each_answer_once_is_right(url: str, log: PredictionLog, tmp_path: Path) -> None:
    add_two(log)
    assert differences(url, read(tmp_path, BOTH)) == []


def test_a_lost_an_unasked_and_another_answer_are_noticed(
    url: str, log: PredictionLog, tmp_path: Path
) -> None:
    add_two(log)
    seen = read(tmp_path, response((FIRST, "a-1-0", "1", 0.25), (THIRD, "a-3-0", "1", 0.25)))
    assert sorted(differences(url, seen)) == [
        "1 x a prediction is in the log that no client was told, or twice",
        "1 x a prediction that a client was told is not in the log",
    ]
    seen = read(tmp_path, response((FIRST, "a-1-0", "2", 0.75), (SECOND, "a-9-0", "1", 0.25)))
    assert differences(url, seen) == ["2 x a prediction is in the log otherwise than the client was told"]


def test_a_label_that_is_not_in_force_is_noticed(url: str, log: PredictionLog, tmp_path: Path) -> None:
    add_two(log)
    seen = read(tmp_path, BOTH, {"kind": "feedback", "outcomes": ["a-1-0"]})
    window = ("demand", seen, NOON - HOUR, NOON + timedelta(seconds=1))
    add_outcomes(log, outcome("a-1-0", label_of("a-1-0")))
    assert outcome_faults(log, *window) == []
    add_outcomes(log, outcome("a-1-0", 1 - label_of("a-1-0"), at=NOON + 2 * HOUR))
    assert len(outcome_faults(log, *window)) == 1


def test_a_failure_and_a_wrong_answer_are_noticed(tmp_path: Path) -> None:
    refused = {"status": 503, "error": "away"}
    assert read(tmp_path, refused, refused).faults == {"single: status 503: away": 2}
    wrong = response((FIRST, "a-1-0", "2", 0.25))
    assert read(tmp_path, wrong).faults == {"version 2 does not answer this to the row": 1}
    twice = response((FIRST, "a-1-0", "1", 0.25))
    assert read(tmp_path, twice, twice).faults == {"two clients were told the same prediction id": 1}


def test_a_version_that_comes_back_is_noticed(tmp_path: Path) -> None:
    old, new = (FIRST, "a-1-0", "1", 0.25), (SECOND, "a-2-0", "2", 0.75)
    late = (THIRD, "a-3-0", "1", 0.25)
    in_order = read(
        tmp_path, response(old), response(new, sent=1.0, done=2.0), response(late, sent=1.5, done=3.0)
    )
    assert in_order.order_faults(["1", "2"]) == []
    out_of_order = read(
        tmp_path, response(old), response(new, sent=1.0, done=2.0), response(late, sent=2.5, done=3.0)
    )
    assert out_of_order.order_faults(["1", "2"]) == [
        "1 requests were answered by a version before one seen already"
    ]
    assert len(out_of_order.order_faults(["1", "2", "3"])) == 1


def test_all_of_the_log_is_joined(log: PredictionLog, address: Callable[[str], str], tmp_path: Path) -> None:
    add_two(log)
    short = ("demand", read(tmp_path, BOTH), NOON - HOUR, NOON - HOUR / 2)
    assert outcome_faults(log, *short) == ["1 x the join has 0 rows of 2"]
    empty = open_log(address("postgresql"), log_settings())
    assert outcome_faults(empty, *short) == ["1 x the join has 0 rows of 2"]
    empty.close()
