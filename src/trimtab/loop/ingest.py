"""Take landed batches into the versioned data, or into quarantine with the reason."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from trimtab.contracts import Manifest, Quarantined
from trimtab.data import landing, schema
from trimtab.data.batches import enough_labels_at
from trimtab.data.ingest import Checked, check
from trimtab.errors import BatchRejected
from trimtab.ledger import Erasure, QuarantineAction, Snapshot, state
from trimtab.ledger.tombstones import Tombstones
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify

log = logging.getLogger(__name__)

ACTOR = "ingest"


def list_landed() -> list[str]:
    """Return the ids of the batches that wait in the landing folder."""
    loop = open_loop()
    return landing.waiting(
        loop.stores.landing, grace_seconds=loop.params.data.landing_grace_seconds, now=loop.ledger.now()
    )


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
        landed = _without_erased(loop, landing.read(loop.stores.landing, batch))
        _require_acceptable(loop, landed)
        checked = check(landed, loop.params.data, now=loop.ledger.now())
        record = loop.origin.commit_batch(
            _manifest(loop, landed, checked), checked.valid, accept=partial(_refuse_overlap, landed)
        )
    except BatchRejected as rejected:
        return _refuse(loop, rejected, files)
    outcome = "ingested" if loop.ledger.append(record) else "unchanged"
    if len(checked.bad):
        _quarantine_rows(loop, landed, checked)
    landing.remove(files, landed=landed)
    reason = f"revision {record.manifest.revision}, {record.manifest.rows} rows, {record.manifest.bad_rows} refused"
    log.info("Batch %s: %s, %s", batch, outcome, reason)
    return {"batch": batch, "outcome": outcome, "reason": reason}


def _manifest(loop: Loop, landed: landing.Landed, checked: Checked) -> Manifest:
    earlier = [each for each in loop.origin.manifests(loop.commit) if each.batch == landed.batch]
    return Manifest(
        model=loop.model,
        batch=landed.batch,
        revision=earlier[0].revision + 1 if earlier else 1,
        start=landed.start,
        end=landed.end,
        partial=landed.partial,
        rows=len(checked.valid),
        labelled=int(checked.valid["label"].notna().sum()),
        bad_rows=len(checked.bad),
        unseen=checked.unseen,
        source_sha256=landed.source_sha256,
        label_age_hours=landed.label_age_hours,
        enough_labels_at=enough_labels_at(checked.valid, loop.params.data),
    )


def _quarantine_rows(loop: Loop, landed: landing.Landed, checked: Checked) -> None:
    faults = checked.bad["fault"].str.split(":").str[0].value_counts()
    entry = loop.quarantine.put_rows(
        landed.batch,
        checked.bad,
        reason=f"{len(checked.bad)} of {len(landed.frame)} rows break the contract",
        details={str(name): int(count) for name, count in faults.items()},
    )
    record_action(loop, entry, "quarantined", ACTOR, entry.reason)


def _without_erased(loop: Loop, landed: landing.Landed) -> landing.Landed:
    """Drop the rows that `trimtab ops erase` erased from the landed file itself: quarantine would keep them."""
    row_ids = list(landed.frame[schema.ROW_ID]) if schema.ROW_ID in landed.frame else []
    erased = pd.Series(Tombstones.of(loop.ledger.all(Erasure)).among(row_ids), dtype=bool)
    if not erased.any():
        return landed
    log.warning("Batch %s: %s rows were erased by order before, and are dropped", landed.batch, erased.sum())
    landing.replace_rows(loop.stores.landing, landed, landed.frame[~erased.to_numpy()])
    return landing.read(loop.stores.landing, landed.batch)


def _refuse_overlap(landed: landing.Landed, others: Sequence[Manifest]) -> None:
    for other in others:
        if landed.start < other.end and other.start < landed.end:
            raise BatchRejected(
                landed.batch,
                f"expected bounds that no other batch covers, got {landed.start.isoformat()} to "
                f"{landed.end.isoformat()}, which overlaps with batch {other.batch}",
            )


def _require_acceptable(loop: Loop, landed: landing.Landed) -> None:
    """Refuse bounds in the future, at which the event clock would stand until that time comes, and forged releases."""
    now, released_by = loop.ledger.now(), landed.released_by
    if landed.end > now:
        raise BatchRejected(
            landed.batch,
            f"expected an end in the past, got {landed.end.isoformat()}; the system clock says {now.isoformat()}",
        )
    if released_by is not None:
        newest = loop.ledger.last(QuarantineAction, prefix=f"{released_by}:")
        if newest is None or newest.action != "released":
            raise BatchRejected(
                landed.batch,
                f"expected a manifest without released_by, got {released_by!r}, which nobody released. Use "
                f"`trimtab batch quarantine release`",
            )


def _refuse(loop: Loop, rejected: BatchRejected, files: list[Path]) -> dict[str, Any]:
    entry = loop.quarantine.copy_batch(
        rejected.batch, reason=rejected.reason, files=files, row_ids=rejected.row_ids
    )
    record_action(loop, entry, "quarantined", ACTOR, rejected.reason)
    landing.remove(files)
    log.error(
        "%s; the original is at %s. See `trimtab batch quarantine show %s`", rejected, entry.path, entry.name
    )
    return {"batch": rejected.batch, "outcome": "quarantined", "reason": rejected.reason}


def record_action(
    loop: Loop,
    entry: Quarantined,
    action: Literal["quarantined", "released", "dropped"],
    actor: str,
    reason: str,
) -> None:
    """Write that an entry was quarantined, released or dropped; what is quarantined already is not written again."""

    def write(facts: Snapshot) -> None:
        earlier = facts.all(QuarantineAction, prefix=f"{entry.name}:")
        if action != "quarantined" or not state.open_quarantine(earlier):
            facts.append(
                QuarantineAction(
                    entry=entry, action=action, actor=actor, reason=reason, number=len(earlier) + 1
                )
            )

    loop.ledger.decide(write)
    if action == "quarantined":
        text = f"batch {entry.batch}: {reason}. See `trimtab batch quarantine show {entry.name}`"
        notify(loop, key=f"quarantine:{entry.name}", kind="quarantine", text=text)
