"""Reads that several packages need, on a real SQLite file."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.ledger import MONDAY, batch, request
from trimtab.contracts import ModelVersion, Training
from trimtab.errors import Conflict
from trimtab.ledger import (
    Answer,
    Batch,
    Ledger,
    Notice,
    Question,
    Request,
    Run,
    RunEnd,
    Snapshot,
    Transition,
    TransitionEnd,
    Version,
    queries,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "demand")
    ledger.migrate()
    return ledger


def run(episode: str) -> Run:
    return Run(
        key=f"demand-{episode}",
        request=request(episode).key,
        action="DEPLOY",
        reason="the loss is high",
        holder="run",
        commit="c",
        event_time=MONDAY,
    )


def ended(run: Run, outcome: str) -> RunEnd:
    return RunEnd(key=run.key, request=run.request, outcome=outcome, reason="", event_time=run.event_time)


def answer(episode: str, run: str | None = None) -> Answer:
    key = request(episode).key
    return Answer(request=key, action="SKIP", reason="", holder="run", event_time=MONDAY, run=run)


def move(version: str, to: str, kind: str = "promote", *, replaces: str | None = None) -> Transition:
    return Transition(
        key=f"{kind}:{version}:{to}",
        kind=kind,
        version=version,
        to_stage=to,
        replaces=replaces,
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


def test_a_run_that_asks_a_person_is_in_progress_until_it_ends(ledger):
    ledger.append(run("a"), run("b"), Question(key=run("a").key, text="deploy?", event_time=MONDAY))
    assert queries.asking(ledger) == {run("a").key}
    ledger.append(ended(run("a"), "concluded"))
    assert queries.asking(ledger) == set()


def registered(version: str) -> Version:
    training = Training(
        run_id=f"run-{version}",
        source="s",
        digest="d",
        trained_through=MONDAY,
        rows=10,
        batches=(),
        seconds=1.0,
    )
    return Version(version=version, candidate="all", training=training)


def make(ledger: Ledger, *transitions: Transition) -> None:
    ends = [TransitionEnd(key=transition.key, outcome="done") for transition in transitions]
    ledger.append(*transitions, *ends)


def version_names(*versions: ModelVersion | None) -> list[str | None]:
    return [version.version if version else None for version in versions]


def test_the_service_is_told_of_champion_challenger_and_former_champion(ledger):
    served = queries.served(ledger)
    assert version_names(served.champion, served.challenger, served.former) == [None, None, None]
    ledger.append(*map(registered, "1234"))
    make(ledger, move("1", "Production"), move("3", "Staging", "stage"))
    make(ledger, move("2", "Production", replaces="1"), move("3", "Archived", "archive"))
    make(ledger, move("4", "Staging", "stage"))
    served = queries.served(ledger)
    assert version_names(served.champion, served.challenger, served.former) == ["2", "4", "1"]
    assert queries.champion(ledger) == registered("2").model_version


def test_a_champion_that_a_rollback_brought_back_has_no_former_one(ledger):
    ledger.append(*map(registered, "12"))
    make(ledger, move("1", "Production"), move("2", "Production", replaces="1"))
    make(ledger, move("1", "Production", "rollback", replaces="2"))
    served = queries.served(ledger)
    assert version_names(served.champion, served.former) == ["1", None]


def test_drift_is_not_measured_before_there_is_a_champion(ledger):
    ledger.append(batch(1))
    assert queries.unobserved(ledger) == (None, [])
    ledger.append(registered("1"))
    make(ledger, move("1", "Production"))
    assert queries.unobserved(ledger) == ("1", [batch(1).ref])


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
