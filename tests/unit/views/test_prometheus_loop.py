"""The metrics of the loop, from facts in a real ledger to Prometheus' text."""

from datetime import datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import year
from tests.support.builders import MONDAY, shipped
from trimtab.contracts import BatchRef, BatchScore, ColumnDrift, ConceptDrift, DataDrift, Manifest, Plan
from trimtab.ledger import (
    Answer,
    Batch,
    Judgement,
    Ledger,
    Notice,
    Observation,
    Request,
    Run,
    RunEnd,
    Transition,
    TransitionEnd,
    Wait,
)
from trimtab.views.prometheus import rendered
from trimtab.views.prometheus_loop import families

WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)
MODEL = shipped().model.name


@pytest.fixture
def ledger() -> Ledger:
    """An empty ledger."""
    ledger = Ledger("sqlite://", MODEL)
    ledger.migrate()
    return ledger


@pytest.fixture
def live(ledger: Ledger) -> Ledger:
    """A ledger of three batches, measured with version 4 in Production."""
    at(ledger, MONDAY + 2 * WEEK, batch(0), batch(1), batch(2), *move("4", "promote"))
    at(ledger, MONDAY + 3 * WEEK, seen("4", 1), seen("4", 2), seen("3", 2, sigmas=9.0))
    return ledger


def at(ledger: Ledger, time: datetime, *facts) -> None:
    ledger.now = lambda: time
    ledger.append(*facts)


def batch(number: int, revision: int = 1) -> Batch:
    manifest = Manifest(
        model=MODEL,
        batch=f"W{number}",
        revision=revision,
        start=MONDAY + number * WEEK,
        end=MONDAY + (number + 1) * WEEK,
        partial=False,
        rows=100,
        labelled=80,
        bad_rows=0,
        unseen={},
        source_sha256="",
    )
    return Batch(manifest=manifest, commit="c", md5="m")


def move(version: str, kind: str, to: str = "Production") -> tuple[Transition, TransitionEnd]:
    transition = Transition(
        key=f"{version}:{kind}:{to}",
        kind=kind,  # type: ignore[arg-type]
        version=version,
        to_stage=to,  # type: ignore[arg-type]
        replaces=None,
        actor="gate",
        reason="better",
        evidence_sha256=None,
        event_time=MONDAY + WEEK,
    )
    return transition, TransitionEnd(key=transition.key, outcome="done")


def seen(
    champion: str, number: int, *, revision: int = 1, sigmas: float | None = 2.5, labelled: int = 80
) -> Observation:
    columns = (
        ColumnDrift(column="carrier", statistic="js", score=0.02, threshold=0.1, drifted=False),
        ColumnDrift(column="temp", statistic="wasserstein", score=0.4, threshold=0.1, drifted=True),
    )
    return Observation(
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
        event_time=MONDAY + (number + 1) * WEEK,
    )


def request(number: int) -> Request:
    return Request(source="alert", episode=str(number), reason="loss", event_time=MONDAY)


def wait(number: int, reason: str = "cooldown") -> Wait:
    return Wait(request=request(number).key, reason=reason, holder="run", event_time=MONDAY)


def run(number: int) -> Run:
    plan = Plan(model=MODEL, commit="c", cutoff=MONDAY, train=(), judge=(BatchRef(batch="W0", revision=1),))
    return Run(
        key=f"{MODEL}-{number}",
        request=request(number).key,
        action="RETRAIN",
        reason="because",
        holder="run",
        plan=plan,
        event_time=MONDAY,
    )


def run_end(number: int, outcome: str) -> RunEnd:
    return RunEnd(
        key=run(number).key,
        request=request(number).key,
        outcome=outcome,  # type: ignore[arg-type]
        reason="because",
        event_time=MONDAY,
    )


def judged(number: int, kind: str, version: str = "1") -> Judgement:
    plan = run(number).plan
    return Judgement(
        run_key=run(number).key,
        version=version,
        state=kind,  # type: ignore[arg-type]
        reason="because",
        event_time=MONDAY,
        verdict=year.verdict_of(kind, plan, None, "log_loss"),  # type: ignore[arg-type]
    )


def series(ledger: Ledger) -> dict[str, float]:
    """Return each series as Prometheus writes it, without the model, which all of them carry."""
    values = {}
    for family in families(ledger, shipped(), f"retrain:{MODEL}"):
        for name, labels, value, *_ in family.samples:
            rest = dict(labels)
            assert rest.pop("model") == MODEL
            place = ",".join(f"{label}={text}" for label, text in sorted(rest.items()))
            values[f"{name}{{{place}}}" if place else name] = value
    return values


def test_an_empty_loop_counts_from_zero_and_has_no_series_for_what_is_unknown(ledger):
    values = series(ledger)
    assert values["trimtab_batches_total"] == 0
    assert values["trimtab_decisions_total{action=RETRAIN}"] == 0
    assert values["trimtab_gate_verdicts_total{verdict=PROMOTE}"] == 0
    assert values["trimtab_retraining_unfinished"] == values["trimtab_gate_dead"] == 0
    unknown = (
        "champion_info",
        "concept_drift_sigmas{",
        "batch_loss",
        "label_coverage_ratio{",
        "feature_drift",
    )
    assert not [name for name in values if any(word in name for word in unknown)]
    assert "trimtab_concept_drift_sigmas" not in values


def test_drift_is_that_of_the_newest_batch_with_the_champion(live):
    values = series(live)
    assert values["trimtab_feature_drift_score{feature=temp}"] == 0.4
    assert values["trimtab_feature_drift_threshold{feature=temp}"] == 0.1
    assert values["trimtab_feature_drifted{feature=carrier}"] == 0
    assert values["trimtab_drifted_features_ratio"] == 0.5
    assert values["trimtab_concept_drift_sigmas"] == 2.5
    assert values["trimtab_concept_drift_sigmas_limit"] == 3.0


def test_the_newest_revision_of_a_batch_counts(live):
    live.append(batch(2, revision=2), seen("4", 2, revision=2, sigmas=5.0))
    live.append(batch(1, revision=2), seen("4", 1, revision=2, sigmas=7.0))
    values = series(live)
    assert (values["trimtab_concept_drift_sigmas"], values["trimtab_batches_total"]) == (5.0, 3)


def test_batches_since_the_promotion_wait_until_they_are_measured(live):
    live.append(batch(3), batch(4))
    assert series(live)["trimtab_batches_unmonitored"] == 2
    live.append(seen("4", 3), seen("3", 4))
    assert series(live)["trimtab_batches_unmonitored"] == 1


def test_a_batch_without_labels_abstains_and_has_no_loss(live):
    live.append(batch(3), seen("4", 3, sigmas=None, labelled=0))
    values = series(live)
    assert values["trimtab_concept_drift_abstained"] == 1
    assert values["trimtab_label_coverage_ratio"] == 0
    assert "trimtab_concept_drift_sigmas" not in values
    assert "trimtab_batch_loss{metric=log_loss}" not in values


def test_quality_is_shown_beside_the_loss_of_fresh_models(live):
    values = series(live)
    assert values["trimtab_batch_loss{metric=log_loss}"] == 0.52
    assert values["trimtab_reference_loss{metric=log_loss}"] == 0.5
    assert (values["trimtab_batch_auc"], values["trimtab_label_coverage_ratio"]) == (0.7, 0.8)
    assert values["trimtab_label_coverage_ratio_limit"] == 0.5


def test_the_age_of_a_champion_is_counted_in_batches_and_from_its_promotion(live):
    values = series(live)
    assert values["trimtab_champion_info{version=4}"] == 1
    assert values["trimtab_champion_age_batches"] == 2
    assert values["trimtab_champion_promoted_timestamp_seconds"] == 1768780800


def test_a_fresh_champion_has_no_drift_of_the_one_before(live):
    live.append(*move("5", "promote"))
    assert "trimtab_concept_drift_sigmas" not in series(live)


def test_promotions_and_rollbacks_are_counted_apart_from_what_reconcile_restored(ledger):
    ledger.append(*move("1", "promote"), *move("2", "force"), *move("1", "rollback"), *move("1", "restore"))
    void = move("3", "promote")[0]
    ledger.append(*move("2", "archive", to="Archived"), void, TransitionEnd(key=void.key, outcome="void"))
    values = series(ledger)
    assert (values["trimtab_promotions_total"], values["trimtab_rollbacks_total"]) == (2, 1)


def test_requests_that_wait_are_unread_or_held_back(ledger):
    for number in (1, 2, 3, 4):
        at(ledger, MONDAY + number * MINUTE, request(number))
    ledger.append(wait(1), wait(2), run(4), run_end(4, "failed"))
    values = series(ledger)
    assert values["trimtab_retraining_requests_waiting{state=held_back}"] == 3
    assert values["trimtab_retraining_requests_waiting{state=unread}"] == 1
    oldest = "trimtab_retraining_requests_oldest_timestamp_seconds"
    assert values[f"{oldest}{{state=unread}}"] - values[f"{oldest}{{state=held_back}}"] == 120


def test_decisions_are_counted_by_action(ledger):
    skip = Answer(request=request(3).key, action="SKIP", reason="late", holder="run", event_time=MONDAY)
    answer = Answer(
        request=request(4).key, action="RETRAIN", reason="", holder="run", event_time=MONDAY, run=run(4).key
    )
    ledger.append(
        *map(request, (1, 2, 3, 4)), wait(1), wait(2), skip, run(4), run_end(4, "concluded"), answer
    )
    values = series(ledger)
    counts = [
        values[f"trimtab_decisions_total{{action={action}}}"]
        for action in ("WAIT", "SKIP", "RETRAIN", "JUDGE")
    ]
    assert counts == [2, 1, 1, 0]


def test_verdicts_are_counted_by_kind_and_the_first_of_each_run_ends_its_retraining(ledger):
    at(ledger, MONDAY, request(1), run(1))
    at(ledger, MONDAY + 5 * MINUTE, judged(1, "HOLD"))
    at(ledger, MONDAY + WEEK, judged(1, "PROMOTE"), request(2), run(2))
    at(ledger, MONDAY + WEEK + MINUTE, judged(2, "REJECT"), request(3), run(3))
    values = series(ledger)
    kinds = ("PROMOTE", "HOLD", "REJECT", "ASK")
    assert [values[f"trimtab_gate_verdicts_total{{verdict={kind}}}"] for kind in kinds] == [1, 1, 1, 0]
    assert values["trimtab_retraining_seconds_count"] == 2
    assert values["trimtab_retraining_seconds_sum"] == 360
    assert values["trimtab_retraining_seconds_bucket{le=60.0}"] == 1
    assert values["trimtab_retraining_last_seconds"] == 60


def test_the_version_with_looks_left_is_the_challenger(ledger):
    ledger.append(
        judged(1, "HOLD", version="1"), judged(2, "HOLD", version="2"), judged(2, "REJECT", version="2")
    )
    challengers = [name for name in series(ledger) if "challenger" in name]
    assert challengers == ["trimtab_challenger_info{version=1}"]


@pytest.mark.parametrize(("outcome", "unfinished"), [(None, 1), ("failed", 1), ("lost", 1), ("concluded", 0)])
def test_a_run_is_unfinished_until_it_comes_to_a_conclusion(ledger, outcome, unfinished):
    ledger.append(request(1), run(1), *([run_end(1, outcome)] if outcome else []))
    assert series(ledger)["trimtab_retraining_unfinished"] == unfinished


def test_a_run_that_waits_for_a_persons_answer_is_not_unfinished(ledger):
    at(ledger, MONDAY, request(1), run(1))
    at(ledger, MONDAY + MINUTE, judged(1, "ASK"))
    assert series(ledger)["trimtab_retraining_unfinished"] == 0
    at(ledger, MONDAY + 2 * MINUTE, run_end(1, "lost"))
    assert series(ledger)["trimtab_retraining_unfinished"] == 1


def test_the_conclusion_of_an_earlier_run_finishes_no_later_one(ledger):
    ledger.append(request(1), run(1), run_end(1, "concluded"), request(2), run(2))
    assert series(ledger)["trimtab_retraining_unfinished"] == 1


def test_a_lease_says_since_when_it_is_held(ledger):
    assert series(ledger)["trimtab_lease_held"] == 0
    lease = ledger.leases.take(f"retrain:{MODEL}", holder="run", minutes=5)
    values = series(ledger)
    assert values["trimtab_lease_held"] == 1
    assert values["trimtab_lease_acquired_timestamp_seconds"] == lease.acquired_at.timestamp()


def test_a_gate_is_dead_from_its_last_failure_until_the_next_verdict(ledger):
    at(ledger, MONDAY, Notice(key="rollback:1", kind="rollback", text=""))
    assert series(ledger)["trimtab_gate_dead"] == 0
    at(ledger, MONDAY + MINUTE, Notice(key="gate_dead:1", kind="gate_dead", text=""))
    assert series(ledger)["trimtab_gate_dead"] == 1
    at(ledger, MONDAY + 2 * MINUTE, judged(1, "REJECT"))
    assert series(ledger)["trimtab_gate_dead"] == 0


def test_every_series_has_a_help_and_a_name_of_its_own(live):
    text = rendered(families(live, shipped(), "retrain")).decode()
    metrics = list(text_string_to_metric_families(text))
    names = [metric.name for metric in metrics]
    assert len(names) == len(set(names)) > 30
    assert all(metric.documentation.endswith(".") for metric in metrics)


def test_the_metrics_of_a_year_agree_with_its_page(tmp_path):
    values = series(year.written(tmp_path))
    assert values["trimtab_batches_total"] == 52
    assert (values["trimtab_promotions_total"], values["trimtab_rollbacks_total"]) == (6, 1)
    assert values["trimtab_champion_info{version=13}"] == values["trimtab_challenger_info{version=14}"] == 1
    assert values["trimtab_decisions_total{action=RETRAIN}"] == 8
    assert values["trimtab_retraining_requests_waiting{state=held_back}"] == values["trimtab_paused"] == 1
    assert values["trimtab_quarantine_open"] == 1
