"""The metrics of the loop, as the ledger holds it; MLflow is not asked.

Every label is bounded: the model, the features of `params.yaml`, the candidates that race (of two recipes at most) and words
of the contracts. A version is a label of only two series, which say which version it is; each of them exists once at a time,
and so does the series of the leader. What is unknown has no series, so that `absent` and a gap in a chart show it; a zero
would be wrong.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from trimtab.contracts import Action, Score
from trimtab.evaluate.alarms import alarms
from trimtab.evaluate.record import BASELINE
from trimtab.evaluate.regret import regret
from trimtab.ledger import (
    Answer,
    Batch,
    Ledger,
    Measurement,
    Notice,
    Observation,
    Order,
    QuarantineAction,
    Question,
    Run,
    RunEnd,
    Shadow,
    Transition,
    TransitionEnd,
    Wait,
    queries,
    state,
)
from trimtab.loop.measure import without_measurement
from trimtab.params import Params
from trimtab.trigger.standing import Standing, standing

BUCKETS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
"""Seconds from the start of a run to its answer."""


def families(ledger: Ledger, params: Params, lease_name: str) -> list[Metric]:
    """Return the metrics of one model, each with its help and its labels.

    Of measurements and observations only the newest are read as a whole, and of runs and answers only some columns.
    """
    revisions, observed = ledger.all(Batch), ledger.keys(Observation)
    moves, now = queries.to_production(ledger), standing(ledger, params)
    metrics = [
        *_batches(ledger, params, revisions, observed, moves),
        *_limits(params),
        *_drift(ledger, revisions, observed, moves),
        *_quality(now),
        *_alarms(now, params.drift.concept.rate),
        *_fits(ledger, params, now),
        *_champion(ledger, moves),
        *_standing(now),
        *_requests(ledger),
        *_runs(ledger),
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
    ledger: Ledger,
    params: Params,
    revisions: Sequence[Batch],
    observed: Sequence[str],
    moves: Sequence[Transition],
) -> list[Metric]:
    batches, live = state.batches_in_force(revisions), state.live(moves)
    newest = batches[-1].manifest if batches else None
    pending = {(each.batch, each.revision) for each in without_measurement(ledger, params, batches)}
    if live is not None:
        unseen = state.unobserved(revisions, observed, live.version, live.event_time)
        pending |= {(ref.batch, ref.revision) for ref in unseen}
    measured_at = [at for (at,) in ledger.columns(Measurement, "at")]
    in_quarantine = state.open_quarantine(ledger.all(QuarantineAction))
    return [
        CounterMetricFamily("trimtab_batches", "Batches ingested.", len(batches)),
        _gauge(
            "trimtab_newest_batch_end_timestamp_seconds",
            "The event clock: end of the newest batch.",
            state.event_now(batches),
        ),
        _gauge("trimtab_batch_rows", "Rows of the newest batch.", newest.rows if newest else None),
        _gauge(
            "trimtab_label_coverage_ratio",
            "Share of its rows whose label is known.",
            newest.coverage if newest and newest.rows else None,
        ),
        _gauge(
            "trimtab_batches_unmonitored",
            "Batches whose models or whose data drift wait to be measured.",
            len(pending),
        ),
        _gauge(
            "trimtab_monitored_timestamp_seconds",
            "When a batch was last measured.",
            measured_at[-1] if measured_at else None,
        ),
        _gauge("trimtab_quarantine_open", "Quarantine entries that wait for a person.", len(in_quarantine)),
    ]


def _limits(params: Params) -> list[Metric]:
    data, trigger = params.data, params.trigger
    return [
        _gauge("trimtab_drifted_features_ratio_limit", "drift.data.max_share.", params.drift.data.max_share),
        _gauge("trimtab_label_coverage_ratio_limit", "data.min_label_coverage.", data.min_label_coverage),
        _gauge("trimtab_regret_ratio_limit", "trigger.regret.", trigger.regret),
        _gauge("trimtab_champion_age_batches_limit", "trigger.max_age_batches.", trigger.max_age_batches),
    ]


def _drift(
    ledger: Ledger, revisions: Sequence[Batch], observed: Sequence[str], moves: Sequence[Transition]
) -> list[Metric]:
    """Return the metrics of the champion's newest observation."""
    live = state.live(moves)
    key = state.newest_observation(revisions, observed, live.version) if live else None
    if key is None:
        return []
    seen = ledger.require(Observation, key)
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
    ]


def _quality(now: Standing) -> list[Metric]:
    """Return how the models did on the newest measured batch, by their role."""
    loss = GaugeMetricFamily(
        "trimtab_batch_loss",
        "Mean loss per labelled row of the newest measured batch: of the champion, of the leader's fresh model and of the "
        "baseline.",
        labels=["role", "metric"],
    )
    auc = GaugeMetricFamily(
        "trimtab_batch_auc", "Area under the ROC curve on the newest measured batch.", labels=["role"]
    )
    for role, score in _scores(now).items():
        loss.add_metric([role, score.metric], score.loss)
        if score.auc is not None:
            auc.add_metric([role], score.auc)
    return [loss, auc]


def _alarms(now: Standing, rate: float) -> list[Metric]:
    """Return the limits of the alarms, and what the champion loses more than a fresh model, until it is replaced."""
    newest = alarms(now.record, leader=now.leading, rate=rate)
    serves = now.tenures and now.record[now.tenures[-1].since :]
    hard, stale = newest.hard, newest.stale if serves else None
    return [
        _gauge(
            "trimtab_batch_loss_limit",
            "Loss of a fresh model above which the newest measured batch is hard.",
            hard.limit if hard else None,
        ),
        _gauge(
            "trimtab_excess_loss",
            "What the champion loses more than a fresh model per labelled row of the newest measured batch.",
            stale.value if stale else None,
        ),
        _gauge(
            "trimtab_excess_loss_limit",
            "Excess loss above which the champion is stale.",
            stale.limit if stale else None,
        ),
    ]


def _scores(now: Standing) -> dict[str, Score]:
    if not now.record:
        return {}
    newest = now.record[-1]
    models = {
        "champion": now.tenures[-1].model if now.tenures else None,
        "fresh": newest.shadows.get(now.leading),
        "baseline": BASELINE,
    }
    return {role: newest.scores[model] for role, model in models.items() if model and model in newest.scores}


def _fits(ledger: Ledger, params: Params, now: Standing) -> list[Metric]:
    """Return which of the racing candidates could not be fitted through the newest measured batch."""
    attempts = ledger.all(Shadow, batch=now.record[-1].batch) if now.record else []
    newest = max((each.revision for each in attempts), default=0)
    failed: dict[str, float] = {}
    for each in attempts:
        if each.revision == newest and each.candidate in now.racing_candidates(params):
            failed[each.candidate] = float(each.training is None)
    return [
        gauges(
            "trimtab_fit_failed",
            "1 for a candidate that could not be fitted through the newest measured batch.",
            "candidate",
            failed,
        )
    ]


def _champion(ledger: Ledger, moves: Sequence[Transition]) -> list[Metric]:
    challenger, live, kinds = _challenger(ledger), state.live(moves), Counter(move.kind for move in moves)
    return [
        gauges(
            "trimtab_champion_info",
            "1 for the version in Production.",
            "version",
            {live.version: 1.0} if live else {},
        ),
        gauges(
            "trimtab_challenger_info",
            "1 for the version in Staging: the newest model.",
            "version",
            {challenger: 1.0} if challenger else {},
        ),
        _gauge(
            "trimtab_champion_promoted_timestamp_seconds",
            "When the champion went to Production.",
            live.at if live else None,
        ),
        CounterMetricFamily(
            "trimtab_promotions",
            "Deployments of a version, by the policy or by force.",
            kinds["promote"] + kinds["force"],
        ),
        CounterMetricFamily(
            "trimtab_rollbacks", "Rollbacks, by the watch rule or by a person.", kinds["rollback"]
        ),
    ]


def _challenger(ledger: Ledger) -> str | None:
    """Return the version in Staging; each batch brings one, so only the moves of the newest are read."""
    newest = ledger.last(Transition, to_stage="Staging")
    if newest is None:
        return None
    moves = ledger.all(Transition, version=newest.version)
    made = state.completed(moves, ledger.all(TransitionEnd, keys=[move.key for move in moves]))
    return newest.version if made and made[-1].to_stage == "Staging" else None


def _standing(now: Standing) -> list[Metric]:
    metrics = [
        gauges("trimtab_leader_info", "1 for the candidate that leads.", "candidate", {now.leading: 1.0})
    ]
    if not now.tenures:
        return metrics
    tenure = now.tenures[-1]
    since = now.record[tenure.since :]
    lost = regret(now.record, since, champion=tenure.model, leader=now.leading)
    return [
        *metrics,
        _gauge(
            "trimtab_regret_ratio",
            "What the champion has lost more than fresh models since its deployment, as a share of the loss of one batch.",
            lost.share if lost.at_stake else None,
        ),
        _gauge("trimtab_champion_age_batches", "Measured batches since its deployment.", len(since)),
    ]


def _requests(ledger: Ledger) -> list[Metric]:
    read = {request for kind in (Wait, RunEnd) for (request,) in ledger.columns(kind, "request")}
    times: dict[str, list[datetime]] = {"unread": [], "held_back": []}
    for request in queries.waiting_requests(ledger):
        times["held_back" if request.key in read else "unread"].append(request.at)
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
        _gauge(
            "trimtab_questions_waiting", "Runs that wait for a person's answer.", len(queries.asking(ledger))
        ),
    ]


def _runs(ledger: Ledger) -> list[Metric]:
    runs = dict(ledger.columns(Run, "key", "at"))
    answers = ledger.columns(Answer, "run", "at", "action", "evidence.leader")
    waits, asked = ledger.columns(Wait, "at"), dict(ledger.columns(Question, "key", "at"))
    seconds = [
        max(0.0, (asked.get(run, at) - runs[run]).total_seconds()) for run, at, *_ in answers if run in runs
    ]
    probed = [*runs.values(), *(at for (at,) in waits), *(at for _, at, _, leader in answers if leader)]
    death = ledger.last(Notice, kind="gate_dead")
    return [
        _counters(
            "trimtab_decisions",
            "Decisions of the arbiter: final answers, reasons to wait, and questions to a person.",
            "action",
            get_args(Action),
            {**Counter(action for _, _, action, _ in answers), "WAIT": len(waits), "ASK": len(asked)},
        ),
        *_durations(seconds),
        _gauge(
            "trimtab_retraining_unfinished",
            "1 while the newest run is in progress, and after it has failed or was lost.",
            _unfinished(ledger),
        ),
        _gauge(
            "trimtab_gate_dead",
            "1 when the guard last judged its own probes wrongly.",  # with such probes the arbiter says nothing
            death is not None and all(at < death.at for at in probed),
        ),
    ]


def _durations(seconds: Sequence[float]) -> list[Metric]:
    buckets = [(str(float(limit)), float(sum(each <= limit for each in seconds))) for limit in BUCKETS]
    return [
        HistogramMetricFamily(
            "trimtab_retraining_seconds",
            "Time from the start of a run to its answer, or to its question to a person.",
            buckets=[*buckets, ("+Inf", float(len(seconds)))],
            sum_value=sum(seconds),
        ),
        _gauge("trimtab_retraining_last_seconds", "The last of them.", seconds[-1] if seconds else None),
    ]


def _unfinished(ledger: Ledger) -> bool:
    """Say whether the newest run works or has failed; a run may also have its answer, or wait for that of a person."""
    run = ledger.last(Run)
    if run is None or ledger.get(Answer, run.request) is not None:
        return False
    return ledger.get(RunEnd, run.key) is not None or ledger.get(Question, run.key) is None


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
