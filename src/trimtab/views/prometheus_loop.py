"""What Prometheus reads of the loop, as a pure function of what the ledger holds.

Every label is bounded: the model, the features of `params.yaml`, and words of the contracts. A version is a label of the
two series that say which one it is, and of those only one exists at a time. What is not known has no series: `absent`
and a gap in a chart say so, a zero would lie. Estimated performance without labels gets its series here.
"""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from trimtab.views.prometheus_inputs import Facts, counter, gauge, labelled, seconds
from trimtab.views.prometheus_runs import people, requests, runs


def families(facts: Facts) -> Iterator[Metric]:
    """Return the metrics of one model, each with its help and its labels."""
    model = facts.wanted.model.name
    for group in (_batches, _drift, _quality, _champion, requests, runs, people):
        for family in group(facts):
            for sample in family.samples:
                sample.labels["model"] = model
            yield family


def _batches(facts: Facts) -> Iterator[Metric]:
    newest = facts.batches[-1].manifest if facts.batches else None
    yield counter("trimtab_batches", "Batches taken in.", len(facts.batches))
    end = seconds(newest.end if newest else None)
    yield gauge(
        "trimtab_newest_batch_end_timestamp_seconds", "The event clock: end of the newest batch.", end
    )
    yield gauge("trimtab_batches_unmonitored", "Batches that wait to be measured.", facts.unmonitored)
    at = seconds(facts.observations[-1].at if facts.observations else None)
    yield gauge("trimtab_monitored_timestamp_seconds", "When a batch was last measured.", at)
    yield gauge(
        "trimtab_quarantine_open", "Quarantine entries that wait for a person.", facts.quarantine_open
    )


def _drift(facts: Facts) -> Iterator[Metric]:
    rule, seen = facts.wanted.drift, facts.seen
    columns = seen.data.columns if seen else ()
    of = "of the newest measured batch, feature against reference"
    scores = [(one.column, one.score) for one in columns]
    limits = [(one.column, one.threshold) for one in columns]
    drifted = [(one.column, float(one.drifted)) for one in columns]
    yield labelled("trimtab_feature_drift_score", f"Distance {of}.", "feature", scores)
    yield labelled("trimtab_feature_drift_threshold", "Distance that counts as drift.", "feature", limits)
    yield labelled("trimtab_feature_drifted", "1 for a feature that drifted.", "feature", drifted)
    share = seen.data.share if seen else None
    yield gauge("trimtab_drifted_features_ratio", "Share of features that drifted.", share)
    yield gauge("trimtab_drifted_features_ratio_limit", "drift.data.max_share.", rule.data.max_share)
    sigmas = seen.concept.sigmas if seen else None
    yield gauge(
        "trimtab_concept_drift_sigmas",
        "Loss above that of fresh models, in their standard deviations.",
        sigmas,
    )
    yield gauge("trimtab_concept_drift_sigmas_limit", "drift.concept.sigmas.", rule.concept.sigmas)
    abstained = None if seen is None else float(seen.concept.sigmas is None)
    yield gauge("trimtab_concept_drift_abstained", "1 when concept drift could not be judged.", abstained)


def _quality(facts: Facts) -> Iterator[Metric]:
    seen = facts.seen
    score, known = (seen.concept.score, seen.concept.score.labelled > 0) if seen else (None, False)
    loss = score.loss if score and known else None
    metric = facts.wanted.gate.metric
    values = [] if loss is None else [(metric, loss)]
    yield labelled(
        "trimtab_batch_loss", "Mean loss per labelled row of the newest measured batch.", "metric", values
    )
    mean = seen.concept.reference_mean if seen else None
    yield labelled(
        "trimtab_reference_loss",
        "Mean loss of fresh models on batches that they had not seen.",
        "metric",
        [] if mean is None else [(metric, mean)],
    )
    auc = score.auc if score else None
    yield gauge("trimtab_batch_auc", "Area under the ROC curve of the newest measured batch.", auc)
    yield gauge("trimtab_batch_rows", "Rows of the newest measured batch.", score.rows if score else None)
    coverage, least = score.coverage if score else None, facts.wanted.data.min_label_coverage
    yield gauge("trimtab_label_coverage_ratio", "Share of its rows whose label is known.", coverage)
    yield gauge("trimtab_label_coverage_ratio_limit", "data.min_label_coverage.", least)


def _champion(facts: Facts) -> Iterator[Metric]:
    champion, judged = facts.champion, facts.under_judgement
    info = [(champion, 1.0)] if champion else []
    yield labelled("trimtab_champion_info", "1 for the version that should answer.", "version", info)
    at = seconds(facts.live.at if facts.live else None)
    yield gauge("trimtab_champion_promoted_timestamp_seconds", "When it went to Production.", at)
    since = facts.live.transition.event_time if facts.live else None
    age = None if since is None else sum(record.manifest.end > since for record in facts.batches)
    yield gauge("trimtab_champion_age_batches", "Batches that ended since.", age)
    limit = facts.wanted.drift.max_age_batches
    yield gauge("trimtab_champion_age_batches_limit", "drift.max_age_batches.", limit)
    challenger = [(judged, 1.0)] if judged else []
    yield labelled(
        "trimtab_challenger_info",
        "1 for the version under judgement that has looks left.",
        "version",
        challenger,
    )
    done = [record.transition for record in facts.transitions if record.phase == "done"]
    promoted = sum(move.promotes for move in done)
    yield counter("trimtab_promotions", "Versions promoted, by the gate or by force.", promoted)
    back = sum(move.key.endswith(":rollback") for move in done)
    yield counter("trimtab_rollbacks", "Rollbacks, by the watch rule or by a person.", back)
