"""The arbiter's answers, one rule a test."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trimtab import params
from trimtab.contracts import Request
from trimtab.registry.records import RequestRecord
from trimtab.trigger.arbiter import State, arbitrate

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
READY = State(batches=12, fresh_batches=4, champion="3", in_flight=None, batches_since_retraining=4)


@pytest.fixture(scope="module")
def wanted() -> params.Params:
    return params.load(Path(__file__).parents[3] / "params.yaml")


def asked(number: int = 1, **changes: object) -> RequestRecord:
    request = Request(model="m", source="drift", episode=f"W{number}", reason="loss is high", event_time=NOON)
    return RequestRecord(id=number, request=replace(request, **changes), at=NOON)


def answer(wanted: params.Params, state: State, *waiting: RequestRecord) -> list[tuple[str, str]]:
    return [(one.action, one.reason) for one in arbitrate(waiting, state, wanted)]


def test_a_request_is_granted_with_its_reason(wanted: params.Params) -> None:
    assert answer(wanted, READY, asked()) == [("RETRAIN", "drift: loss is high")]


def test_nothing_waiting_is_no_answer(wanted: params.Params) -> None:
    assert answer(wanted, READY) == []


def test_others_join_the_first(wanted: params.Params) -> None:
    assert answer(wanted, READY, asked(1), asked(2)) == [
        ("RETRAIN", "drift: loss is high"),
        ("SKIP", "joined the retraining that request 1 started"),
    ]


def test_one_run_is_in_flight_at_a_time(wanted: params.Params) -> None:
    busy = replace(READY, in_flight="run-1")
    assert answer(wanted, busy, asked()) == [("WAIT", "a retraining is in flight, held by run-1")]


def test_force_does_not_break_a_lease(wanted: params.Params) -> None:
    busy = replace(READY, in_flight="run-1")
    assert answer(wanted, busy, asked(source="ui", force=True))[0][0] == "WAIT"


def test_drift_waits_for_the_end_of_the_cooldown(wanted: params.Params) -> None:
    young = replace(READY, batches_since_retraining=1)
    assert answer(wanted, young, asked())[0][0] == "WAIT"
    assert answer(wanted, replace(young, batches_since_retraining=2), asked())[0][0] == "RETRAIN"


def test_a_person_is_told_of_the_cooldown_and_can_force(wanted: params.Params) -> None:
    young = replace(READY, batches_since_retraining=1)
    action, reason = answer(wanted, young, asked(source="ui"))[0]
    assert reason.endswith("tick force to go on")
    assert answer(wanted, young, asked(source="ui", force=True))[0][0] == "RETRAIN"


def test_a_request_about_a_former_champion_is_moot(wanted: params.Params) -> None:
    assert answer(wanted, READY, asked(champion="2")) == [
        ("SKIP", "it was about version 2; version 3 is champion by now")
    ]
    assert answer(wanted, READY, asked(champion="3"))[0][0] == "RETRAIN"


def test_the_first_training_waits_for_enough_batches(wanted: params.Params) -> None:
    start = State(batches=5, fresh_batches=5, champion=None, in_flight=None, batches_since_retraining=None)
    assert answer(wanted, start, asked(source="ui")) == [
        ("WAIT", "5 of the 8 batches of train.start_batches are in")
    ]


def test_a_judgement_waits_for_batches_that_the_champion_has_not_seen(wanted: params.Params) -> None:
    action, reason = answer(wanted, replace(READY, fresh_batches=1), asked())[0]
    assert action == "WAIT"
    assert reason == "1 of the 2 batches of gate.judge_batches came after the champion's training"
