"""Measure each new batch with the champion; then, apart, ask what the rule in `params.yaml` makes of it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from trimtab.contracts import BatchRecord, BatchRef, Manifest, Observation, Request, Watch, plain
from trimtab.errors import UnsafeModel
from trimtab.ledger.records import VersionRecord
from trimtab.loop.loop import Loop, open_loop

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)


def find_unmonitored() -> list[dict[str, Any]]:
    """Ask the ledger which (batch, revision) the champion has not been measured on."""
    return unmonitored(open_loop())


def unmonitored(loop: Loop) -> list[dict[str, Any]]:
    """Return one item a batch revision: batch, revision, champion. Batches that made the champion are not among them."""
    champion = loop.champion()
    if champion is None:
        return []
    refs = unmonitored_by(loop, champion.version)
    return [{"batch": ref.batch, "revision": ref.revision, "champion": champion.version} for ref in refs]


def unmonitored_by(loop: Loop, champion: str) -> list[BatchRef]:
    """Return the batch revisions since its promotion that a champion has not been measured on."""
    since = loop.ledger.promoted_at(loop.model, champion)
    if since is None:
        since = loop.ledger.versions(loop.model)[champion].training.trained_through
    return loop.ledger.unmonitored(loop.model, champion, since)


def measure(item: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one item of `find_unmonitored`, and write the observation to MLflow and the ledger.

    Decides nothing. Measured twice, the first observation stands.
    """
    loop = open_loop()
    version = loop.ledger.versions(loop.model)[item["champion"]]
    record = loop.ledger.batch(loop.model, item["batch"], item["revision"])
    if record is None:
        raise KeyError(f"The ledger holds no batch {item['batch']} at revision {item['revision']}")
    observation = _measure(loop, version, record)
    loop.ledger.record_observation(observation)
    return plain(observation)


def _measure(loop: Loop, version: VersionRecord, record: BatchRecord) -> Observation:
    from trimtab.data.batches import labelled
    from trimtab.drift import concept, data_drift
    from trimtab.evaluate.compare import loss_bounds
    from trimtab.evaluate.scores import row_losses, score
    from trimtab.registry import load, tracking
    from trimtab.train.features import design, targets
    from trimtab.train.fit import answers

    manifest, wanted = record.manifest, loop.params
    frame = loop.origin.fetch_batch(manifest.batch, md5=record.md5, commit=record.commit)
    cache = loop.stores.home / "models"
    reference = pd.read_parquet(tracking.artifact(version.training.run_id, "reference.parquet", cache=cache))
    drift, report = data_drift.measure(reference, design(frame, wanted.data), wanted)

    pipeline = load.load(
        version.training.source, version.training.digest, wanted.model.trusted_types, cache=cache
    )
    known = labelled(frame, loop.ledger.event_now(loop.model))
    truths, given, metric = targets(known, wanted.data), answers(pipeline, wanted, known), wanted.gate.metric
    scored = score(manifest.batch, wanted.data.label, truths, given, metric, rows=len(frame))
    losses = row_losses(metric, wanted.data.label, truths, given)
    lower, upper = loss_bounds(known["event_time"].tolist(), losses, wanted.gate) or (None, None)
    against = replace(
        concept.measure(scored, version.training.reference_losses, wanted), lower=lower, upper=upper
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
    watched = _watch(loop, version.version, manifest, pipeline, known)
    return Observation(
        model=loop.model,
        batch=manifest.batch,
        revision=manifest.revision,
        champion=version.version,
        data=drift,
        concept=against,
        champion_age_batches=age,
        report_run_id=run_id,
        watch=watched,
    )


def _watch(
    loop: Loop, version: str, manifest: Manifest, pipeline: "Pipeline", rows: pd.DataFrame
) -> Watch | None:
    """Score the batch with the champion before, too, while the new one is watched."""
    from trimtab.data.batches import told
    from trimtab.evaluate.compare import blocks_of
    from trimtab.evaluate.scores import row_losses
    from trimtab.registry import load
    from trimtab.train.features import targets
    from trimtab.train.fit import answers

    promotion = loop.ledger.promotion_of(loop.model, version)
    if promotion is None or promotion.replaces is None or manifest.start < promotion.event_time:
        return None
    known = told((record.manifest for record in loop.ledger.batches(loop.model)), loop.params.data)
    since = [one.batch for one in known if one.start >= promotion.event_time]
    if manifest.batch not in since[: loop.params.watch.batches]:
        return None
    former, wanted = loop.ledger.versions(loop.model)[promotion.replaces], loop.params
    try:
        before = load.load(
            former.training.source,
            former.training.digest,
            wanted.model.trusted_types,
            cache=loop.stores.home / "models",
        )
    except UnsafeModel as error:
        return Watch(former=former.version, blocks=(), trouble=str(error))
    label, truths = wanted.data.label, targets(rows, wanted.data)
    new, old = (
        row_losses(wanted.gate.metric, label, truths, answers(model, wanted, rows))
        for model in (pipeline, before)
    )
    batches, times = [manifest.batch] * len(rows), rows["event_time"].tolist()
    return Watch(former=former.version, blocks=blocks_of(batches, times, new, old, wanted.gate))


def _age(loop: Loop, version: str, record: BatchRecord) -> int:
    promoted = loop.ledger.promoted_at(loop.model, version)
    if promoted is None:
        return 0
    return sum(
        other.manifest.end > promoted and other.manifest.start <= record.manifest.start
        for other in loop.ledger.batches(loop.model)
    )


def assess() -> int:
    """Write a request for each observation of the champion that a rule acts on; return how many requests wait.

    An observation has one request at most: its key names detector, batch, revision and champion. A promotion has one
    request for its rollback at most.
    """
    from trimtab.drift import policy

    loop = open_loop()
    champion = loop.champion()
    now = loop.ledger.event_now(loop.model)
    for record in loop.ledger.observations(loop.model):
        seen = record.observation
        if champion is None or seen.champion != champion.version:
            continue
        found = policy.assess(seen, loop.params)
        log.info("Batch %s, version %s: %s", seen.batch, seen.champion, found.reason)
        if found.source is not None:
            loop.ledger.add_request(
                Request(
                    model=loop.model,
                    source=found.source,
                    episode=f"{seen.batch}:r{seen.revision}:v{seen.champion}",
                    reason=found.reason,
                    # Late labels ask as of now: a retraining that came after their batch has not seen them.
                    event_time=now or loop.ledger.now(),
                    champion=seen.champion,
                )
            )
    if champion is not None:
        _assess_watch(loop, champion.version)
    return len(loop.ledger.waiting(loop.model))


def _assess_watch(loop: Loop, champion: str) -> None:
    from trimtab.trigger.watch import watch

    promotion = loop.ledger.promotion_of(loop.model, champion)
    if promotion is None or promotion.replaces is None:
        return
    records = {record.manifest.batch: record.manifest for record in loop.ledger.batches(loop.model)}
    newest = {
        record.observation.batch: record.observation.watch
        for record in loop.ledger.observations(loop.model)
        if record.observation.champion == champion and record.observation.watch is not None
    }
    ordered = sorted(newest, key=lambda batch: records[batch].start)
    found = watch([newest[batch] for batch in ordered], champion, loop.params)
    log.info("Watch: %s", found.reason)
    if found.worse:
        loop.ledger.add_request(
            Request(
                model=loop.model,
                source="watch",
                episode=promotion.key,
                reason=found.reason,
                event_time=records[ordered[-1]].end,
                champion=champion,
                challenger=promotion.replaces,
            )
        )
