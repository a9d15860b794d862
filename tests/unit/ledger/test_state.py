"""The state of the loop as a function of facts, without a database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.ledger import MONDAY, batch, request
from trimtab.contracts import BatchRef, Quarantined
from trimtab.ledger import Answer, Order, QuarantineAction, Run, Transition, TransitionEnd, Wait, state


def transition(
    number: int, kind: str = "promote", version: str = "1", stage: str = "Production"
) -> Transition:
    return Transition(
        id=number,
        key=f"t{number}",
        kind=kind,
        version=version,
        to_stage=stage,
        replaces=None,
        actor="test",
        reason="test",
        evidence_sha256=None,
        event_time=MONDAY + timedelta(weeks=number),
    )


def done(*transitions: Transition) -> list[Transition]:
    return state.completed(transitions, [TransitionEnd(key=each.key, outcome="done") for each in transitions])


def order(verb: str, version: str | None = None, number: int = 1) -> Order:
    return Order(id=number, verb=verb, version=version, actor="ann", reason="because", event_time=None)


def test_the_newest_revision_of_a_batch_is_in_force():
    facts = [batch(2), batch(1), batch(1, revision=2)]
    assert state.batches_in_force(facts) == [batch(1, revision=2), batch(2)]


def test_the_event_clock_is_the_latest_end():
    assert state.event_now([]) is None
    assert state.event_now([batch(3), batch(1)]) == MONDAY + timedelta(weeks=4)


def test_the_event_clock_ignores_a_revision_that_was_corrected():
    mistyped = batch(1, end=MONDAY.replace(year=2062))
    assert state.event_now([mistyped, batch(1, revision=2)]) == MONDAY + timedelta(weeks=2)


def test_the_drift_of_every_batch_from_the_promotion_on_is_measured_once():
    facts = [batch(1), batch(2), batch(3), batch(3, revision=2)]
    since = MONDAY + timedelta(weeks=2)
    assert state.unobserved(facts, ["W02:r1:v1", "W03:r1:v1", "W03:r2:v2"], "1", since) == [
        BatchRef(batch="W03", revision=2)
    ]


def test_the_drift_of_a_batch_without_rows_is_not_measured():
    assert state.unobserved([batch(1), batch(1, revision=2, rows=0)], [], "1", MONDAY) == []


def test_a_released_entry_is_no_longer_in_quarantine():
    entry = Quarantined(name="W01-batch-1", batch="W01", kind="batch", reason="empty", rows=0, path="q")
    actions = [
        QuarantineAction(entry=entry, action=action, actor="ann", reason="checked")
        for action in ("quarantined", "released")
    ]
    assert state.open_quarantine(actions[:1]) == {"W01-batch-1": entry}
    assert state.open_quarantine(actions) == {}


def test_the_newest_observation_is_that_of_the_latest_batch_and_revision():
    facts = [batch(1), batch(2), batch(2, revision=2)]
    assert state.newest_observation(facts, [], "1") is None
    assert state.newest_observation(facts, ["W02:r1:v1", "W01:r1:v1", "W02:r2:v2"], "1") == "W02:r1:v1"


def run(number: int, request_key: str) -> Run:
    return Run(
        id=number,
        key=f"m-{number}",
        request=request_key,
        action="DEPLOY",
        reason="it is old",
        holder="h",
        commit="c",
        event_time=MONDAY,
    )


def answer(number: int, request_key: str, run_key: str | None = None) -> Answer:
    return Answer(
        id=number,
        request=request_key,
        action="SKIP",
        reason="r",
        holder="h",
        event_time=MONDAY,
        run=run_key,
    )


def test_the_answer_that_a_run_led_to_stands_for_the_run():
    wait = Wait(id=1, request="drift:W01", reason="r", holder="h", event_time=MONDAY)
    runs, concluded = [run(2, "drift:W02"), run(3, "drift:W03")], answer(4, "drift:W02", "m-2")
    decided = state.decisions(runs, [answer(5, "drift:W04"), concluded], [wait])
    assert decided == [wait, runs[1], concluded, answer(5, "drift:W04")]
    assert [state.action_of(each) for each in decided] == ["WAIT", "DEPLOY", "SKIP", "SKIP"]


def test_a_request_waits_until_a_run_works_on_it():
    requests = [request("W01"), request("W02")]
    assert state.waiting(requests, [run(1, "drift:W02")]) == [requests[0]]
    assert state.waiting(requests, state.unfinished([run(1, "drift:W02")], ["m-1"])) == requests


def test_a_transition_counts_once_it_is_done():
    first, second, third = transition(1), transition(2, version="2"), transition(3, version="3")
    ends = [
        TransitionEnd(key="t2", outcome="done"),
        TransitionEnd(key="t3", outcome="void", reason="deleted"),
    ]
    assert state.completed([first, second, third], ends) == [second]
    assert state.unfinished([first, second, third], ["t2", "t3"]) == [first]


def test_the_last_move_to_production_is_live():
    assert state.live([]) is None
    moves = done(transition(1), transition(2, version="2"), transition(3, "archive", "2", "Archived"))
    assert state.live(moves).version == "2"


@pytest.mark.parametrize(
    ("kind", "proves"), [("promote", True), ("force", True), ("rollback", False), ("adopt", False)]
)
def test_a_promoted_version_must_prove_itself_and_one_that_came_back_need_not(kind, proves):
    promotion = state.promotion_of(done(transition(1), transition(2, kind)), "1")
    assert (promotion is not None) is proves


def test_a_restored_version_is_still_the_one_that_was_promoted():
    moves = done(transition(1), transition(2, "restore"))
    assert state.promotion_of(moves, "1").key == "t1"
    assert state.promoted_at(moves, "1") == MONDAY + timedelta(weeks=2)


def test_the_newest_of_a_pair_of_orders_is_in_force():
    orders = [
        order("pause"),
        order("block", "1"),
        order("block", "2"),
        order("unblock", "1"),
        order("pin", "3"),
    ]
    in_force = state.orders_in_force(orders)
    assert (in_force.paused, in_force.pinned) == (order("pause"), order("pin", "3"))
    assert in_force.blocked == {"2": order("block", "2")}
    assert state.orders_in_force([*orders, order("resume"), order("unpin")]).paused is None


def test_an_order_names_who_and_why():
    assert str(replace(order("pin"), reason="launch")) == "ann: launch"
