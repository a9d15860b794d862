"""Measure one batch with the champion, and with the one before it while the champion is watched."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from trimtab.contracts import Manifest, Watch
from trimtab.data.batches import labelled, sufficiently_labelled
from trimtab.drift import concept, data_drift
from trimtab.errors import UnsafeModel
from trimtab.evaluate.compare import blocks_of, loss_bounds
from trimtab.evaluate.scores import row_losses, score
from trimtab.ledger import Batch, Observation, Transition, Version, batch_key, body_of, queries, state
from trimtab.loop.loop import Loop, open_loop
from trimtab.registry import tracking
from trimtab.train.features import design, targets
from trimtab.train.fit import predict


def measure(item: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one item of `find_unmonitored`, and write the observation to MLflow and the ledger.

    This decides nothing. If a batch is measured twice, the first observation stands.
    """
    loop = open_loop().at(item["commit"])
    version = loop.ledger.require(Version, item["champion"])
    batch = loop.ledger.require(Batch, batch_key(item["batch"], item["revision"]))
    observation = _measure(loop, version, batch)
    loop.ledger.append(observation)
    return body_of(observation)


def _measure(loop: Loop, version: Version, record: Batch) -> Observation:
    manifest, params, training = record.manifest, loop.params, version.training
    metric, label = params.gate.metric, params.data.label
    frame = loop.origin.fetch_batch(manifest.batch, md5=record.md5, commit=record.commit)
    reference = tracking.artifact(training.run_id, "reference.parquet", cache=loop.stores.home / "models")
    drift, report = data_drift.measure(pd.read_parquet(reference), design(frame, params.data), params)

    pipeline, batches = loop.load(version), loop.ledger.all(Batch)
    rows = labelled(frame, state.event_now(batches))
    truths, predicted = targets(rows, params.data), predict(pipeline, params, rows)
    losses = row_losses(metric, label, truths, predicted)
    lower, upper = loss_bounds(rows["event_time"].tolist(), losses, params.gate) or (None, None)
    scored = score(manifest.batch, label, truths, predicted, metric, rows=len(frame))
    against = replace(concept.measure(scored, training.reference_losses, params), lower=lower, upper=upper)

    run_id = tracking.log_monitoring(
        model=loop.model,
        batch=manifest.batch,
        revision=manifest.revision,
        champion=version.version,
        data=drift,
        concept=against,
        save_report=report.save_html,
    )
    in_force = [batch.manifest for batch in state.batches_in_force(batches)]
    moves = queries.completed(loop.ledger)
    promoted = state.promoted_at(moves, version.version)
    promotion = state.promotion_of(moves, version.version)
    return Observation(
        batch=manifest.batch,
        revision=manifest.revision,
        champion=version.version,
        data=drift,
        concept=against,
        champion_age_batches=sum(
            promoted is not None and other.end > promoted and other.start <= manifest.start
            for other in in_force
        ),
        report_run_id=run_id,
        event_time=manifest.end,
        watch=_watch(loop, promotion, manifest, in_force, pipeline, rows) if promotion else None,
    )


def _watch(
    loop: Loop,
    promotion: Transition,
    manifest: Manifest,
    in_force: list[Manifest],
    pipeline: Pipeline,
    rows: pd.DataFrame,
) -> Watch | None:
    """Score the batch with the champion before, too, while the new one is watched."""
    params = loop.params
    since = [
        each.batch
        for each in sufficiently_labelled(in_force, params.data)
        if each.start >= promotion.event_time
    ]
    if promotion.replaces is None or manifest.batch not in since[: params.watch.batches]:
        return None
    try:
        former = loop.load(loop.ledger.require(Version, promotion.replaces))
    except UnsafeModel as error:
        return Watch(former=promotion.replaces, blocks=(), trouble=str(error))
    truths = targets(rows, params.data)
    new, old = (
        row_losses(params.gate.metric, params.data.label, truths, predict(model, params, rows))
        for model in (pipeline, former)
    )
    batches, times = [manifest.batch] * len(rows), rows["event_time"].tolist()
    return Watch(former=promotion.replaces, blocks=blocks_of(batches, times, new, old, params.gate))
