"""Take landed batches into the versioned data, or into quarantine with the reason."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from trimtab.contracts import Manifest, Quarantined
from trimtab.data import landing, schema
from trimtab.data.ingest import check
from trimtab.errors import BatchRejected
from trimtab.ledger.records import QuarantineRecord
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify

log = logging.getLogger(__name__)

ACTOR = "ingest"


def list_landed() -> list[str]:
    """Return the ids of the batches that wait in the landing folder."""
    loop = open_loop()
    grace = loop.params.data.landing_grace_seconds
    return landing.waiting(loop.stores.landing, grace_seconds=grace, now=loop.ledger.now())


def ingest(batch: str) -> dict[str, Any]:
    """Validate one landed batch and version it; refuse it as a whole or in rows, by the rules of `params.yaml`.

    The landed files go only when the batch is in the origin and the ledger, or in quarantine. Killed anywhere, run it
    again.

    Returns:
        `batch`, `outcome` (`ingested`, `unchanged`, `quarantined` or `gone`: another run took it), `reason`.
    """
    loop = open_loop()
    files = landing.files(loop.stores.landing, batch)
    if not files:
        return {"batch": batch, "outcome": "gone", "reason": "no longer in the landing folder"}
    try:
        landed = _without_forgotten(loop, landing.read(loop.stores.landing, batch))
        before = next((one for one in loop.origin.manifests(loop.commit) if one.batch == landed.batch), None)
        _refuse_overlap(loop, landed)
        _refuse_forged_release(loop, landed)
        checked = check(landed, loop.params.data)
    except BatchRejected as rejected:
        return _refuse(loop, rejected, files)
    manifest = Manifest(
        model=loop.model,
        batch=landed.batch,
        revision=before.revision + 1 if before else 1,
        start=landed.start,
        end=landed.end,
        partial=landed.partial,
        rows=len(checked.kept),
        labelled=int(checked.kept["label"].notna().sum()),
        bad_rows=len(checked.bad),
        unseen=checked.unseen,
        source_sha256=landed.source_sha256,
        label_age_hours=landed.label_age_hours,
    )
    record = loop.origin.commit_batch(manifest, checked.kept)
    new = loop.ledger.record_batch(record)
    if len(checked.bad):
        faults = checked.bad["fault"].str.split(":").str[0].value_counts()
        entry = loop.quarantine.put_rows(
            landed.batch,
            checked.bad,
            reason=f"{len(checked.bad)} of {len(landed.frame)} rows break the contract",
            details={str(name): int(count) for name, count in faults.items()},
        )
        _record(loop, entry, "quarantined", ACTOR, entry.reason)
    landing.remove(files, taken=landed)
    outcome = "ingested" if new else "unchanged"
    reason = f"revision {record.manifest.revision}, {record.manifest.rows} rows, {record.manifest.bad_rows} refused"
    log.info("Batch %s: %s, %s", batch, outcome, reason)
    return {"batch": batch, "outcome": outcome, "reason": reason}


def _without_forgotten(loop: Loop, landed: landing.Landed) -> landing.Landed:
    """Drop the rows that `trimtab ops erase` erased from the landed file itself: quarantine would keep them."""
    if schema.ROW_ID not in landed.frame:
        return landed
    forgotten = pd.Series(loop.ledger.tombstones(loop.model).among(landed.frame[schema.ROW_ID]), dtype=bool)
    if not forgotten.any():
        return landed
    log.warning("Batch %s: %s rows were forgotten by order, and are dropped", landed.batch, forgotten.sum())
    landing.strip(loop.stores.landing, landed, landed.frame[~forgotten.to_numpy()])
    return landing.read(loop.stores.landing, landed.batch)


def _refuse_overlap(loop: Loop, landed: landing.Landed) -> None:
    for other in loop.origin.manifests(loop.commit):
        if other.batch != landed.batch and landed.start < other.end and other.start < landed.end:
            raise BatchRejected(
                landed.batch,
                f"expected bounds that no other batch covers, got {landed.start.isoformat()} to "
                f"{landed.end.isoformat()}, which overlaps with batch {other.batch}",
            )


def _refuse_forged_release(loop: Loop, landed: landing.Landed) -> None:
    log_of = loop.ledger.quarantine_log(loop.model)
    newest = {record.entry.name: record.action for record in log_of}
    if landed.released_by is not None and newest.get(landed.released_by) != "released":
        raise BatchRejected(
            landed.batch,
            f"expected a manifest without released_by, got {landed.released_by!r}, which nobody released. Use "
            f"`trimtab batch quarantine release`",
        )


def _refuse(loop: Loop, rejected: BatchRejected, files: list[Path]) -> dict[str, Any]:
    entry = loop.quarantine.copy_batch(rejected.batch, reason=rejected.reason, files=files)
    _record(loop, entry, "quarantined", ACTOR, rejected.reason)
    landing.remove(files)
    log.error(
        "%s; the original is at %s. See `trimtab batch quarantine show %s`", rejected, entry.path, entry.name
    )
    return {"batch": rejected.batch, "outcome": "quarantined", "reason": rejected.reason}


def _record(loop: Loop, entry: Quarantined, action: Any, actor: str, reason: str) -> None:
    loop.ledger.record_quarantine(
        loop.model,
        QuarantineRecord(entry=entry, action=action, actor=actor, reason=reason, at=loop.ledger.now()),
    )
    if action == "quarantined":
        text = f"batch {entry.batch}: {reason}. See `trimtab batch quarantine show {entry.name}`"
        notify(loop, key=f"quarantine:{entry.name}", kind="quarantine", text=text)
