"""Reads that several packages need, on a real SQLite file."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.ledger import MONDAY, batch, request
from trimtab.contracts import Plan
from trimtab.errors import Conflict
from trimtab.ledger import (
    Answer,
    Batch,
    Judgement,
    Ledger,
    Notice,
    Request,
    Run,
    RunEnd,
    Snapshot,
    Transition,
    TransitionEnd,
    queries,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "demand")
    ledger.migrate()
    return ledger


def run(episode: str) -> Run:
    plan = Plan(model="demand", commit="c", cutoff=MONDAY, train=(), judge=())
    return Run(
        key=f"demand-{episode}",
        request=request(episode).key,
        action="RETRAIN",
        reason="the loss is high",
        holder="run",
        plan=plan,
        event_time=MONDAY,
    )


def ended(run: Run, outcome: str) -> RunEnd:
    return RunEnd(key=run.key, request=run.request, outcome=outcome, reason="", event_time=run.event_time)


def answer(episode: str, run: str | None = None) -> Answer:
    key = request(episode).key
    return Answer(request=key, action="SKIP", reason="", holder="run", event_time=MONDAY, run=run)


def judgement(run_key: str, version: str, state: str) -> Judgement:
    return Judgement(run_key=run_key, version=version, state=state, reason="", event_time=MONDAY)


def move(version: str, to: str) -> Transition:
    return Transition(
        key=f"{version}:{to}",
        kind="promote",
        version=version,
        to_stage=to,
        replaces=None,
        actor="run",
        reason="better",
        evidence_sha256=None,
        event_time=MONDAY,
    )


def test_the_newest_batches_come_in_the_order_of_their_start(ledger):
    ledger.append(batch(3), batch(1), batch(2), batch(4))
    assert queries.newest_batches(ledger, 2) == [batch(3), batch(4)]
    assert queries.newest_batches(ledger, 9) == [batch(1), batch(2), batch(3), batch(4)]


def test_a_wrong_end_that_was_corrected_does_not_make_a_batch_the_newest(ledger):
    ledger.append(batch(1, end=MONDAY + timedelta(days=9999)), batch(2), batch(3), batch(1, revision=2))
    assert queries.newest_batches(ledger, 2) == [batch(2), batch(3)]


def test_a_request_waits_until_it_is_answered_or_a_run_works_on_it(ledger):
    ledger.append(*map(request, "abcde"), answer("a"), run("b"), run("c"), run("d"))
    ledger.append(ended(run("c"), "failed"), ended(run("d"), "concluded"), answer("d", run("d").key))
    assert queries.waiting_requests(ledger) == [request("c"), request("e")]
    assert queries.runs_in_progress(ledger) == [run("b")]


def test_only_completed_moves_to_production_count(ledger):
    moves = [move("1", "Production"), move("2", "Staging"), move("3", "Production"), move("4", "Production")]
    ends = [
        TransitionEnd(key=move.key, outcome="void" if move.version == "3" else "done") for move in moves[:3]
    ]
    ledger.append(*moves, *ends)
    assert queries.to_production(ledger) == [moves[0]]


def test_a_version_is_under_judgement_until_its_newest_state_ends_it(ledger):
    assert queries.under_judgement(ledger) is None
    ledger.append(judgement("a", "1", "OPEN"), judgement("b", "2", "OPEN"), judgement("a", "1", "HOLD"))
    assert queries.under_judgement(ledger) == "2"
    assert queries.under_judgement(ledger, ("HOLD", "ASK")) == "1"
    ledger.append(judgement("b", "2", "REJECT"), judgement("a", "1", "PROMOTE"))
    assert queries.under_judgement(ledger) is None


def test_some_columns_are_read_without_the_rest(ledger):
    ledger.append(batch(1), batch(2), answer("a"), answer("b", "demand-1"))
    assert [tuple(row) for row in ledger.columns(Batch, "key", "event_time", "manifest.batch")] == [
        ("W01:r1", batch(1).event_time, "W01"),
        ("W02:r1", batch(2).event_time, "W02"),
    ]
    assert [tuple(row) for row in ledger.columns(Answer, "run", keys=["drift:b"])] == [("demand-1",)]


def test_the_newest_facts_come_oldest_first_and_a_field_can_be_empty(ledger):
    ledger.append(*map(request, "abc"), answer("a"), answer("b", "demand-1"), answer("c"))
    ledger.append(Notice(key="1", kind="ask", text=""), Notice(key="2", kind="rollback", text=""))
    assert ledger.all(Request, newest=2) == [request("b"), request("c")]
    assert ledger.all(Answer, run=None, newest=1) == [answer("c")]
    assert ledger.all(Request, keys=["drift:a", "drift:x"]) == [request("a")]
    assert [notice.key for notice in ledger.all(Notice, kind="ask")] == ["1"]


def test_what_waits_depends_on_answers_and_runs_but_not_on_new_requests(ledger):
    ledger.append(request("a"), run("a"))
    facts = Snapshot(ledger)
    assert queries.waiting_requests(facts) == []
    ledger.append(request("b"))
    facts.append(answer("x"))
    with pytest.raises(Conflict):
        facts.append(answer("y"))
