"""What the demo reads from the ledger."""

from pathlib import Path

import pytest

from examples.flights import ledger_queries
from examples.flights.records import Observed
from tests.support import year
from tests.support.builders import shipped
from trimtab.contracts import BatchScore, ConceptDrift, DataDrift
from trimtab.ledger import Ledger, Observation, Transition
from trimtab.params import load


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger of 18 weeks: two promotions, a request that was skipped, and a rejected version."""
    return year.written(tmp_path_factory.mktemp("year"), 18)


def test_nothing_is_in_production_before_the_first_promotion(tmp_path: Path) -> None:
    assert ledger_queries.production(year.written(tmp_path, 0)) is None


def test_only_a_completed_promotion_counts(tmp_path: Path) -> None:
    ledger = year.written(tmp_path, 9)
    (promotion,) = ledger.all(Transition, to_stage="Production")
    ledger.append(
        Transition(
            key="next",
            kind="promote",
            version="9",
            to_stage="Production",
            replaces="2",
            actor="run",
            reason="better",
            evidence_sha256=None,
            event_time=promotion.event_time,
        )
    )
    assert ledger_queries.production(ledger) == "2"


def test_a_decision_carries_the_verdict_of_its_run_and_the_version_that_serves(ledger: Ledger) -> None:
    first, second, rejected, _ = ledger_queries.decisions(ledger, after=0)
    assert (first.request, first.version, first.outcome) == ("the first model", "2", "PROMOTE")
    assert second.version == "4"
    assert (second.comparison.gain, second.comparison.lower, second.comparison.error) == (
        0.0081,
        0.0012,
        0.03,
    )
    assert second.sentence.startswith("PROMOTE: the challenger loses 0.0081 less per row than version 2")
    assert (rejected.version, rejected.outcome) == ("5", "REJECT")


def test_retrainings_come_before_other_decisions(ledger: Ledger) -> None:
    actions = [decision.action for decision in ledger_queries.decisions(ledger, after=0)]
    assert actions == ["RETRAIN", "RETRAIN", "RETRAIN", "SKIP"]


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    written = year.played(tmp_path, 2)
    run = written.start_run(1, written.ask(1, "ui", "a new feature"))
    written.end_run(1, run, "failed", "No module named 'lightgbm'")
    (decision,) = ledger_queries.decisions(written.ledger, after=0)
    assert (decision.action, decision.version, decision.outcome) == ("RETRAIN", None, "FAILED")
    assert decision.sentence == "No module named 'lightgbm'"


def test_the_newest_decision_on_a_request_counts(tmp_path: Path) -> None:
    written = year.played(tmp_path, 2)
    request = written.ask(1, "ui", "a new feature")
    written.wait(1, request, "cooldown")
    written.answer(1, request, "SKIP", "it was about version 1")
    assert [each.action for each in ledger_queries.decisions(written.ledger, after=0)] == ["SKIP"]


def test_decisions_that_were_shown_are_not_shown_again(tmp_path: Path) -> None:
    written = year.played(tmp_path, 2)
    assert ledger_queries.newest_decision(written.ledger) == 0
    written.wait(1, written.ask(1, "ui", "old"), "cooldown")
    newest = ledger_queries.newest_decision(written.ledger)
    written.wait(1, written.ask(1, "age", "new"), "paused")
    decisions = ledger_queries.decisions(written.ledger, after=newest)
    assert [decision.request for decision in decisions] == ["new"]


def test_an_observation_is_assessed_by_the_parameters(tmp_path: Path) -> None:
    ledger = year.written(tmp_path, 0)
    score = BatchScore(batch="2013-W09", rows=900, labelled=800, loss=0.6, auc=0.6)
    ledger.append(
        Observation(
            batch="2013-W09",
            revision=1,
            champion="1",
            data=DataDrift(sampled=900, share=0.25, columns=()),
            concept=ConceptDrift(score=score, reference_mean=0.5, reference_sd=0.02, sigmas=5.0),
            champion_age_batches=1,
            report_run_id="r",
            event_time=year.end(0),
        )
    )
    observed = ledger_queries.observed(ledger, "2013-W09", load(Path("params.yaml")))
    assert observed == Observed(data_share=0.25, data_drift=False, sigmas=5.0, concept_drift=True)
    assert ledger_queries.observed(ledger, "2013-W09", shipped(), revision=2) is None
