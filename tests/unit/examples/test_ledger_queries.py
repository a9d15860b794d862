"""What the demo reads from the ledger."""

from pathlib import Path

import pytest

from examples.flights import ledger_queries
from examples.flights.records import Decision, Measured
from tests.support.builders import shipped
from tests.support.ledger import MONDAY, batch
from tests.support.scored import score
from trimtab.contracts import Training
from trimtab.ledger import (
    Answer,
    Ledger,
    Measurement,
    Request,
    Shadow,
    Transition,
    TransitionEnd,
    Version,
    Wait,
)

PARAMS = shipped()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "demand")
    ledger.migrate()
    return ledger


def training(week: int) -> Training:
    """The model that was fitted through a week."""
    return Training(
        run_id=f"all-{week}",
        source="models:/m",
        digest="d",
        trained_through=batch(week).manifest.end,
        rows=10,
        batches=(),
        seconds=1.0,
    )


def measure(ledger: Ledger, week: int, **losses: float) -> None:
    """Write what the loop writes after a week: the scores of models, and the model that it fitted."""
    fact = batch(week)
    losses["all"] = losses.pop("fresh")
    measurement = Measurement(
        batch=fact.manifest.batch,
        revision=1,
        scores={
            f"all-{week - 1}" if name == "all" else name.replace("_", "-"): score(loss)
            for name, loss in losses.items()
        },
        champion=None,
        shadows={"all": f"all-{week - 1}"},
        leader="all",
        event_time=fact.event_time,
    )
    fitted = Shadow(
        candidate="all",
        batch=fact.manifest.batch,
        revision=1,
        training=training(week),
        event_time=fact.event_time,
    )
    ledger.append(fact, fitted, measurement)


def deploy(ledger: Ledger, week: int) -> None:
    """Deploy the model that was fitted through a week, as the version with its number."""
    version = Version(version=str(week), candidate="all", training=training(week))
    move = Transition(
        key=f"deploy-{week}",
        kind="promote",
        version=version.version,
        to_stage="Production",
        replaces=None,
        actor="run",
        reason="DEPLOY",
        evidence_sha256=None,
        event_time=batch(week).event_time,
    )
    ledger.append(version, move, TransitionEnd(key=move.key, outcome="done"))


@pytest.fixture
def played(ledger: Ledger) -> Ledger:
    """Three weeks with version 1, which loses .05 more than fresh models from the second one on."""
    measure(ledger, 1, fresh=0.5)
    deploy(ledger, 1)
    measure(ledger, 2, fresh=0.5)
    measure(ledger, 3, fresh=0.5, all_1=0.55)
    return ledger


def ask(ledger: Ledger, source: str, episode: str) -> str:
    request = Request(source=source, episode=episode, reason="it is time", event_time=MONDAY)
    ledger.append(request)
    return request.key


def answer(ledger: Ledger, request: str, action: str, version: str | None = None) -> None:
    ledger.append(
        Answer(request=request, action=action, reason="so", holder="run", event_time=MONDAY, version=version)
    )


def test_a_week_has_the_losses_of_the_champion_and_of_the_fresh_model_and_the_regret(played: Ledger) -> None:
    week = ledger_queries.measured(played, "W03", PARAMS)
    assert week == Measured(
        loss=pytest.approx(0.55), auc=0.7, fresh=pytest.approx(0.5), regret=pytest.approx(0.05 / 0.5)
    )


def test_regret_is_that_before_the_loop_acted_on_the_week(played: Ledger) -> None:
    before = ledger_queries.measured(played, "W03", PARAMS)
    deploy(played, 3)
    assert ledger_queries.measured(played, "W03", PARAMS) == before
    measure(played, 4, fresh=0.5)
    assert ledger_queries.measured(played, "W04", PARAMS).regret == 0


def test_a_champion_without_a_score_has_no_loss(played: Ledger) -> None:
    measure(played, 4, fresh=0.5)
    week = ledger_queries.measured(played, "W04", PARAMS)
    assert (week.loss, week.auc, week.fresh) == (None, None, pytest.approx(0.5))


@pytest.mark.parametrize("name", ["W01", "W04"])
def test_a_week_before_the_first_champion_or_without_labels_is_not_measured(
    played: Ledger, name: str
) -> None:
    assert ledger_queries.measured(played, name, PARAMS) is None


def test_an_answer_has_its_source_and_version(ledger: Ledger) -> None:
    answer(ledger, ask(ledger, "regret", "W03"), "DEPLOY", "4")
    assert ledger_queries.decisions(ledger, after=0) == (
        Decision(source="regret", action="DEPLOY", reason="so", version="4"),
    )


def test_the_newest_decision_on_a_request_counts(ledger: Ledger) -> None:
    request = ask(ledger, "age", "W03")
    ledger.append(Wait(request=request, reason="paused", holder="run", event_time=MONDAY))
    (waits,) = ledger_queries.decisions(ledger, after=0)
    answer(ledger, request, "SKIP")
    (skipped,) = ledger_queries.decisions(ledger, after=0)
    assert (waits.action, waits.reason, skipped.action) == ("WAIT", "paused", "SKIP")


def test_decisions_that_were_shown_are_not_shown_again(ledger: Ledger) -> None:
    assert ledger_queries.newest_decision(ledger) == 0
    answer(ledger, ask(ledger, "ui", "old"), "SKIP")
    newest = ledger_queries.newest_decision(ledger)
    answer(ledger, ask(ledger, "age", "new"), "SKIP")
    assert [each.source for each in ledger_queries.decisions(ledger, after=newest)] == ["age"]


def test_a_fit_that_failed_is_not_counted(played: Ledger) -> None:
    played.append(
        Shadow(candidate="all", batch="W04", revision=1, training=None, error="no memory", event_time=MONDAY)
    )
    assert ledger_queries.fits(played) == 3
