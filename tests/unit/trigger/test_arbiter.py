"""The arbiter's answers, one rule a test."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trimtab import params
from trimtab.ledger import Request
from trimtab.trigger.arbiter import State, arbitrate

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
READY = State(batches=12, fresh_batches=4, champion="3", in_flight=None, batches_since_retraining=4)


@pytest.fixture(scope="module")
def parameters() -> params.Params:
    return params.load(Path(__file__).parents[3] / "params.yaml")


def asked(number: int = 1, **changes: object) -> Request:
    request = Request(id=number, source="drift", episode=f"W{number}", reason="loss is high", event_time=NOON)
    return replace(request, **changes)


def answer(parameters: params.Params, state: State, *waiting: Request) -> list[tuple[str, str]]:
    return [(decision.action, decision.reason) for decision in arbitrate(waiting, state, parameters)]


def test_a_request_is_granted_with_its_reason(parameters: params.Params) -> None:
    assert answer(parameters, READY, asked()) == [("RETRAIN", "drift: loss is high")]


def test_an_answer_names_its_request(parameters: params.Params) -> None:
    assert arbitrate([asked(7)], READY, parameters)[0].request == "drift:W7"


def test_a_request_whose_runs_fail_waits_for_a_correction(parameters: params.Params) -> None:
    failing = replace(READY, failing={"drift:W1": "3 runs failed at commit abc"})
    assert answer(parameters, failing, asked(1), asked(2)) == [
        (
            "WAIT",
            "3 runs failed at commit abc. Push a correction to the origin, or clear the failed Airflow run to try again",
        ),
        ("RETRAIN", "drift: loss is high"),
    ]


def test_just_enough_batches_are_enough(parameters: params.Params) -> None:
    least = replace(
        READY, batches=parameters.train.start_batches, fresh_batches=parameters.gate.judge_batches
    )
    assert answer(parameters, least, asked())[0][0] == "RETRAIN"


def test_nothing_waiting_is_no_answer(parameters: params.Params) -> None:
    assert answer(parameters, READY) == []


def test_others_join_the_first(parameters: params.Params) -> None:
    assert answer(parameters, READY, asked(1), asked(2)) == [
        ("RETRAIN", "drift: loss is high"),
        ("SKIP", "joined the retraining that the request drift:W1 started"),
    ]


def test_one_run_is_in_flight_at_a_time(parameters: params.Params) -> None:
    busy = replace(READY, in_flight="run-1")
    assert answer(parameters, busy, asked()) == [("WAIT", "a run is in flight, held by run-1")]


def test_force_does_not_break_a_lease(parameters: params.Params) -> None:
    busy = replace(READY, in_flight="run-1")
    assert answer(parameters, busy, asked(source="ui", force=True))[0][0] == "WAIT"


def test_drift_waits_for_the_end_of_the_cooldown(parameters: params.Params) -> None:
    young = replace(READY, batches_since_retraining=1)
    assert answer(parameters, young, asked()) == [
        ("WAIT", "cooldown: 1 batch since the last retraining, trigger.cooldown_batches is 2")
    ]
    assert answer(parameters, replace(young, batches_since_retraining=2), asked())[0][0] == "RETRAIN"


def test_a_person_is_told_of_the_cooldown_and_can_force(parameters: params.Params) -> None:
    young = replace(READY, batches_since_retraining=0)
    text = "cooldown: 0 batches since the last retraining, trigger.cooldown_batches is 2; tick force to go on"
    for source in ("ui", "schedule"):
        assert answer(parameters, young, asked(source=source)) == [("SKIP", text)]
    assert answer(parameters, young, asked(source="ui", force=True))[0][0] == "RETRAIN"


def test_a_request_about_a_former_champion_is_moot(parameters: params.Params) -> None:
    assert answer(parameters, READY, asked(champion="2")) == [
        ("SKIP", "it was about version 2; version 3 is champion by now")
    ]
    assert answer(parameters, READY, asked(champion="3"))[0][0] == "RETRAIN"


def test_the_first_training_waits_for_enough_batches(parameters: params.Params) -> None:
    start = State(batches=5, fresh_batches=5, champion=None, in_flight=None, batches_since_retraining=None)
    assert answer(parameters, start, asked(source="ui")) == [
        ("WAIT", "5 of the 8 labelled batches of train.start_batches are in")
    ]


def test_a_judgement_waits_for_batches_that_the_champion_has_not_seen(parameters: params.Params) -> None:
    action, reason = answer(parameters, replace(READY, fresh_batches=1), asked())[0]
    assert action == "WAIT"
    assert reason == "1 of the 2 labelled batches of gate.judge_batches came after the champion's training"


HELD = replace(READY, under_judgement="4", unlooked_batches=1)
LOOK = {"source": "look", "challenger": "4", "champion": "3", "reason": "look 2 of 4 at version 4"}


def test_a_look_is_due_with_the_next_batch(parameters: params.Params) -> None:
    assert answer(parameters, HELD, asked(**LOOK)) == [("JUDGE", "look 2 of 4 at version 4")]
    assert answer(parameters, replace(HELD, unlooked_batches=0), asked(**LOOK))[0][0] == "WAIT"
    assert answer(parameters, replace(HELD, in_flight="run-1"), asked(**LOOK))[0][0] == "WAIT"


def test_a_look_at_what_is_no_longer_judged_or_against_a_former_champion_is_moot(
    parameters: params.Params,
) -> None:
    assert answer(parameters, replace(HELD, under_judgement="5"), asked(**LOOK))[0][0] == "SKIP"
    assert answer(parameters, replace(HELD, champion="9"), asked(**LOOK))[0][0] == "SKIP"


def test_a_look_comes_before_whatever_asked_first(parameters: params.Params) -> None:
    decisions = answer(parameters, HELD, asked(1, champion="3"), asked(2, **LOOK))
    assert [action for action, _ in decisions] == ["JUDGE", "WAIT"]
    assert decisions[1][1] == "the look that the request look:W2 started comes first"


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"source": "age"}, "WAIT"),
        ({"source": "drift"}, "WAIT"),
        ({"source": "schedule"}, "SKIP"),
        ({"source": "ui"}, "SKIP"),
        ({"source": "ui", "force": True}, "RETRAIN"),
    ],
)
def test_what_asks_waits_for_a_challenger_under_judgement(
    parameters: params.Params, changes, action: str
) -> None:
    assert answer(parameters, replace(HELD, unlooked_batches=0), asked(**changes))[0][0] == action


def test_without_refit_drift_asks_for_a_younger_challenger(parameters: params.Params) -> None:
    plain = parameters.model_copy(update={"gate": parameters.gate.model_copy(update={"refit": False})})
    assert answer(plain, HELD, asked(source="drift"))[0][0] == "RETRAIN"
    assert answer(plain, HELD, asked(source="age"))[0][0] == "WAIT"


WATCHED = {"source": "watch", "champion": "3", "challenger": "2", "reason": "version 3 loses"}


def test_a_rollback_comes_first_and_waits_for_no_run(parameters: params.Params) -> None:
    busy = replace(HELD, in_flight="run-1")
    assert answer(parameters, busy, asked(1), asked(2, **LOOK), asked(3, **WATCHED)) == [
        ("ROLLBACK", "version 3 loses: back to version 2"),
        ("WAIT", "the rollback that the request watch:W3 started comes first"),
        ("WAIT", "the rollback that the request watch:W3 started comes first"),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pinned": "eve: launch"}, "version 3 is pinned by eve: launch"),
        ({"paused": "eve: holiday"}, "paused by eve: holiday"),
        ({"blocked": {"2": "eve: biased"}}, "version 2 is blocked by eve: biased"),
        ({"unloadable": {"2": "gone."}}, "version 2 cannot be loaded to go back to it: gone."),
    ],
)
def test_a_rollback_waits_for_what_people_ordered(parameters: params.Params, changes, reason: str) -> None:
    assert answer(parameters, replace(READY, **changes), asked(**WATCHED)) == [("WAIT", reason)]


def test_a_rollback_of_a_former_champion_is_moot(parameters: params.Params) -> None:
    assert answer(parameters, READY, asked(**WATCHED | {"champion": "1"}))[0][0] == "SKIP"


@pytest.mark.parametrize(
    ("changes", "source", "expected"),
    [
        ({"paused": "eve: holiday"}, "ui", ("WAIT", "paused by eve: holiday")),
        ({"pinned": "eve: launch"}, "ui", ("SKIP", "version 3 is pinned by eve: launch")),
        ({"pinned": "eve: launch"}, "drift", ("WAIT", "version 3 is pinned by eve: launch")),
        (
            {"retrainings_in_month": 8},
            "schedule",
            ("SKIP", "8 retrainings within 30 days, trigger.max_per_event_month is 8"),
        ),
        ({"runs_in_hour": 60}, "drift", ("WAIT", "60 runs within the hour, trigger.max_per_hour is 60")),
        ({"runs_in_hour": 60}, "ui", ("SKIP", "60 runs within the hour, trigger.max_per_hour is 60")),
    ],
)
def test_no_force_breaks_orders_budget_and_ceiling(
    parameters: params.Params, changes, source: str, expected: tuple[str, str]
) -> None:
    assert answer(parameters, replace(READY, **changes), asked(source=source, force=True)) == [expected]


def test_one_below_budget_and_ceiling_goes_on(parameters: params.Params) -> None:
    assert (
        answer(parameters, replace(READY, retrainings_in_month=7, runs_in_hour=59), asked())[0][0]
        == "RETRAIN"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"batches_since_rollback": 0},
            "no batch has come since the last rollback: the same data, the same model",
        ),
        ({"drifted": 0}, "0 of the newest 1 batches drifted, trigger.confirm_drift is 1"),
        (
            {"new_labels": 499},
            "499 labels came since the last retraining, trigger.min_new_labels is 500",
        ),
    ],
)
def test_what_a_request_waits_for_and_a_person_may_force(
    parameters: params.Params, changes, reason: str
) -> None:
    state = replace(READY, **changes)
    assert answer(parameters, state, asked()) == [("WAIT", reason)]
    assert answer(parameters, state, asked(source="ui", force=True))[0][0] == "RETRAIN"


def test_what_is_enough_to_go_on(parameters: params.Params) -> None:
    enough = replace(READY, batches_since_rollback=1, drifted=1, new_labels=500)
    assert answer(parameters, enough, asked())[0][0] == "RETRAIN"


def test_only_drift_has_to_be_confirmed(parameters: params.Params) -> None:
    assert answer(parameters, replace(READY, drifted=0), asked(source="age"))[0][0] == "RETRAIN"


def test_what_a_retraining_has_seen_is_answered_by_it(parameters: params.Params) -> None:
    seen = replace(READY, seen_through=NOON)
    assert answer(parameters, seen, asked()) == [
        ("SKIP", "the last retraining has seen all labels up to 2026-01-05 12:00")
    ]
    text = "the last retraining has seen all labels up to 2026-01-05 12:00; tick force to train again"
    assert answer(parameters, seen, asked(source="ui")) == [("SKIP", text)]
    for own in ({"force": True}, {"dry_run": True}, {"window_batches": 3}):
        assert answer(parameters, seen, asked(**own))[0][0] == "RETRAIN"
    earlier = replace(READY, seen_through=NOON.replace(hour=11))
    assert answer(parameters, earlier, asked())[0][0] == "RETRAIN"


def test_a_champion_that_cannot_be_loaded_is_said_to_be(parameters: params.Params) -> None:
    gone = replace(HELD, unloadable={"3": "its artifact cannot be had."})
    for request in (asked(), asked(**LOOK)):
        action, reason = answer(parameters, gone, request)[0]
        assert action == "WAIT"
        assert reason.startswith("the champion, version 3, cannot be loaded to compare with it: its artifact")


def test_a_dry_run_may_be_tried_while_pinned(parameters: params.Params) -> None:
    assert answer(parameters, replace(READY, pinned="eve: x"), asked(dry_run=True))[0][0] == "RETRAIN"


@pytest.mark.parametrize(("request_of", "action"), [(LOOK, "JUDGE"), (WATCHED, "ROLLBACK")])
def test_what_holds_a_retraining_back_holds_no_look_and_no_rollback(
    parameters: params.Params, request_of, action: str
) -> None:
    state = replace(
        HELD,
        batches=0,
        fresh_batches=0,
        batches_since_retraining=0,
        new_labels=0,
        drifted=0,
        batches_since_rollback=0,
        retrainings_in_month=99,
        seen_through=NOON,
    )
    assert answer(parameters, state, asked(**request_of))[0][0] == action


def test_the_sentences_of_waiting(parameters: params.Params) -> None:
    assert answer(parameters, replace(HELD, unlooked_batches=0), asked(**LOOK)) == [
        ("WAIT", "no labelled batch has come since the last look")
    ]
    held = "version 4 is under judgement and has looks left"
    assert answer(parameters, HELD, asked(source="age")) == [("WAIT", held)]
    forced = f"{held}; tick force to train another in its stead"
    assert answer(parameters, HELD, asked(source="ui")) == [("SKIP", forced)]
