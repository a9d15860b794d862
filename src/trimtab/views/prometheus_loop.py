"""The metrics of the loop, as a pure function of what the ledger holds.

Every label is bounded: the model, the features of `params.yaml`, and words of the contracts. A version is a label of only
two series, which say which version it is; each of them exists once at a time. What is unknown has no series, so that
`absent` and a gap in a chart show it; a zero would be wrong.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from trimtab.contracts import Action, VerdictKind
from trimtab.ledger import state
from trimtab.ledger.facts import Observation
from trimtab.views.prometheus_inputs import Inputs

BUCKETS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
"""Seconds from the arbiter's decision to the gate's verdict."""


def families(inputs: Inputs) -> Iterator[Metric]:
    """Return the metrics of one model, each with its help and its labels."""
    for group in (_batches, _limits, _measured, _champion, _requests, _runs, _lease, _orders):
        for family in group(inputs):
            for sample in family.samples:
                sample.labels["model"] = inputs.params.model.name
            yield family


def gauge(name: str, meaning: str, value: float | datetime | None) -> Metric:
    """Return one gauge; without a value it has no series."""
    if isinstance(value, datetime):
        value = value.timestamp()
    return GaugeMetricFamily(name, meaning, value=value)


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return one gauge with a series for each value of a label."""
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for text, value in values.items():
        family.add_metric([text], value)
    return family


def _counters(
    name: str, meaning: str, label: str, words: tuple[str, ...], counts: Mapping[str, int]
) -> Metric:
    """Return one counter with a series for each word, from zero on, so that its first increase is seen."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for word in words:
        family.add_metric([word], counts.get(word, 0))
    return family


def _batches(inputs: Inputs) -> Iterator[Metric]:
    end = state.event_now(inputs.batches)
    yield CounterMetricFamily("trimtab_batches", "Batches ingested.", value=len(inputs.batches))
    yield gauge(
        "trimtab_newest_batch_end_timestamp_seconds", "The event clock: end of the newest batch.", end
    )
    yield gauge("trimtab_batches_unmonitored", "Batches that wait to be measured.", inputs.unmeasured)
    yield gauge("trimtab_monitored_timestamp_seconds", "When a batch was last measured.", inputs.measured_at)
    yield gauge("trimtab_quarantine_open", "Quarantine entries that wait for a person.", inputs.quarantine)


def _limits(inputs: Inputs) -> Iterator[Metric]:
    drift, coverage = inputs.params.drift, inputs.params.data.min_label_coverage
    yield gauge("trimtab_drifted_features_ratio_limit", "drift.data.max_share.", drift.data.max_share)
    yield gauge("trimtab_concept_drift_sigmas_limit", "drift.concept.sigmas.", drift.concept.sigmas)
    yield gauge("trimtab_label_coverage_ratio_limit", "data.min_label_coverage.", coverage)
    yield gauge("trimtab_champion_age_batches_limit", "drift.max_age_batches.", drift.max_age_batches)


def _measured(inputs: Inputs) -> Iterator[Metric]:
    if inputs.observation is not None:
        yield from _drift(inputs.observation)
        yield from _quality(inputs.observation, inputs.params.gate.metric)


def _drift(seen: Observation) -> Iterator[Metric]:
    scores = {column.column: column.score for column in seen.data.columns}
    limits = {column.column: column.threshold for column in seen.data.columns}
    drifted = {column.column: float(column.drifted) for column in seen.data.columns}
    meaning = "Distance of the feature in the newest measured batch from the reference."
    yield gauges("trimtab_feature_drift_score", meaning, "feature", scores)
    yield gauges("trimtab_feature_drift_threshold", "Distance that counts as drift.", "feature", limits)
    yield gauges("trimtab_feature_drifted", "1 for a feature that drifted.", "feature", drifted)
    yield gauge("trimtab_drifted_features_ratio", "Share of features that drifted.", seen.data.share)
    meaning = "Difference from the loss of fresh models, in their standard deviations."
    yield gauge("trimtab_concept_drift_sigmas", meaning, seen.concept.sigmas)
    abstained = float(seen.concept.sigmas is None)
    yield gauge("trimtab_concept_drift_abstained", "1 when concept drift could not be judged.", abstained)


def _quality(seen: Observation, metric: str) -> Iterator[Metric]:
    score, mean = seen.concept.score, seen.concept.reference_mean
    losses = {metric: score.loss} if score.labelled else {}
    meaning = "Mean loss per labelled row of the newest measured batch."
    yield gauges("trimtab_batch_loss", meaning, "metric", losses)
    meaning = "Mean loss of fresh models on batches that they had not seen."
    yield gauges("trimtab_reference_loss", meaning, "metric", {} if mean is None else {metric: mean})
    yield gauge("trimtab_batch_auc", "Area under the ROC curve of the newest measured batch.", score.auc)
    yield gauge("trimtab_batch_rows", "Rows of the newest measured batch.", score.rows)
    yield gauge("trimtab_label_coverage_ratio", "Share of its rows whose label is known.", score.coverage)


def _champion(inputs: Inputs) -> Iterator[Metric]:
    live, judged = state.live(inputs.moves), inputs.under_judgement
    if live is not None:
        meaning = "1 for the version in Production."
        yield gauges("trimtab_champion_info", meaning, "version", {live.version: 1.0})
        yield gauge("trimtab_champion_promoted_timestamp_seconds", "When it went to Production.", live.at)
        age = sum(batch.manifest.end > live.event_time for batch in inputs.batches)
        yield gauge("trimtab_champion_age_batches", "Batches that ended since.", age)
    meaning = "1 for the version under judgement that has looks left."
    yield gauges("trimtab_challenger_info", meaning, "version", {judged: 1.0} if judged else {})
    kinds = [move.kind for move in inputs.moves]
    promoted, back = kinds.count("promote") + kinds.count("force"), kinds.count("rollback")
    yield CounterMetricFamily(
        "trimtab_promotions", "Versions promoted, by the gate or by force.", value=promoted
    )
    yield CounterMetricFamily("trimtab_rollbacks", "Rollbacks, by the watch rule or by a person.", value=back)


def _requests(inputs: Inputs) -> Iterator[Metric]:
    states = {
        "unread": [each.request.at for each in inputs.waiting if each.why is None],
        "held_back": [each.request.at for each in inputs.waiting if each.why is not None],
    }
    meaning = "Requests without a final answer: unread by the arbiter, or held back with a reason."
    counts = {name: float(len(times)) for name, times in states.items()}
    yield gauges("trimtab_retraining_requests_waiting", meaning, "state", counts)
    oldest = {name: times[0].timestamp() for name, times in states.items() if times}
    meaning = "When the oldest of them came."
    yield gauges("trimtab_retraining_requests_oldest_timestamp_seconds", meaning, "state", oldest)
    meaning, actions = "Decisions of the arbiter.", get_args(Action)
    yield _counters("trimtab_decisions", meaning, "action", actions, inputs.decisions)


def _runs(inputs: Inputs) -> Iterator[Metric]:
    verdicts, died_at = inputs.verdicts, inputs.gate_died_at
    meaning, kinds = "Verdicts of the gate, looks included.", get_args(VerdictKind)
    yield _counters("trimtab_gate_verdicts", meaning, "verdict", kinds, verdicts.kinds)
    buckets = [
        (str(float(limit)), float(sum(each <= limit for each in verdicts.seconds))) for limit in BUCKETS
    ]
    yield HistogramMetricFamily(
        "trimtab_retraining_seconds",
        "Time from the decision to the verdict.",
        buckets=[*buckets, ("+Inf", float(len(verdicts.seconds)))],
        sum_value=sum(verdicts.seconds),
    )
    last = verdicts.seconds[-1] if verdicts.seconds else None
    yield gauge("trimtab_retraining_last_seconds", "The last of them.", last)
    meaning = "1 while the newest run has come to no conclusion: it is in progress, has failed or was lost."
    yield gauge("trimtab_retraining_unfinished", meaning, float(inputs.unfinished))
    dead = died_at is not None and (verdicts.newest_at is None or verdicts.newest_at < died_at)
    yield gauge("trimtab_gate_dead", "1 when the gate last judged its own probes wrongly.", float(dead))


def _lease(inputs: Inputs) -> Iterator[Metric]:
    lease = inputs.lease
    yield gauge("trimtab_lease_held", "1 while a run holds the lease.", float(lease is not None))
    since = lease.acquired_at if lease else None
    yield gauge("trimtab_lease_acquired_timestamp_seconds", "Since when.", since)


def _orders(inputs: Inputs) -> Iterator[Metric]:
    paused, pinned = inputs.orders.paused is not None, inputs.orders.pinned is not None
    yield gauge("trimtab_paused", "1 while an operator has paused the loop.", float(paused))
    yield gauge("trimtab_pinned", "1 while the champion is pinned.", float(pinned))
