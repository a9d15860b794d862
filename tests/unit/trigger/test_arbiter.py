"""The arbiter's answers, one rule a test; the rules are tried in the order in which they stand here."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import Action, Evidence, OrderVerb
from trimtab.ledger import Order, Request
from trimtab.ledger.state import OrdersInForce
from trimtab.trigger.arbiter import Decision, State, arbitrate
from trimtab.trigger.policy import PolicyDecision

PARAMS = shipped()
READY = State(batches=12, champion="3", former="2")
NO_ORDERS = READY.orders
EVIDENCE = Evidence(leader="all", target="model")


def ordered(**orders: object) -> State:
    """A state in which eve has given orders."""
    return replace(READY, orders=replace(NO_ORDERS, **orders))


def by_eve(verb: OrderVerb, reason: str) -> Order:
    return Order(verb=verb, version="2", actor="eve", reason=reason, event_time=MONDAY)


HOLIDAY, LAUNCH, BIASED = by_eve("pause", "holiday"), by_eve("pin", "launch"), by_eve("block", "biased")


def asked(number: int = 1, **changes: object) -> Request:
    request = Request(id=number, source="age", episode=f"W{number}", reason="it is old", event_time=MONDAY)
    return replace(request, **changes)


def watch(number: int = 1, **changes: object) -> Request:
    return replace(asked(number, source="watch", champion="3"), **changes)


def decisions(state: State, *waiting: Request, policy: Action = "DEPLOY") -> list[Decision]:
    """The answers when the policy decides this for all, but a rollback for the watch rule."""

    def decide(request: Request) -> PolicyDecision:
        action: Action = "ROLLBACK" if request.source == "watch" else policy
        return PolicyDecision(action=action, reason=f"policy: {action}", evidence=EVIDENCE)

    return arbitrate(waiting, state, PARAMS, decide)


def answer(state: State, *waiting: Request, policy: Action = "DEPLOY") -> list[tuple[str, str]]:
    return [(each.action, each.reason) for each in decisions(state, *waiting, policy=policy)]


@pytest.mark.parametrize("action", ["DEPLOY", "SKIP", "WAIT", "ROLLBACK", "ASK"])
def test_where_no_rule_holds_the_policy_decides_with_its_sentence_and_evidence(action: Action) -> None:
    assert decisions(READY, asked(7), policy=action) == [
        Decision(request="age:W7", action=action, reason=f"policy: {action}", evidence=EVIDENCE)
    ]


@pytest.mark.parametrize("source", ["ui", "schedule"])
def test_people_and_schedules_are_told_at_once_what_others_wait_for(source: str) -> None:
    assert answer(READY, asked(source=source), policy="WAIT") == [("SKIP", "policy: WAIT")]


@pytest.mark.parametrize("source", ["alert", "drift"])
def test_an_alert_asks_until_the_champion_is_replaced(source: str) -> None:
    alert = asked(source=source, champion="3")
    assert answer(READY, alert, policy="SKIP") == [("WAIT", "policy: SKIP")]
    assert answer(READY, alert)[0][0] == "DEPLOY"
    assert answer(replace(READY, champion="4"), alert, policy="SKIP")[0][0] == "SKIP"


def test_nothing_waiting_is_no_answer() -> None:
    assert answer(READY) == []


def test_a_request_about_a_former_champion_is_no_longer_needed() -> None:
    gone = ("SKIP", "it was about version 2; version 3 is champion by now")
    assert answer(READY, asked(champion="2")) == answer(READY, watch(champion="2")) == [gone]
    assert answer(READY, asked(champion="3"))[0][0] == "DEPLOY"


def test_others_join_the_first_that_starts_something() -> None:
    assert answer(READY, asked(2), asked(1)) == [
        ("DEPLOY", "policy: DEPLOY"),
        ("SKIP", "joined what the request age:W1 started"),
    ]
    assert [action for action, _ in answer(READY, asked(1), asked(2), policy="SKIP")] == ["SKIP", "SKIP"]


@pytest.mark.parametrize("action", ["DEPLOY", "ROLLBACK", "ASK"])
def test_a_dry_run_says_what_would_be_and_starts_nothing_that_others_could_join(action: Action) -> None:
    dry = asked(1, source="ui", dry_run=True)
    assert decisions(READY, dry, asked(2), policy=action) == [
        Decision(
            request="ui:W1", action="SKIP", reason=f"dry run: {action}: policy: {action}", evidence=EVIDENCE
        ),
        Decision(request="age:W2", action=action, reason=f"policy: {action}", evidence=EVIDENCE),
    ]


@pytest.mark.parametrize(
    "changes", [{"dry_run": True}, {"window_batches": 3}, {"window_batches": 3, "dry_run": True}]
)
def test_a_dry_run_or_a_window_joins_nothing_else_and_nothing_else_joins_it(
    changes: dict[str, object],
) -> None:
    special = asked(2, source="ui", **changes)
    first = ("WAIT", "the request age:W1 comes first, which asks for something else")
    assert answer(READY, asked(1), special) == [("DEPLOY", "policy: DEPLOY"), first]
    if special.window_batches:
        assert [action for action, _ in answer(READY, special, asked(3))] == ["DEPLOY", "WAIT"]
        assert [action for action, _ in answer(READY, special, replace(special, id=3))] == ["DEPLOY", "SKIP"]


def test_a_request_whose_runs_fail_waits_for_a_correction() -> None:
    failing = replace(READY, failing={"age:W1": "3 runs failed at commit abc"})
    assert answer(failing, asked(1), asked(2)) == [
        (
            "WAIT",
            "3 runs failed at commit abc. Push a correction to the origin, or clear the failed Airflow run to try again",
        ),
        ("DEPLOY", "policy: DEPLOY"),
    ]


def test_a_pause_holds_everything() -> None:
    paused = ordered(paused=HOLIDAY, pinned=LAUNCH)
    for request in (asked(), asked(source="ui", force=True, dry_run=True), watch()):
        assert answer(paused, request) == [("WAIT", "paused by eve: holiday")]


def test_a_pin_holds_everything_but_a_dry_run() -> None:
    pinned = ordered(pinned=LAUNCH)
    text = "version 3 is pinned by eve: launch"
    assert answer(pinned, asked()) == answer(pinned, watch()) == [("WAIT", text)]
    assert answer(pinned, asked(source="ui", force=True)) == [("SKIP", text)]
    assert answer(pinned, asked(source="ui", dry_run=True)) == [("SKIP", "dry run: DEPLOY: policy: DEPLOY")]


def test_one_run_is_in_flight_at_a_time_and_a_rollback_waits_for_none() -> None:
    busy = replace(READY, in_flight="run-1")
    for request in (asked(), asked(source="ui", force=True)):
        assert answer(busy, request) == [("WAIT", "a run is in flight, held by run-1")]
    assert answer(busy, watch())[0][0] == "ROLLBACK"


def test_runs_within_an_hour_are_limited_even_with_force() -> None:
    busy = replace(READY, runs_in_hour=60)
    text = "60 runs within the hour, trigger.max_per_hour is 60"
    assert answer(busy, asked()) == [("WAIT", text)]
    assert answer(busy, asked(source="ui", force=True)) == [("SKIP", text)]
    assert answer(busy, watch())[0][0] == "ROLLBACK"
    assert answer(replace(READY, runs_in_hour=59), asked())[0][0] == "DEPLOY"


def test_the_first_training_waits_for_enough_batches() -> None:
    text = "7 of the 8 labelled batches of train.start_batches are in"
    assert answer(replace(READY, batches=7), asked(source="ui")) == [("WAIT", text)]
    assert answer(replace(READY, batches=8), asked(source="ui"))[0][0] == "DEPLOY"


def test_the_budget_of_deployments_holds_all_but_force_and_rollbacks() -> None:
    spent = replace(READY, deployments_in_month=8)
    text = "8 deployments within 30 days, trigger.max_per_event_month is 8"
    assert answer(spent, asked()) == [("WAIT", text)]
    assert answer(spent, asked(source="schedule")) == [("SKIP", f"{text}; tick force to go on")]
    assert answer(spent, asked(source="ui", force=True))[0][0] == "DEPLOY"
    assert answer(spent, watch())[0][0] == "ROLLBACK"
    assert answer(replace(READY, deployments_in_month=7), asked())[0][0] == "DEPLOY"


def test_a_window_that_a_person_chose_starts_a_run_whatever_the_policy_says_by_now() -> None:
    request = asked(source="ui", window_batches=3, reason="storms")
    for policy in ("SKIP", "WAIT", "DEPLOY"):
        assert decisions(READY, request, policy=policy) == [
            Decision(
                request="ui:W1",
                action="DEPLOY",
                reason="a person chose a training window of 3 batches: storms",
            )
        ]
    assert answer(replace(READY, in_flight="run-1"), request)[0][0] == "WAIT"


def test_a_rollback_comes_first() -> None:
    assert answer(READY, asked(1), watch(3)) == [
        ("ROLLBACK", "policy: ROLLBACK"),
        ("SKIP", "joined what the request watch:W3 started"),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"former": None}, "there is no version to go back to"),
        ({"orders": replace(NO_ORDERS, blocked={"2": BIASED})}, "version 2 is blocked by eve: biased"),
        ({"unloadable": "gone."}, "version 2 cannot be loaded to go back to it: gone."),
    ],
)
def test_a_rollback_waits_while_there_is_nothing_to_go_back_to(
    changes: dict[str, object], reason: str
) -> None:
    state = replace(READY, **changes)
    expected = Decision(request="watch:W1", action="WAIT", reason=reason, evidence=EVIDENCE)
    assert decisions(state, watch()) == [expected]
    assert answer(state, asked(2), policy="DEPLOY")[0][0] == "DEPLOY"


REQUESTS = st.builds(
    asked,
    number=st.integers(1, 9),
    source=st.sampled_from(["schedule", "ui", "first", "regret", "age", "watch", "drift", "alert"]),
    champion=st.sampled_from([None, "2", "3"]),
    window_batches=st.sampled_from([None, 3]),
    force=st.booleans(),
    dry_run=st.booleans(),
)
STATES = st.builds(
    State,
    batches=st.integers(0, 12),
    champion=st.sampled_from([None, "3"]),
    former=st.sampled_from([None, "2"]),
    in_flight=st.sampled_from([None, "run-1"]),
    deployments_in_month=st.sampled_from([0, 8]),
    orders=st.builds(
        OrdersInForce,
        paused=st.sampled_from([None, HOLIDAY]),
        pinned=st.sampled_from([None, LAUNCH]),
        blocked=st.sampled_from([{}, {"2": BIASED}]),
    ),
)


@given(
    waiting=st.lists(REQUESTS, unique_by=lambda request: request.key, max_size=6),
    state=STATES,
    policy=st.sampled_from(["DEPLOY", "ROLLBACK", "ASK", "SKIP", "WAIT"]),
)
def test_each_request_has_one_answer_and_at_most_one_starts_something(
    waiting: list[Request], state: State, policy: Action
) -> None:
    answers = decisions(state, *waiting, policy=policy)
    assert sorted(each.request for each in answers) == sorted(each.key for each in waiting)
    started = [each.action for each in answers if each.action in ("DEPLOY", "ROLLBACK", "ASK")]
    assert len(started) <= (0 if state.orders.paused else 1)
    assert "ROLLBACK" not in started or (state.former and state.former not in state.orders.blocked)
