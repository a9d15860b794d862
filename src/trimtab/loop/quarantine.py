"""`trimtab batch quarantine`: show what was refused and why; ingest it all the same, or drop it, by name and reason."""

import pandas as pd

from trimtab.contracts import Quarantined
from trimtab.data import landing
from trimtab.errors import UnknownQuarantine
from trimtab.ledger import Batch, QuarantineAction, state
from trimtab.loop.ingest import ingest, record_action
from trimtab.loop.loop import Loop, open_loop


def table() -> str:
    """Return every open entry with its reason, as text; empty without open entries."""
    return "\n".join(
        f"{entry.name}  {entry.kind}, {entry.rows} rows: {entry.reason}"
        for entry in _open_entries(open_loop()).values()
    )


def show(name: str) -> str:
    """Return one entry: its reason, where the original is, its history, and the first rows if it holds rows.

    Raises:
        UnknownQuarantine: No entry was ever called so.
    """
    loop = open_loop()
    history = loop.ledger.all(QuarantineAction, prefix=f"{name}:")
    if not history:
        raise UnknownQuarantine(name, list(_open_entries(loop)))
    entry = history[-1].entry
    lines = [
        f"{entry.name}: {entry.reason}",
        f"original: {entry.path}",
        *(f"row_id: {row_id}" for row_id in entry.row_ids),
        *(f"{fault}: {count} rows" for fault, count in entry.details.items()),
        *(f"{each.at:%Y-%m-%d %H:%M} {each.action} by {each.actor}: {each.reason}" for each in history),
    ]
    if entry.kind == "rows" and history[-1].action == "quarantined":
        with pd.option_context("display.max_columns", None, "display.width", 160):
            lines.append(str(loop.quarantine.rows(name).head(10)))
    return "\n".join(lines)


def release(name: str, *, actor: str, reason: str) -> str:
    """Take an entry in as it is, as a new revision of its batch; a person vouches for it.

    A whole batch goes back to the landing folder; rows are joined with what was kept of their batch. What cannot be
    read at all is refused again.
    """
    loop = open_loop()
    entry = _open(loop, name)
    record_action(loop, entry, "released", actor, reason)
    if entry.kind == "batch":
        loop.quarantine.release(name, loop.stores.landing, reason=reason)
    else:
        _reland(loop, entry, reason)
    outcome = ingest(entry.batch)
    return f"{entry.batch}: {outcome['outcome']}, {outcome['reason']}"


def drop(name: str, *, actor: str, reason: str) -> str:
    """Give an entry up; the ledger keeps who did so and why."""
    loop = open_loop()
    entry = _open(loop, name)
    loop.quarantine.drop(name)
    record_action(loop, entry, "dropped", actor, reason)
    return f"{name}: dropped"


def _reland(loop: Loop, entry: Quarantined, reason: str) -> None:
    batch = state.batches_in_force(loop.ledger.all(Batch, prefix=f"{entry.batch}:r"))[0]
    ingested = loop.origin.fetch_batch(entry.batch, md5=batch.md5, commit=batch.commit)
    refused = loop.quarantine.rows(entry.name).drop(columns="fault")
    frame = pd.concat([ingested, refused.astype(ingested.dtypes.to_dict())], ignore_index=True)
    manifest = landing.LandingManifest(
        batch=entry.batch,
        start=batch.manifest.start,
        end=batch.manifest.end,
        partial=batch.manifest.partial,
        released_by=entry.name,
        released_reason=reason,
    )
    landing.land(loop.stores.landing, manifest, frame)


def _open(loop: Loop, name: str) -> Quarantined:
    entries = _open_entries(loop)
    if name not in entries:
        raise UnknownQuarantine(name, list(entries))
    return entries[name]


def _open_entries(loop: Loop) -> dict[str, Quarantined]:
    return state.open_quarantine(loop.ledger.all(QuarantineAction))
