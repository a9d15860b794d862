"""What the demo reads in the ledger."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.flights import ledger_queries
from examples.flights.records import Observed
from trimtab.contracts import (
    BatchScore,
    Comparison,
    ConceptDrift,
    DataDrift,
    Decision,
    Observation,
    Request,
    Verdict,
)
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import Transition
from trimtab.params import load

MODEL = "flight-delay"
AT = datetime(2013, 3, 4, tzinfo=UTC)
COMPARISON = Comparison(
    metric="log_loss",
    rows=100,
    blocks=14,
    champion_loss=0.5,
    challenger_loss=0.48,
    gain=0.02,
    lower=0.01,
    upper=0.03,
    error=0.05,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    made.migrate()
    return made


def ask(ledger: Ledger, episode: str) -> int:
    asked = Request(model=MODEL, source="drift", episode=episode, reason="loss is high", event_time=AT)
    return ledger.add_request(asked)


def answer(ledger: Ledger, request: int, action: str, reason: str) -> None:
    ledger.decide(
        MODEL, Decision(request_id=request, action=action, reason=reason), holder="run", event_time=AT
    )


def move(ledger: Ledger, version: str, *, done: bool) -> None:
    step = Transition(
        model=MODEL,
        key=f"{version}:promote",
        version=version,
        to_stage="Production",
        replaces=None,
        actor="run",
        reason="better",
        evidence_sha256=None,
        event_time=AT,
    )
    ledger.intend(step)
    if done:
        ledger.complete(step)


def test_nothing_is_in_production_before_the_first_promotion(ledger):
    assert ledger_queries.production(ledger, MODEL) is None


def test_only_a_completed_promotion_counts(ledger):
    move(ledger, "1", done=True)
    move(ledger, "2", done=False)

    assert ledger_queries.production(ledger, MODEL) == "1"


def test_an_answer_carries_the_verdict_of_its_run(ledger):
    request = ask(ledger, "W09")
    answer(ledger, request, "RETRAIN", "drift: loss is high")
    ledger.record_judgement(
        MODEL,
        run_key=f"{MODEL}-{request}",
        version="2",
        state="PROMOTE",
        reason="it loses less",
        event_time=AT,
        verdict=Verdict(
            kind="PROMOTE",
            reason="it loses less",
            look=1,
            blocks=(),
            checks=(),
            probes={},
            comparison=COMPARISON,
            judged_on=(),
            champion="1",
            challenger_scores=(),
            champion_scores=(),
            cutoff=AT,
        ),
    )

    (found,) = ledger_queries.answers(ledger, MODEL, after=0)

    assert (found.version, found.verdict, found.sentence) == ("2", "PROMOTE", "it loses less")
    assert (found.gain, found.lower, found.upper) == (0.02, 0.01, 0.03)


def test_the_last_answer_to_a_request_stands(ledger):
    request = ask(ledger, "W09")
    answer(ledger, request, "WAIT", "cooldown")
    answer(ledger, request, "SKIP", "it was about version 1")

    assert [found.action for found in ledger_queries.answers(ledger, MODEL, after=0)] == ["SKIP"]


def test_answers_that_were_told_are_not_told_again(ledger):
    answer(ledger, ask(ledger, "W09"), "SKIP", "old")
    told = ledger_queries.newest_decision(ledger, MODEL)
    answer(ledger, ask(ledger, "W10"), "WAIT", "new")

    assert [found.reason for found in ledger_queries.answers(ledger, MODEL, after=told)] == ["new"]


def test_an_observation_is_read_with_the_rule_of_the_params(ledger):
    score = BatchScore(batch="2013-W09", rows=900, labelled=800, loss=0.6, auc=0.6)
    ledger.record_observation(
        Observation(
            model=MODEL,
            batch="2013-W09",
            revision=1,
            champion="1",
            data=DataDrift(sampled=900, share=0.25, columns=()),
            concept=ConceptDrift(score=score, reference_mean=0.5, reference_sd=0.02, sigmas=5.0),
            champion_age_batches=1,
            report_run_id="r",
        )
    )

    seen = ledger_queries.observed(ledger, "2013-W09", load(Path("params.yaml")))

    assert seen == Observed(data_share=0.25, data_drift=False, sigmas=5.0, concept_drift=True)
