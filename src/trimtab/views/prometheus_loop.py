"""The metrics of the loop, as the ledger holds it; MLflow is not asked.

Every label is bounded: the model, the features of `params.yaml`, and words of the contracts. A version is a label of only
two series, which say which version it is; each of them exists once at a time. What is unknown has no series, so that
`absent` and a gap in a chart show it; a zero would be wrong.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from trimtab.contracts import Action, VerdictKind
from trimtab.ledger import (
    Answer,
    Batch,
    Judgement,
    Ledger,
    Notice,
    Observation,
    Order,
    QuarantineAction,
    Run,
    RunEnd,
    Transition,
    Wait,
    queries,
    state,
)
from trimtab.params import Params
from trimtab.views.health import waiting

BUCKETS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
"""Seconds from the arbiter's decision to the gate's verdict."""


def families(ledger: Ledger, params: Params, lease_name: str) -> list[Metric]:
    """Return the metrics of one model, each with its help and its labels.

    Of observations, runs and verdicts only the newest are read as a whole.
    """
    batches, observed, moves = ledger.all(Batch), ledger.keys(Observation), queries.to_production(ledger)
    runs = ledger.columns(Run, "key", "at", "action")
    metrics = [
        *_batches(ledger, batches, observed, moves),
        *_limits(params),
        *_measured(ledger, params, batches, observed, moves),
        *_champion(ledger, batches, moves),
        *_requests(ledger),
        _decisions(ledger, runs),
        *_verdicts(ledger, runs),
        *_lease(ledger, lease_name),
        *_orders(ledger),
    ]
    for sample in (sample for metric in metrics for sample in metric.samples):
        sample.labels["model"] = params.model.name
    return metrics


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return one gauge with a series for each value of a label."""
    return _labelled(GaugeMetricFamily(name, meaning, labels=[label]), values)


def _gauge(name: str, meaning: str, value: float | datetime | None) -> Metric:
    """Return one gauge; without a value it has no series."""
    return GaugeMetricFamily(name, meaning, value.timestamp() if isinstance(value, datetime) else value)


def _counters(
    name: str, meaning: str, label: str, words: tuple[str, ...], counts: Mapping[str, int]
) -> Metric:
    """Return one counter with a series for each word, from zero on, so that its first increase is seen."""
    values = {word: counts.get(word, 0) for word in words}
    return _labelled(CounterMetricFamily(name, meaning, labels=[label]), values)


def _labelled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]) -> Metric:
    for text, value in values.items():
        family.add_metric([text], value)
    return family


def _batches(
    ledger: Ledger, batches: Sequence[Batch], observed: Collection[str], moves: Sequence[Transition]
) -> list[Metric]:
    live, measured = state.live(moves), ledger.last(Observation)
    unmeasured = state.unmeasured(batches, observed, live.version, live.event_time) if live else []
    in_quarantine = state.open_quarantine(ledger.all(QuarantineAction))
    return [
        CounterMetricFamily("trimtab_batches", "Batches ingested.", len(state.batches_in_force(batches))),
        _gauge(
            "trimtab_newest_batch_end_timestamp_seconds",
            "The event clock: end of the newest batch.",
            state.event_now(batches),
        ),
        _gauge("trimtab_batches_unmonitored", "Batches that wait to be measured.", len(unmeasured)),
        _gauge(
            "trimtab_monitored_timestamp_seconds",
            "When a batch was last measured.",
            measured.at if measured else None,
        ),
        _gauge("trimtab_quarantine_open", "Quarantine entries that wait for a person.", len(in_quarantine)),
    ]


def _limits(params: Params) -> list[Metric]:
    drift, coverage = params.drift, params.data.min_label_coverage
    return [
        _gauge("trimtab_drifted_features_ratio_limit", "drift.data.max_share.", drift.data.max_share),
        _gauge("trimtab_concept_drift_sigmas_limit", "drift.concept.sigmas.", drift.concept.sigmas),
        _gauge("trimtab_label_coverage_ratio_limit", "data.min_label_coverage.", coverage),
        _gauge("trimtab_champion_age_batches_limit", "drift.max_age_batches.", drift.max_age_batches),
    ]


def _measured(
    ledger: Ledger,
    params: Params,
    batches: Sequence[Batch],
    observed: Collection[str],
    moves: Sequence[Transition],
) -> list[Metric]:
    """Return the metrics of the champion's newest observation."""
    live = state.live(moves)
    key = state.newest_observation(batches, observed, live.version) if live else None
    if key is None:
        return []
    seen = ledger.require(Observation, key)
    return [*_drift(seen), *_quality(seen, params.gate.metric)]


def _drift(seen: Observation) -> list[Metric]:
    columns = seen.data.columns
    return [
        gauges(
            "trimtab_feature_drift_score",
            "Distance of the feature in the newest measured batch from the reference.",
            "feature",
            {column.column: column.score for column in columns},
        ),
        gauges(
            "trimtab_feature_drift_threshold",
            "Distance that counts as drift.",
            "feature",
            {column.column: column.threshold for column in columns},
        ),
        gauges(
            "trimtab_feature_drifted",
            "1 for a feature that drifted.",
            "feature",
            {column.column: float(column.drifted) for column in columns},
        ),
        _gauge("trimtab_drifted_features_ratio", "Share of features that drifted.", seen.data.share),
        _gauge(
            "trimtab_concept_drift_sigmas",
            "Difference from the loss of fresh models, in their standard deviations.",
            seen.concept.sigmas,
        ),
        _gauge(
            "trimtab_concept_drift_abstained",
            "1 when concept drift could not be judged.",
            seen.concept.sigmas is None,
        ),
    ]


def _quality(seen: Observation, metric: str) -> list[Metric]:
    score, mean = seen.concept.score, seen.concept.reference_mean
    return [
        gauges(
            "trimtab_batch_loss",
            "Mean loss per labelled row of the newest measured batch.",
            "metric",
            {metric: score.loss} if score.labelled else {},
        ),
        gauges(
            "trimtab_reference_loss",
            "Mean loss of fresh models on batches that they had not seen.",
            "metric",
            {} if mean is None else {metric: mean},
        ),
        _gauge("trimtab_batch_auc", "Area under the ROC curve of the newest measured batch.", score.auc),
        _gauge("trimtab_batch_rows", "Rows of the newest measured batch.", score.rows),
        _gauge("trimtab_label_coverage_ratio", "Share of its rows whose label is known.", score.coverage),
    ]


def _champion(ledger: Ledger, batches: Sequence[Batch], moves: Sequence[Transition]) -> list[Metric]:
    judged = queries.under_judgement(ledger, ("HOLD", "ASK"))
    kinds = Counter(move.kind for move in moves)
    metrics = [
        gauges(
            "trimtab_challenger_info",
            "1 for the version under judgement that has looks left.",
            "version",
            {judged: 1.0} if judged else {},
        ),
        CounterMetricFamily(
            "trimtab_promotions",
            "Versions promoted, by the gate or by force.",
            kinds["promote"] + kinds["force"],
        ),
        CounterMetricFamily(
            "trimtab_rollbacks", "Rollbacks, by the watch rule or by a person.", kinds["rollback"]
        ),
    ]
    live = state.live(moves)
    if live is None:
        return metrics
    age = sum(batch.manifest.end > live.event_time for batch in state.batches_in_force(batches))
    return [
        gauges("trimtab_champion_info", "1 for the version in Production.", "version", {live.version: 1.0}),
        _gauge("trimtab_champion_promoted_timestamp_seconds", "When it went to Production.", live.at),
        _gauge("trimtab_champion_age_batches", "Batches that ended since.", age),
        *metrics,
    ]


def _requests(ledger: Ledger) -> list[Metric]:
    times: dict[str, list[datetime]] = {"unread": [], "held_back": []}
    for entry in waiting(ledger):
        times["unread" if entry.why is None else "held_back"].append(entry.request.at)
    return [
        gauges(
            "trimtab_retraining_requests_waiting",
            "Requests without a final answer: unread by the arbiter, or held back with a reason.",
            "state",
            {name: len(each) for name, each in times.items()},
        ),
        gauges(
            "trimtab_retraining_requests_oldest_timestamp_seconds",
            "When the oldest of them came.",
            "state",
            {name: each[0].timestamp() for name, each in times.items() if each},
        ),
    ]


def _decisions(ledger: Ledger, runs: Sequence[Any]) -> Metric:
    answers = [action for action, run in ledger.columns(Answer, "action", "run") if run is None]
    waits = Counter(WAIT=len(ledger.keys(Wait)))
    counts = Counter(action for _, _, action in runs) + Counter(answers) + waits
    return _counters("trimtab_decisions", "Decisions of the arbiter.", "action", get_args(Action), counts)


def _verdicts(ledger: Ledger, runs: Sequence[Any]) -> list[Metric]:
    judgements = ledger.columns(Judgement, "run_key", "at", "verdict.kind")
    verdicts = [(run_key, at, kind) for run_key, at, kind in judgements if kind is not None]
    first_at = {run_key: at for run_key, at, _ in reversed(verdicts)}
    judged = [(at, first_at[key]) for key, at, action in runs if action == "RETRAIN" and key in first_at]
    seconds = [max(0.0, (end - begin).total_seconds()) for begin, end in judged]
    buckets = [(str(float(limit)), float(sum(each <= limit for each in seconds))) for limit in BUCKETS]
    newest_at = verdicts[-1][1] if verdicts else datetime.min.replace(tzinfo=UTC)
    death = ledger.last(Notice, kind="gate_dead")
    return [
        _counters(
            "trimtab_gate_verdicts",
            "Verdicts of the gate, looks included.",
            "verdict",
            get_args(VerdictKind),
            Counter(kind for _, _, kind in verdicts),
        ),
        HistogramMetricFamily(
            "trimtab_retraining_seconds",
            "Time from the decision to the verdict.",
            buckets=[*buckets, ("+Inf", float(len(seconds)))],
            sum_value=sum(seconds),
        ),
        _gauge("trimtab_retraining_last_seconds", "The last of them.", seconds[-1] if seconds else None),
        _gauge(
            "trimtab_retraining_unfinished",
            "1 while the newest run is in progress, and after it has failed or was lost.",
            bool(runs) and _unfinished(ledger, runs[-1].key, runs[-1].at, newest_at),
        ),
        _gauge(
            "trimtab_gate_dead",
            "1 when the gate last judged its own probes wrongly.",
            death is not None and newest_at < death.at,
        ),
    ]


def _unfinished(ledger: Ledger, key: str, started_at: datetime, newest_verdict_at: datetime) -> bool:
    end = ledger.get(RunEnd, key)
    if end is None:  # with a verdict, it waits for a person's answer
        return newest_verdict_at < started_at
    return end.outcome != "concluded"


def _lease(ledger: Ledger, name: str) -> list[Metric]:
    lease = ledger.leases.current(name)
    return [
        _gauge("trimtab_lease_held", "1 while a run holds the lease.", lease is not None),
        _gauge(
            "trimtab_lease_acquired_timestamp_seconds", "Since when.", lease.acquired_at if lease else None
        ),
    ]


def _orders(ledger: Ledger) -> list[Metric]:
    orders = state.orders_in_force(ledger.all(Order))
    return [
        _gauge("trimtab_paused", "1 while an operator has paused the loop.", orders.paused is not None),
        _gauge("trimtab_pinned", "1 while the champion is pinned.", orders.pinned is not None),
    ]
