"""The loop's figures, from ledger values to what Prometheus reads."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import (
    BatchRecord,
    BatchScore,
    ColumnDrift,
    ConceptDrift,
    DataDrift,
    Manifest,
    Observation,
    Request,
)
from trimtab.ledger.records import (
    DecisionRecord,
    JudgementRecord,
    LeaseRecord,
    NoticeRecord,
    ObservationRecord,
    RequestRecord,
    Standing,
    Transition,
    TransitionRecord,
)
from trimtab.views.prometheus import rendered
from trimtab.views.prometheus_inputs import Facts
from trimtab.views.prometheus_loop import families

WEEK = timedelta(days=7)
MODEL = "flight-delay"


def batch(number: int) -> BatchRecord:
    manifest = Manifest(
        model=MODEL,
        batch=f"W{number}",
        revision=1,
        start=MONDAY + number * WEEK,
        end=MONDAY + (number + 1) * WEEK,
        partial=False,
        rows=100,
        labelled=80,
        bad_rows=0,
        unseen={},
        source_sha256="",
    )
    return BatchRecord(manifest=manifest, commit="c", md5="m")


def move(version: str, key: str, to: str = "Production") -> TransitionRecord:
    transition = Transition(
        model=MODEL,
        key=key,
        version=version,
        to_stage=to,  # type: ignore[arg-type]  # a stage
        replaces=None,
        actor="gate",
        reason="better",
        evidence_sha256=None,
        event_time=MONDAY + WEEK,
    )
    return TransitionRecord(transition=transition, phase="done", at=MONDAY + 2 * WEEK)


def seen(
    champion: str, number: int, *, revision: int = 1, sigmas: float | None = 2.5, labelled: int = 80
) -> ObservationRecord:
    columns = (
        ColumnDrift(column="carrier", statistic="js", score=0.02, threshold=0.1, drifted=False),
        ColumnDrift(column="temp", statistic="wasserstein", score=0.4, threshold=0.1, drifted=True),
    )
    observation = Observation(
        model=MODEL,
        batch=f"W{number}",
        revision=revision,
        champion=champion,
        data=DataDrift(sampled=100, share=0.5, columns=columns),
        concept=ConceptDrift(
            score=BatchScore(batch=f"W{number}", rows=100, labelled=labelled, loss=0.52, auc=0.7),
            reference_mean=0.5,
            reference_sd=0.01,
            sigmas=sigmas,
            abstained=None if sigmas is not None else "too few labels",
        ),
        champion_age_batches=1,
        report_run_id="r",
    )
    return ObservationRecord(id=10 * number + revision, observation=observation, at=MONDAY + 3 * WEEK)


def request(number: int) -> RequestRecord:
    asked = Request(model=MODEL, source="alert", episode=str(number), reason="loss", event_time=MONDAY)
    return RequestRecord(id=number, request=asked, at=MONDAY + timedelta(minutes=number))


def decision(number: int, action: str) -> DecisionRecord:
    return DecisionRecord(
        id=number,
        model=MODEL,
        request_id=number,
        action=action,  # type: ignore[arg-type]  # an action
        reason="because",
        holder="run",
        plan=None,
        event_time=MONDAY,
        at=MONDAY,
    )


def judged(run_key: str, state: str, after: timedelta) -> JudgementRecord:
    return JudgementRecord(
        run_key=run_key,
        version="1",
        state=state,  # type: ignore[arg-type]  # a state
        reason="because",
        verdict=None,
        evidence_sha256=None,
        event_time=MONDAY,
        at=MONDAY + after,
    )


EMPTY = Facts(
    wanted=shipped(),
    batches=[],
    unmonitored=0,
    observations=[],
    live=None,
    transitions=[],
    waiting=[],
    unread=[],
    decisions=[],
    judgements=[],
    under_judgement=None,
    lease=None,
    standing=Standing(paused=None, pinned=None, blocked={}),
    quarantine_open=0,
    notices=[],
)
LIVE = replace(
    EMPTY,
    batches=[batch(0), batch(1), batch(2)],
    live=move("4", "flight-delay-3:promote"),
    observations=[seen("4", 1), seen("4", 2), seen("3", 2, sigmas=9.0)],
)


def series(facts: Facts) -> dict[str, float]:
    """Each series as Prometheus writes it, without the model that all of them carry."""
    found = {}
    for family in families(facts):
        for name, labels, value, *_ in family.samples:
            rest = dict(labels)
            assert rest.pop("model") == MODEL
            place = ",".join(f"{label}={text}" for label, text in sorted(rest.items()))
            found[f"{name}{{{place}}}" if place else name] = value
    return found


def test_an_empty_loop_counts_from_zero_and_claims_nothing_it_does_not_know():
    found = series(EMPTY)
    assert found["trimtab_batches_total"] == 0
    assert found["trimtab_decisions_total{action=RETRAIN}"] == 0
    assert found["trimtab_gate_verdicts_total{verdict=PROMOTE}"] == 0
    unknown = (
        "champion_info",
        "concept_drift_sigmas{",
        "batch_loss",
        "label_coverage_ratio{",
        "feature_drift",
    )
    assert not [name for name in found if any(word in name for word in unknown)]
    assert "trimtab_concept_drift_sigmas" not in found


def test_drift_is_that_of_the_newest_batch_with_the_champion():
    found = series(LIVE)
    assert found["trimtab_feature_drift_score{feature=temp}"] == 0.4
    assert found["trimtab_feature_drift_threshold{feature=temp}"] == 0.1
    assert found["trimtab_feature_drifted{feature=carrier}"] == 0
    assert found["trimtab_drifted_features_ratio"] == 0.5
    assert (found["trimtab_concept_drift_sigmas"], found["trimtab_concept_drift_sigmas_limit"]) == (2.5, 3.0)


def test_the_newest_revision_of_a_batch_counts():
    late = replace(LIVE, observations=[seen("4", 2, revision=2, sigmas=5.0), *LIVE.observations])
    assert series(late)["trimtab_concept_drift_sigmas"] == 5.0


def test_a_batch_without_labels_abstains_and_has_no_loss():
    found = series(replace(LIVE, observations=[seen("4", 2, sigmas=None, labelled=0)]))
    assert found["trimtab_concept_drift_abstained"] == 1
    assert found["trimtab_label_coverage_ratio"] == 0
    assert "trimtab_concept_drift_sigmas" not in found
    assert "trimtab_batch_loss{metric=log_loss}" not in found


def test_quality_stands_beside_what_fresh_models_reach():
    found = series(LIVE)
    assert found["trimtab_batch_loss{metric=log_loss}"] == 0.52
    assert found["trimtab_reference_loss{metric=log_loss}"] == 0.5
    assert (found["trimtab_batch_auc"], found["trimtab_label_coverage_ratio"]) == (0.7, 0.8)
    assert found["trimtab_label_coverage_ratio_limit"] == 0.5


def test_the_age_of_a_champion_is_counted_in_batches_and_from_its_promotion():
    found = series(LIVE)
    assert found["trimtab_champion_info{version=4}"] == 1
    assert found["trimtab_champion_age_batches"] == 2
    assert found["trimtab_champion_promoted_timestamp_seconds"] == 1768780800


def test_a_fresh_champion_has_no_drift_of_the_one_before():
    fresh = replace(LIVE, live=move("5", "flight-delay-4:promote"))
    assert "trimtab_concept_drift_sigmas" not in series(fresh)


def test_promotions_and_rollbacks_are_told_apart_from_what_reconcile_restored():
    moves = [
        move("1", "flight-delay-1:promote"),
        move("2", "order-1:force"),
        move("1", "watch:flight-delay-1:promote:rollback"),
        move("1", "restore:1:2026"),
        move("2", "flight-delay-1:sibling", to="Archived"),
    ]
    found = series(replace(LIVE, transitions=moves))
    assert (found["trimtab_promotions_total"], found["trimtab_rollbacks_total"]) == (2, 1)


def test_requests_that_wait_are_unread_or_held_back():
    facts = replace(EMPTY, waiting=[request(1), request(2), request(3)], unread=[request(3)])
    found = series(facts)
    assert found["trimtab_retraining_requests_waiting{state=held_back}"] == 2
    assert found["trimtab_retraining_requests_waiting{state=unread}"] == 1
    oldest = "trimtab_retraining_requests_oldest_timestamp_seconds"
    assert found[f"{oldest}{{state=unread}}"] - found[f"{oldest}{{state=held_back}}"] == 120


def test_decisions_are_counted_by_action():
    found = series(replace(EMPTY, decisions=[decision(1, "WAIT"), decision(2, "WAIT"), decision(3, "SKIP")]))
    assert [found[f"trimtab_decisions_total{{action={one}}}"] for one in ("WAIT", "SKIP", "JUDGE")] == [
        2,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("states", "unfinished"),
    [([], 1), (["OPEN"], 1), (["OPEN", "HOLD"], 0), (["PROMOTE"], 0), (["ABANDONED"], 0)],
)
def test_a_run_is_unfinished_until_something_becomes_of_it(states, unfinished):
    judgements = [judged("flight-delay-1", state, timedelta(minutes=5)) for state in states]
    facts = replace(EMPTY, decisions=[decision(1, "RETRAIN")], judgements=judgements)
    assert series(facts)["trimtab_retraining_unfinished"] == unfinished


def test_the_outcome_of_an_earlier_run_finishes_no_later_one():
    facts = replace(
        EMPTY,
        decisions=[decision(1, "RETRAIN"), replace(decision(2, "RETRAIN"), at=MONDAY + WEEK)],
        judgements=[judged("flight-delay-1", "REJECT", timedelta(minutes=5))],
    )
    assert series(facts)["trimtab_retraining_unfinished"] == 1


def test_a_lease_says_since_when_it_is_held():
    lease = LeaseRecord(holder="run", acquired_at=MONDAY, heartbeat_at=MONDAY + WEEK)
    found = series(replace(EMPTY, lease=lease))
    assert found["trimtab_lease_held"] == 1
    assert found["trimtab_lease_acquired_timestamp_seconds"] == MONDAY.timestamp()
    assert series(EMPTY)["trimtab_lease_held"] == 0


def test_a_gate_is_dead_since_its_last_failure():
    dead = replace(EMPTY, notices=[NoticeRecord(kind="gate_dead", text="", at=MONDAY)])
    assert series(dead)["trimtab_gate_dead"] == 1
    other = replace(EMPTY, notices=[NoticeRecord(kind="rollback", text="", at=MONDAY)])
    assert series(other)["trimtab_gate_dead"] == 0


def test_every_series_has_a_help_and_a_name_of_its_own():
    found = list(text_string_to_metric_families(rendered(LIVE).decode()))
    names = [family.name for family in found]
    assert len(names) == len(set(names)) > 30
    assert all(family.documentation.endswith(".") for family in found)
