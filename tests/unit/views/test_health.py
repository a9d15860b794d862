"""What the Model health page shows of a year in a real ledger."""

from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.ledger import Ledger
from trimtab.ledger.facts import Judgement
from trimtab.ledger.state import action_of
from trimtab.views.health import read
from trimtab.views.page.view import Health, Measurement


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return year.written(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def health(ledger: Ledger) -> Health:
    return read(ledger, shipped(), 53)


def measured(health: Health, week: int) -> Measurement:
    (batch,) = [each for each in health.batches if each.manifest.batch == year.name(week)]
    assert batch.measurement is not None
    return batch.measurement


def test_an_empty_ledger_is_an_empty_page(tmp_path: Path) -> None:
    health = read(year.written(tmp_path, 0), shipped(), 53)
    assert (health.batches, health.champion, health.challenger, health.event_now) == ((), None, None, None)
    assert (health.answers, health.waiting, health.tenures, health.all_orders) == ((), (), (), [])
    assert health.quarantine == {}


def test_the_champion_comes_with_its_training_its_commit_and_its_evidence(health: Health) -> None:
    champion = health.champion
    assert champion is not None
    version, training = champion.version, champion.version.training
    assert (version.version, version.refit_of, training.rows) == ("13", "12", 282_000)
    assert (training.batches[0].batch, training.batches[-1].batch) == ("2025-W01", "2025-W47")
    assert champion.run.plan.commit == year.digest("commit 46")[:40]
    assert training.digest == year.digest("model 13")
    assert training.trained_through == year.end(46)
    evidence = health.tenures[-1].transition.evidence_sha256
    assert (champion.judgement.state, champion.judgement.evidence_sha256) == ("PROMOTE", evidence)


def test_the_challenger_is_the_version_with_looks_left(health: Health) -> None:
    assert health.challenger is not None
    assert (health.challenger.version.version, health.challenger.judgement.state) == ("14", "HOLD")


def test_every_tenure_in_production_says_how_it_began(health: Health) -> None:
    assert [(tenure.version, tenure.how) for tenure in health.tenures] == [
        ("2", "promoted"),
        ("4", "promoted"),
        ("7", "promoted"),
        ("9", "promoted"),
        ("11", "promoted"),
        ("9", "rolled back"),
        ("13", "promoted"),
    ]
    begins = [tenure.begin for tenure in health.tenures]
    assert [tenure.end for tenure in health.tenures] == [*begins[1:], None]


def test_a_rollback_can_go_to_a_version_that_was_live_and_is_not_blocked(health: Health) -> None:
    assert health.former == ("9", "7", "4", "2")
    assert list(health.orders.blocked) == ["11"]


def test_the_batches_of_the_first_training_are_not_measured(health: Health) -> None:
    assert [batch.measurement for batch in health.batches[: year.START]] == [None] * year.START
    assert all(batch.measurement for batch in health.batches[year.START :])


def test_a_loss_comes_with_bounds_the_reference_and_the_alarm(health: Health) -> None:
    measurement = measured(health, 20)
    concept = measurement.concept
    assert concept.lower < measurement.loss < concept.upper
    assert measurement.alarm == pytest.approx(concept.reference_mean + 3 * 0.011)
    assert measurement.assessment.concept_drift is (measurement.loss > measurement.alarm)


def test_without_labels_a_batch_abstains_and_has_no_loss(health: Health) -> None:
    measurement = measured(health, 40)
    assert (measurement.concept.score.labelled, measurement.loss) == (0, None)
    assert measurement.assessment.concept_drift is False
    assert measurement.concept.abstained == "0 labelled rows, drift.concept.min_labels is 500"


def test_late_labels_show_the_newest_revision_and_keep_the_one_before(health: Health) -> None:
    newest = measured(health, 38)
    assert (newest.observation.revision, newest.loss is not None) == (2, True)
    both = [each for each in health.measurements if each.observation.batch == year.name(38)]
    assert [(each.observation.revision, each.loss is None) for each in both] == [(1, True), (2, False)]


def test_a_decision_comes_with_the_outcome_of_its_run(health: Health, ledger: Ledger) -> None:
    outcomes = [each.outcome.state if each.outcome else None for each in health.answers]
    assert list(zip([action_of(each.decision) for each in health.answers], outcomes, strict=True)) == [
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "PROMOTE"),
        ("SKIP", None),
        ("RETRAIN", "REJECT"),
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "PROMOTE"),
        ("ROLLBACK", None),
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "HOLD"),
        ("WAIT", None),
    ]
    outcome = health.answers[-2].outcome
    assert (outcome.version, outcome.run_id) == ("14", year.digest("run 14")[:32])
    (judgement,) = ledger.all(Judgement, evidence_sha256=outcome.evidence)
    assert judgement.verdict.kind == "HOLD"


def test_a_run_in_progress_is_the_decision_that_started_it(tmp_path: Path) -> None:
    written = year.played(tmp_path, 20)
    written.start_run(19, written.ask(19, "ui", "a new feature"))
    health = read(written.ledger, shipped(), 53)
    newest = health.answers[-1]
    assert (action_of(newest.decision), newest.request.reason, newest.outcome) == (
        "RETRAIN",
        "a new feature",
        None,
    )
    assert health.waiting == ()


@pytest.mark.parametrize(("outcome", "said"), [("failed", "has failed"), ("lost", "was lost")])
def test_a_run_that_came_to_no_conclusion_says_so_and_its_request_waits_again(
    tmp_path: Path, outcome: str, said: str
) -> None:
    written = year.played(tmp_path, 20)
    request = written.ask(19, "ui", "a new feature")
    run = written.start_run(19, request)
    other = written.ask(19, "alert", "the loss is high")
    written.wait(19, other, f"a run is in flight, held by {run.holder}")
    written.end_run(19, run, outcome, "No module named 'lightgbm'")
    health = read(written.ledger, shipped(), 53)
    decision = next(each for each in health.answers if each.request == request)
    assert (decision.outcome.state, decision.outcome.reason) == (
        outcome.upper(),
        "No module named 'lightgbm'",
    )
    assert [(each.request.key, each.why) for each in health.waiting] == [
        (request.key, f"run {run.key} {said}: No module named 'lightgbm'"),
        (other.key, f"a run is in flight, held by {run.holder}. Since then, run {run.key} {said}"),
    ]


def test_a_request_that_the_arbiter_has_not_looked_at_waits_without_a_reason(tmp_path: Path) -> None:
    written = year.played(tmp_path, 20)
    written.ask(19, "alert", "the loss is high")
    assert [each.why for each in read(written.ledger, shipped(), 53).waiting] == [None]


def test_a_request_waits_with_a_reason(health: Health) -> None:
    (waiting,) = health.waiting
    assert (waiting.request.source, waiting.why) == (
        "age",
        "paused by eve: the holidays are no time to move models",
    )


def test_orders_in_force_and_quarantine_are_there(health: Health) -> None:
    assert [(order.verb, order.version) for order in health.all_orders] == [("pause", None), ("block", "11")]
    assert list(health.quarantine) == ["2025-W53-1"]


def test_fewer_batches_leave_older_decisions_out_and_show_all_open_matters(ledger: Ledger) -> None:
    few = read(ledger, shipped(), 4)
    assert [batch.manifest.batch for batch in few.batches] == [year.name(week) for week in (48, 49, 50, 51)]
    assert [each.observation.batch for each in few.measurements] == [
        year.name(week) for week in range(48, 52)
    ]
    assert [action_of(each.decision) for each in few.answers] == ["RETRAIN", "WAIT"]
    assert [tenure.version for tenure in few.tenures] == ["13"]
    assert few.former == ("9", "7", "4", "2")
    assert len(few.waiting) == len(few.quarantine) == 1
