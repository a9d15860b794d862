"""Measure each new batch with the champion; then, apart, ask what the rule in `params.yaml` makes of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from trimtab.contracts import BatchRef, Manifest, Watch
from trimtab.errors import UnsafeModel
from trimtab.ledger import state
from trimtab.ledger.facts import Batch, Observation, Request, Version, batch_key, body_of
from trimtab.ledger.queries import waiting_requests
from trimtab.loop.loop import Loop, open_loop
from trimtab.registry import production

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)


def find_unmonitored() -> list[dict[str, Any]]:
    """Return one item per batch revision that the champion has not been measured on: batch, revision, champion, commit.

    Batches that the champion was trained on are not among them. All items of a DAG run have the parameters of one commit.
    """
    return unmeasured(open_loop())


def unmeasured(loop: Loop) -> list[dict[str, Any]]:
    """Return what `find_unmonitored` returns, for an open loop."""
    champion = loop.champion()
    if champion is None:
        return []
    refs = unmeasured_by(loop, champion.version)
    return [
        {
            "batch": ref.batch,
            "revision": ref.revision,
            "champion": champion.version,
            "commit": loop.commit,
        }
        for ref in refs
    ]


def unmeasured_by(loop: Loop, champion: str) -> list[BatchRef]:
    """Return the batch revisions since its promotion that a champion has not been measured on."""
    since = state.promoted_at(production.completed(loop.ledger), champion)
    if since is None:
        since = loop.ledger.require(Version, champion).training.trained_through
    seen = loop.ledger.keys(Observation)
    return state.unmeasured(loop.ledger.all(Batch), seen, champion, since)


def measure(item: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one item of `find_unmonitored`, and write the observation to MLflow and the ledger.

    This decides nothing. If a batch is measured twice, the first observation stands.
    """
    loop = open_loop().at(item["commit"])
    version = loop.ledger.all(Version, version=item["champion"])[0]
    batch = loop.ledger.require(Batch, batch_key(item["batch"], item["revision"]))
    observation = _measure(loop, version, batch)
    loop.ledger.append(observation)
    return body_of(observation)


def _measure(loop: Loop, version: Version, record: Batch) -> Observation:
    from trimtab.data.batches import labelled
    from trimtab.drift import concept, data_drift
    from trimtab.evaluate.compare import loss_bounds
    from trimtab.evaluate.scores import row_losses, score
    from trimtab.registry import load, tracking
    from trimtab.train.features import design, targets
    from trimtab.train.fit import predict

    manifest, params = record.manifest, loop.params
    frame = loop.origin.fetch_batch(manifest.batch, md5=record.md5, commit=record.commit)
    cache = loop.stores.home / "models"
    reference = pd.read_parquet(tracking.artifact(version.training.run_id, "reference.parquet", cache=cache))
    drift, report = data_drift.measure(reference, design(frame, params.data), params)

    pipeline = load.load(
        version.training.source, version.training.digest, params.model.trusted_types, cache=cache
    )
    labelled_rows = labelled(frame, state.event_now(loop.ledger.all(Batch)))
    truths, given, metric = (
        targets(labelled_rows, params.data),
        predict(pipeline, params, labelled_rows),
        params.gate.metric,
    )
    scored = score(manifest.batch, params.data.label, truths, given, metric, rows=len(frame))
    losses = row_losses(metric, params.data.label, truths, given)
    lower, upper = loss_bounds(labelled_rows["event_time"].tolist(), losses, params.gate) or (None, None)
    against = replace(
        concept.measure(scored, version.training.reference_losses, params), lower=lower, upper=upper
    )

    age = _age(loop, version.version, record)
    run_id = tracking.log_monitoring(
        model=loop.model,
        batch=manifest.batch,
        revision=manifest.revision,
        champion=version.version,
        data=drift,
        concept=against,
        report=report,
    )
    watched = _watch(loop, version.version, manifest, pipeline, labelled_rows)
    return Observation(
        batch=manifest.batch,
        revision=manifest.revision,
        champion=version.version,
        data=drift,
        concept=against,
        champion_age_batches=age,
        report_run_id=run_id,
        event_time=manifest.end,
        watch=watched,
    )


def _watch(
    loop: Loop, version: str, manifest: Manifest, pipeline: "Pipeline", rows: pd.DataFrame
) -> Watch | None:
    """Score the batch with the champion before, too, while the new one is watched."""
    from trimtab.data.batches import sufficiently_labelled
    from trimtab.evaluate.compare import blocks_of
    from trimtab.evaluate.scores import row_losses
    from trimtab.registry import load
    from trimtab.train.features import targets
    from trimtab.train.fit import predict

    promotion = state.promotion_of(production.completed(loop.ledger), version)
    if promotion is None or promotion.replaces is None or manifest.start < promotion.event_time:
        return None
    in_force = state.batches_in_force(loop.ledger.all(Batch))
    with_labels = sufficiently_labelled((batch.manifest for batch in in_force), loop.params.data)
    since = [each.batch for each in with_labels if each.start >= promotion.event_time]
    if manifest.batch not in since[: loop.params.watch.batches]:
        return None
    former, params = loop.ledger.require(Version, promotion.replaces), loop.params
    try:
        before = load.load(
            former.training.source,
            former.training.digest,
            params.model.trusted_types,
            cache=loop.stores.home / "models",
        )
    except UnsafeModel as error:
        return Watch(former=former.version, blocks=(), trouble=str(error))
    label, truths = params.data.label, targets(rows, params.data)
    new, old = (
        row_losses(params.gate.metric, label, truths, predict(model, params, rows))
        for model in (pipeline, before)
    )
    batches, times = [manifest.batch] * len(rows), rows["event_time"].tolist()
    return Watch(former=former.version, blocks=blocks_of(batches, times, new, old, params.gate))


def _age(loop: Loop, version: str, record: Batch) -> int:
    promoted = state.promoted_at(production.completed(loop.ledger), version)
    if promoted is None:
        return 0
    return sum(
        other.manifest.end > promoted and other.manifest.start <= record.manifest.start
        for other in state.batches_in_force(loop.ledger.all(Batch))
    )


def assess() -> int:
    """Write a request for each observation of the champion that a rule acts on; return how many requests wait.

    An observation has at most one request: its key names detector, batch, revision and champion. A promotion has at most one
    request for its rollback.
    """
    from trimtab.drift import policy

    loop = open_loop()
    champion = loop.champion()
    if champion is not None:
        observations = loop.ledger.all(Observation, champion=champion.version)
        for seen in observations:
            assessment = policy.assess(seen, loop.params)
            log.info("Batch %s, version %s: %s", seen.batch, seen.champion, assessment.reason)
            if assessment.source is not None:
                request = Request(
                    source=assessment.source,
                    episode=f"{seen.batch}:r{seen.revision}:v{seen.champion}",
                    reason=assessment.reason,
                    # Late labels ask as of now: a retraining that came after their batch has not seen them.
                    event_time=loop.event_now(),
                    champion=seen.champion,
                )
                loop.ledger.append(request)
        _assess_watch(loop, champion.version, observations)
    return len(waiting_requests(loop.ledger))


def _assess_watch(loop: Loop, champion: str, observations: Sequence[Observation]) -> None:
    from trimtab.trigger.watch import watch

    promotion = state.promotion_of(production.completed(loop.ledger), champion)
    if promotion is None or promotion.replaces is None:
        return
    manifests = {
        batch.manifest.batch: batch.manifest for batch in state.batches_in_force(loop.ledger.all(Batch))
    }
    newest = {seen.batch: seen.watch for seen in observations if seen.watch is not None}
    ordered = sorted(newest, key=lambda batch: manifests[batch].start)
    watched = watch([newest[batch] for batch in ordered], champion, loop.params)
    log.info("Watch: %s", watched.reason)
    if watched.worse:
        request = Request(
            source="watch",
            episode=promotion.key,
            reason=watched.reason,
            event_time=manifests[ordered[-1]].end,
            champion=champion,
            challenger=promotion.replaces,
        )
        loop.ledger.append(request)
