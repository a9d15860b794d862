"""The metrics of the loop, from facts in a real ledger to Prometheus' text."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import year
from tests.support.builders import MONDAY, shipped
from tests.support.scored import score
from trimtab.contracts import Action, ColumnDrift, DataDrift, Evidence, Manifest, Training
from trimtab.data.recipes import recipe_of
from trimtab.ledger import (
    Answer,
    Batch,
    Ledger,
    Measurement,
    Notice,
    Observation,
    Question,
    RecipeEntry,
    Request,
    Run,
    RunEnd,
    Shadow,
    Transition,
    TransitionEnd,
    Version,
    Wait,
    queries,
)
from trimtab.views.prometheus import rendered
from trimtab.views.prometheus_loop import families

WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)
MODEL = shipped().model.name
START = shipped().train.start_batches
ACTIONS = get_args(Action)
FIRST = START - 3
"""The first batch that is measured: no model is scored on it, but the first ones are fitted through it."""


@pytest.fixture
def ledger() -> Ledger:
    """An empty ledger."""
    ledger = Ledger("sqlite://", MODEL)
    ledger.migrate()
    return ledger


@pytest.fixture
def live(ledger: Ledger) -> Ledger:
    """A ledger of the first batches, with version 1 in Production, which was measured on the newest one.

    Its model is older than the newest fresh one: a batch on which both are the same model says nothing about regret.
    """
    for number in range(START):
        at(ledger, end(number), batch(number), *(measured(number) if number >= FIRST else ()))
    at(ledger, end(START - 1) + MINUTE, version("1", START - 2), *move("1", "promote", START - 1))
    at(ledger, end(START), batch(START), *measured(START, champion=0.52), seen("1", START))
    return ledger


def at(ledger: Ledger, time: datetime, *facts) -> None:
    ledger.now = lambda: time
    ledger.append(*facts)


def end(number: int) -> datetime:
    return MONDAY + (number + 1) * WEEK


def batch(number: int, revision: int = 1, labelled: int = 80) -> Batch:
    manifest = Manifest(
        model=MODEL,
        batch=f"W{number:02}",
        revision=revision,
        start=end(number - 1),
        end=end(number),
        partial=False,
        rows=100,
        labelled=labelled,
        bad_rows=0,
        unseen={},
        source_sha256="",
    )
    return Batch(manifest=manifest, commit="c", md5="m")


def training(number: int) -> Training:
    return Training(
        run_id=f"all-{number}",
        source="s",
        digest="d",
        rows=1,
        batches=(batch(number).ref,),
        trained_through=end(number),
        seconds=1.0,
    )


def version(name: str, number: int) -> Version:
    return Version(version=name, candidate="all", training=training(number))


def fit(number: int, *, candidate: str = "all", attempt: int = 1, error: str | None = None) -> Shadow:
    return Shadow(
        candidate=candidate,
        batch=f"W{number:02}",
        revision=1,
        training=None if error else training(number),
        error=error,
        attempt=attempt,
        event_time=end(number),
    )


def measured(
    number: int, *, champion: float | None = None, leader: str = "all"
) -> tuple[Shadow, Measurement]:
    """The model that was fitted through a batch, and the losses there; those of the fresh model and the baseline are .5, .7."""
    scores = {f"all-{number - 1}": score(0.5), "baseline": score(0.7)}
    if champion is not None:
        scores[f"all-{START - 2}"] = score(champion)
    measurement = Measurement(
        batch=f"W{number:02}",
        revision=1,
        scores={} if number == FIRST else scores,
        champion=None if champion is None else f"all-{START - 2}",
        shadows={} if number == FIRST else {"all": f"all-{number - 1}"},
        leader=leader,
        event_time=end(number),
    )
    return fit(number), measurement


def move(name: str, kind: str, number: int, to: str = "Production") -> tuple[Transition, TransitionEnd]:
    transition = Transition(
        key=f"{name}:{kind}:{to}",
        kind=kind,  # type: ignore[arg-type]
        version=name,
        to_stage=to,  # type: ignore[arg-type]
        replaces=None,
        actor="run",
        reason="better",
        evidence_sha256=None,
        event_time=end(number),
    )
    return transition, TransitionEnd(key=transition.key, outcome="done")


def seen(champion: str, number: int, *, revision: int = 1, share: float = 0.5) -> Observation:
    columns = (
        ColumnDrift(column="carrier", statistic="js", score=0.02, threshold=0.1, drifted=False),
        ColumnDrift(column="temp", statistic="wasserstein", score=0.4, threshold=0.1, drifted=True),
    )
    return Observation(
        batch=f"W{number:02}",
        revision=revision,
        champion=champion,
        data=DataDrift(sampled=100, share=share, columns=columns),
        report_run_id="r",
        event_time=end(number),
    )


def request(number: int) -> Request:
    return Request(source="alert", episode=str(number), reason="loss", event_time=MONDAY)


def wait(number: int) -> Wait:
    return Wait(request=request(number).key, reason="paused", holder="run", event_time=MONDAY)


def answer(number: int, action: Action, *, run: str | None = None, leader: str | None = None) -> Answer:
    return Answer(
        request=request(number).key,
        action=action,
        reason="because",
        holder="run",
        event_time=MONDAY,
        run=run,
        evidence=Evidence(leader=leader) if leader else None,
    )


def run(number: int, of: int | None = None) -> Run:
    return Run(
        key=f"{MODEL}-{number}",
        request=request(of or number).key,
        action="DEPLOY",
        reason="because",
        holder="run",
        commit="c",
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


def question(number: int) -> Question:
    return Question(key=run(number).key, text="Deploy it?", event_time=MONDAY)


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
    assert values["trimtab_batches_total"] == values["trimtab_batches_unmonitored"] == 0
    assert values["trimtab_decisions_total{action=DEPLOY}"] == 0
    assert values["trimtab_retraining_unfinished"] == values["trimtab_gate_dead"] == 0
    assert values["trimtab_leader_info{candidate=all}"] == 1
    unknown = ("champion_info", "batch_loss", "batch_auc", "feature_drift", "fit_failed", "excess_loss")
    assert not [name for name in values if any(word in name for word in unknown)]
    assert not {"trimtab_regret_ratio", "trimtab_champion_age_batches", "trimtab_label_coverage_ratio"} & set(
        values
    )


def test_data_drift_is_that_of_the_newest_batch_with_the_champion(live):
    live.append(seen("0", START, share=0.9))
    values = series(live)
    assert values["trimtab_feature_drift_score{feature=temp}"] == 0.4
    assert values["trimtab_feature_drift_threshold{feature=temp}"] == 0.1
    assert values["trimtab_feature_drifted{feature=carrier}"] == 0
    assert values["trimtab_drifted_features_ratio"] == values["trimtab_drifted_features_ratio_limit"] == 0.5


def test_the_newest_revision_of_a_batch_counts(live):
    live.append(batch(START, revision=2), seen("1", START, revision=2, share=0.7))
    live.append(batch(START - 1, revision=2), seen("1", START - 1, revision=2, share=0.9))
    values = series(live)
    assert (values["trimtab_drifted_features_ratio"], values["trimtab_batches_total"]) == (0.7, START + 1)


def test_a_batch_waits_until_its_models_and_its_data_drift_are_measured(live):
    assert series(live)["trimtab_batches_unmonitored"] == 0
    live.append(batch(START + 1), batch(START + 2))
    assert series(live)["trimtab_batches_unmonitored"] == 2
    live.append(*measured(START + 1), seen("1", START + 2))
    assert series(live)["trimtab_batches_unmonitored"] == 2
    live.append(*measured(START + 2), seen("1", START + 1))
    assert series(live)["trimtab_batches_unmonitored"] == 0


def test_a_batch_whose_labels_come_after_its_end_waits_for_nothing_until_the_next_one(live):
    late = batch(START + 1)
    late = replace(late, manifest=replace(late.manifest, enough_labels_at=end(START + 1) + timedelta(days=1)))
    live.append(late, seen("1", START + 1))
    assert series(live)["trimtab_batches_unmonitored"] == 0
    live.append(batch(START + 2), *measured(START + 2), seen("1", START + 2))
    assert series(live)["trimtab_batches_unmonitored"] == 1


def test_a_batch_with_too_few_labels_shows_its_coverage_and_waits_for_no_scores(live):
    live.append(batch(START + 1, labelled=20), seen("1", START + 1))
    values = series(live)
    assert values["trimtab_label_coverage_ratio"] == 0.2 < values["trimtab_label_coverage_ratio_limit"]
    assert values["trimtab_batches_unmonitored"] == 0


def test_the_champion_is_shown_beside_a_fresh_model_and_the_baseline_on_the_same_batch(live):
    values = series(live)
    losses = [
        values[f"trimtab_batch_loss{{metric=log_loss,role={role}}}"]
        for role in ("champion", "fresh", "baseline")
    ]
    assert losses == pytest.approx([0.52, 0.5, 0.7])
    assert values["trimtab_batch_auc{role=champion}"] == 0.7


def test_regret_and_age_are_shown_with_their_limits_and_start_again_with_a_deployment(live):
    values = series(live)
    assert values["trimtab_regret_ratio"] == pytest.approx(0.02 / 0.5)
    assert values["trimtab_regret_ratio_limit"] == shipped().trigger.regret
    assert values["trimtab_champion_age_batches"] == 1
    assert values["trimtab_champion_age_batches_limit"] == shipped().trigger.max_age_batches
    live.append(version("2", START), *move("2", "promote", START))
    values = series(live)
    assert values["trimtab_regret_ratio"] == values["trimtab_champion_age_batches"] == 0
    assert "trimtab_batch_loss{metric=log_loss,role=champion}" not in values


def test_the_alarms_have_limits_as_soon_as_there_are_eight_earlier_batches(live):
    values = series(live)
    assert values["trimtab_excess_loss"] == pytest.approx(0.02)
    assert not {"trimtab_batch_loss_limit", "trimtab_excess_loss_limit"} & set(values)
    for number in range(START + 1, START + 9):
        live.append(batch(number), *measured(number, champion=0.52 + 0.001 * (number % 2)))
    values = series(live)
    assert values["trimtab_batch_loss_limit"] == pytest.approx(0.5)  # all of these losses are equal
    quantile = 4.5299  # of Student's t with 7 degrees of freedom, at .99865
    assert values["trimtab_excess_loss_limit"] == pytest.approx(
        0.0205 + quantile * (9 / 8) ** 0.5 * 0.0005 * (8 / 7) ** 0.5, rel=1e-3
    )
    live.append(version("2", START), *move("2", "promote", START + 8))
    values = series(live)
    assert "trimtab_batch_loss_limit" in values
    assert not {"trimtab_excess_loss", "trimtab_excess_loss_limit"} & set(values)


def test_only_one_candidate_leads_at_a_time(live):
    live.append(batch(START + 1), *measured(START + 1, leader="newest 8"))
    leaders = [name for name in series(live) if "leader" in name]
    assert leaders == ["trimtab_leader_info{candidate=newest 8}"]


def test_a_failed_fit_through_the_newest_batch_is_shown_until_an_attempt_succeeds(live):
    failed = fit(START, candidate="newest 8", error="out of memory")
    live.append(failed, fit(START - 1, candidate="newest 8", error="an older one"))
    values = series(live)
    assert values["trimtab_fit_failed{candidate=all}"] == 0
    assert values["trimtab_fit_failed{candidate=newest 8}"] == 1
    live.append(fit(START, candidate="newest 8", attempt=2))
    assert series(live)["trimtab_fit_failed{candidate=newest 8}"] == 0


def test_a_failed_fit_is_shown_of_the_recipes_that_race(live):
    own = recipe_of(shipped())
    first = RecipeEntry(number=1, recipe=replace(own, seed=99), commit="c", changes=(), event_time=end(FIRST))
    failed = [
        fit(START, candidate=name, error="out of memory") for name in ("all, recipe 2", "newest 8, recipe 3")
    ]
    live.append(first, *failed)
    assert not [name for name in series(live) if "trimtab_fit_failed" in name and "recipe" in name]
    live.append(RecipeEntry(number=2, recipe=own, commit="d", changes=("seed",), event_time=end(START)))
    values = series(live)
    assert values["trimtab_fit_failed{candidate=all, recipe 2}"] == 1
    assert "trimtab_fit_failed{candidate=newest 8, recipe 3}" not in values


def test_the_champion_and_the_challenger_are_named(live):
    live.append(*move("2", "stage", START, to="Staging"))
    values = series(live)
    assert values["trimtab_champion_info{version=1}"] == values["trimtab_challenger_info{version=2}"] == 1
    assert values["trimtab_champion_promoted_timestamp_seconds"] == (end(START - 1) + MINUTE).timestamp()
    live.append(*move("2", "promote", START))
    assert not [name for name in series(live) if "challenger" in name]


def test_promotions_and_rollbacks_are_counted_apart_from_what_reconcile_restored(ledger):
    for name, kind in (("1", "promote"), ("2", "force"), ("1", "rollback"), ("1", "restore")):
        ledger.append(*move(name, kind, 1))
    void = move("3", "promote", 1)[0]
    ledger.append(*move("2", "archive", 1, to="Archived"), void, TransitionEnd(key=void.key, outcome="void"))
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


def test_decisions_are_counted_by_action_and_a_run_counts_with_its_answer(ledger):
    ledger.append(
        *map(request, range(1, 6)), wait(1), wait(2), answer(3, "SKIP"), run(4), run(5), question(5)
    )
    counts = {action: series(ledger)[f"trimtab_decisions_total{{action={action}}}"] for action in ACTIONS}
    assert counts == {"DEPLOY": 0, "ROLLBACK": 0, "SKIP": 1, "WAIT": 2, "ASK": 1}
    ledger.append(answer(4, "DEPLOY", run=run(4).key, leader="all"))
    assert series(ledger)["trimtab_decisions_total{action=DEPLOY}"] == 1


def test_a_run_takes_from_its_start_to_its_answer_or_to_its_question(ledger):
    at(ledger, MONDAY, run(1))
    at(ledger, MONDAY + MINUTE, answer(1, "DEPLOY", run=run(1).key), run(2))
    at(ledger, MONDAY + 6 * MINUTE, question(2))
    at(ledger, MONDAY + WEEK, answer(2, "SKIP", run=run(2).key), answer(3, "SKIP"))
    values = series(ledger)
    assert values["trimtab_retraining_seconds_count"] == 2
    assert values["trimtab_retraining_seconds_sum"] == 360
    assert values["trimtab_retraining_seconds_bucket{le=60.0}"] == 1
    assert values["trimtab_retraining_last_seconds"] == 300


@pytest.mark.parametrize("outcome", [None, "failed", "lost"])
def test_a_run_is_unfinished_until_its_request_is_answered(ledger, outcome):
    ledger.append(request(1), run(1), *([run_end(1, outcome)] if outcome else []))
    assert series(ledger)["trimtab_retraining_unfinished"] == 1
    ledger.append(answer(1, "SKIP"))
    assert series(ledger)["trimtab_retraining_unfinished"] == 0
    ledger.append(run(2))
    assert series(ledger)["trimtab_retraining_unfinished"] == 1


def test_a_run_that_waits_for_a_persons_answer_is_not_unfinished(ledger):
    ledger.append(request(1), run(1), question(1))
    values = series(ledger)
    assert (values["trimtab_questions_waiting"], values["trimtab_retraining_unfinished"]) == (1, 0)
    ledger.append(run_end(1, "lost"))
    values = series(ledger)
    assert (values["trimtab_questions_waiting"], values["trimtab_retraining_unfinished"]) == (0, 1)


def test_a_lease_says_since_when_it_is_held(ledger):
    assert series(ledger)["trimtab_lease_held"] == 0
    lease = ledger.leases.take(f"retrain:{MODEL}", holder="run", minutes=5)
    values = series(ledger)
    assert values["trimtab_lease_held"] == 1
    assert values["trimtab_lease_acquired_timestamp_seconds"] == lease.acquired_at.timestamp()


@pytest.mark.parametrize("sign", [answer(2, "SKIP", leader="all"), wait(2), run(2)])
def test_a_guard_is_dead_from_its_last_failure_until_the_arbiter_decides_again(ledger, sign):
    at(ledger, MONDAY, Notice(key="rollback:1", kind="rollback", text=""), wait(1))
    assert series(ledger)["trimtab_gate_dead"] == 0
    at(ledger, MONDAY + MINUTE, Notice(key="gate_dead:1", kind="gate_dead", text=""))
    assert series(ledger)["trimtab_gate_dead"] == 1
    at(ledger, MONDAY + 2 * MINUTE, answer(3, "SKIP"))  # an alert was resolved: nobody asked the guard
    assert series(ledger)["trimtab_gate_dead"] == 1
    at(ledger, MONDAY + 3 * MINUTE, sign)
    assert series(ledger)["trimtab_gate_dead"] == 0


def test_every_series_has_a_help_and_a_name_of_its_own(live):
    text = rendered(families(live, shipped(), "retrain")).decode()
    metrics = list(text_string_to_metric_families(text))
    names = [metric.name for metric in metrics]
    assert len(names) == len(set(names)) > 30
    assert all(metric.documentation.endswith(".") for metric in metrics)


def test_the_metrics_of_a_year_agree_with_its_ledger(tmp_path):
    ledger = year.written(tmp_path)
    values = series(ledger)
    moves = queries.to_production(ledger)
    deployed = [move for move in moves if move.kind == "promote"]
    assert values["trimtab_batches_total"] == 52
    assert (values["trimtab_promotions_total"], values["trimtab_rollbacks_total"]) == (len(deployed), 1)
    assert values["trimtab_decisions_total{action=DEPLOY}"] == len(deployed)
    assert values[f"trimtab_champion_info{{version={moves[-1].version}}}"] == 1
    assert (
        values["trimtab_leader_info{candidate=newest 8}"] == values["trimtab_fit_failed{candidate=all}"] == 1
    )
    assert values["trimtab_retraining_requests_waiting{state=held_back}"] == values["trimtab_paused"] == 1
    assert values["trimtab_questions_waiting"] == values["trimtab_quarantine_open"] == 1
    assert values["trimtab_batches_unmonitored"] == values["trimtab_retraining_unfinished"] == 0
