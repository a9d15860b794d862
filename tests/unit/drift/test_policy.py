from dataclasses import replace

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import BatchScore, ColumnDrift, ConceptDrift, DataDrift
from trimtab.drift.policy import assess
from trimtab.ledger import Observation

SCORE = BatchScore(batch="W9", rows=6000, labelled=5900, loss=0.60, auc=0.6)
CALM = Observation(
    batch="W9",
    revision=1,
    champion="3",
    data=DataDrift(sampled=2000, share=0.0, columns=()),
    concept=ConceptDrift(score=SCORE, reference_mean=0.5, reference_sd=0.05, sigmas=2.0),
    champion_age_batches=1,
    report_run_id="r",
    event_time=MONDAY,
)
DRIFTED = ColumnDrift(column="temp", statistic="KS", score=0.9, threshold=0.1, drifted=True)


def rule(*sources: str):
    parameters = shipped()
    drift = parameters.drift.model_copy(update={"request_on": list(sources)})
    return parameters.model_copy(update={"drift": drift})


def test_a_calm_batch_asks_for_nothing_and_says_so() -> None:
    assessment = assess(CALM, rule("concept", "data", "age"))
    assert assessment.source is None
    assert assessment.reason.startswith(
        "nothing asks for a retraining: loss 0.6000 on batch W9 (98% labelled) is +2.0 sd"
    )


def test_a_confirmed_loss_asks() -> None:
    assessment = assess(replace(CALM, concept=replace(CALM.concept, sigmas=3.1)), rule("concept"))
    assert (assessment.source, assessment.concept_drift) == ("drift", True)
    assert (
        assessment.reason
        == "loss 0.6000 on batch W9 (98% labelled) is +3.1 sd from the 0.5000 of fresh models (alarm above 3)"
    )


def test_the_threshold_itself_is_no_alarm() -> None:
    assert assess(replace(CALM, concept=replace(CALM.concept, sigmas=3.0)), rule("concept")).source is None


def test_data_drift_is_recorded_and_asks_only_when_the_rule_says_so() -> None:
    seen = replace(CALM, data=DataDrift(sampled=2000, share=0.6, columns=(DRIFTED,)))
    assert (assess(seen, rule("concept")).data_drift, assess(seen, rule("concept")).source) == (True, None)
    assert assess(seen, rule("data")).source == "drift"
    assert "1 of 1 features of batch W9 drifted (temp)" in assess(seen, rule("data")).reason


def test_age_asks_from_its_limit_on() -> None:
    old = replace(CALM, champion_age_batches=4)
    assert assess(old, rule("age")).source == "age"
    assert assess(replace(CALM, champion_age_batches=3), rule("age")).source is None


def test_concept_drift_speaks_before_age() -> None:
    both = replace(CALM, champion_age_batches=9, concept=replace(CALM.concept, sigmas=5.0))
    assert assess(both, rule("age", "concept")).source == "drift"


def test_an_abstention_is_no_alarm_and_is_said() -> None:
    silent = replace(CALM, concept=replace(CALM.concept, sigmas=None, abstained="3 labelled rows"))
    assessment = assess(silent, rule("concept"))
    assert (assessment.source, assessment.concept_drift) == (None, False)
    assert "concept drift on batch W9 not judged: 3 labelled rows" in assessment.reason
