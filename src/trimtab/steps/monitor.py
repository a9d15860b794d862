"""Measure each new batch with the champion; then, apart, ask what the rule in `params.yaml` makes of it."""

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from trimtab.contracts import BatchRecord, Observation, Request, plain
from trimtab.registry.records import VersionRecord
from trimtab.steps.loop import Loop, open_loop

log = logging.getLogger(__name__)


def find_unmonitored() -> list[dict[str, Any]]:
    """Ask the ledger which (batch, revision) the champion has not been measured on."""
    return unmonitored(open_loop())


def unmonitored(loop: Loop) -> list[dict[str, Any]]:
    """Return one item a batch revision: batch, revision, champion. Batches that made the champion are not among them."""
    champion = loop.champion()
    if champion is None:
        return []
    since = loop.ledger.promoted_at(loop.model, champion.version) or champion.trained_through
    refs = loop.ledger.unmonitored(loop.model, champion.version, since)
    return [{"batch": ref.batch, "revision": ref.revision, "champion": champion.version} for ref in refs]


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
    from trimtab.evaluate.scores import score
    from trimtab.registry import load, tracking
    from trimtab.train.features import design
    from trimtab.train.fit import probabilities

    manifest, wanted = record.manifest, loop.params
    frame = loop.origin.fetch_batch(manifest.batch, md5=record.md5, commit=record.commit)
    cache = loop.stores.home / "models"
    reference = pd.read_parquet(tracking.artifact(version.training.run_id, "reference.parquet", cache=cache))
    drift, report = data_drift.measure(reference, design(frame, wanted.data), wanted)

    pipeline = load.load(
        version.training.source, version.training.digest, wanted.model.trusted_types, cache=cache
    )
    known = labelled(frame, loop.ledger.event_now(loop.model))
    labels = known["label"].astype(int).tolist()
    scored = score(
        manifest.batch, labels, probabilities(pipeline, wanted, known), wanted.gate.metric, rows=len(frame)
    )
    against = concept.measure(scored, version.training.reference_losses, wanted)

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
    return Observation(
        model=loop.model,
        batch=manifest.batch,
        revision=manifest.revision,
        champion=version.version,
        data=drift,
        concept=against,
        champion_age_batches=age,
        report_run_id=run_id,
    )


def _age(loop: Loop, version: str, record: BatchRecord) -> int:
    promoted = loop.ledger.promoted_at(loop.model, version)
    if promoted is None:
        return 0
    return sum(
        other.manifest.end > promoted and other.manifest.start <= record.manifest.start
        for other in loop.ledger.batches(loop.model)
    )


def assess() -> int:
    """Write a request for each observation of the champion that the rule acts on; return how many requests wait.

    An observation has one request at most: its key names detector, batch, revision and champion.
    """
    from trimtab.drift import policy

    loop = open_loop()
    champion = loop.champion()
    ends = {record.manifest.batch: record.manifest.end for record in loop.ledger.batches(loop.model)}
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
                    event_time=ends[seen.batch],
                    champion=seen.champion,
                )
            )
    return len(loop.ledger.waiting(loop.model))
