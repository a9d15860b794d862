"""`trimtab batch quarantine`: what was refused and why; take it in as it is, or give it up, by name and reason."""

from typing import Literal

import pandas as pd

from trimtab.contracts import Quarantined
from trimtab.data import landing
from trimtab.errors import UnknownQuarantine
from trimtab.ledger.records import QuarantineRecord
from trimtab.loop.ingest import ingest
from trimtab.loop.loop import Loop, open_loop


def table() -> str:
    """Return every open entry with its reason, as text; empty when there is none."""
    entries = open_loop().ledger
    model = open_loop().model
    return "\n".join(
        f"{entry.name}  {entry.kind}, {entry.rows} rows: {entry.reason}"
        for entry in entries.open_quarantine(model).values()
    )


def show(name: str) -> str:
    """Return one entry: its reason, where the original lies, its history, and the first rows if it holds rows.

    Raises:
        UnknownQuarantine: No entry was ever called so.
    """
    loop = open_loop()
    history = [record for record in loop.ledger.quarantine_log(loop.model) if record.entry.name == name]
    if not history:
        raise UnknownQuarantine(name, list(loop.ledger.open_quarantine(loop.model)))
    entry = history[-1].entry
    lines = [f"{entry.name}: {entry.reason}", f"original: {entry.path}"]
    lines += [f"{fault}: {count} rows" for fault, count in entry.details.items()]
    lines += [
        f"{record.at:%Y-%m-%d %H:%M} {record.action} by {record.actor}: {record.reason}" for record in history
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
    _record(loop, entry, "released", actor, reason)
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
    _record(loop, entry, "dropped", actor, reason)
    return f"{name}: dropped"


def _reland(loop: Loop, entry: Quarantined, reason: str) -> None:
    record = next(one for one in loop.ledger.batches(loop.model) if one.manifest.batch == entry.batch)
    kept = loop.origin.fetch_batch(entry.batch, md5=record.md5, commit=record.commit)
    refused = loop.quarantine.rows(entry.name).drop(columns="fault")
    frame = pd.concat([kept, refused.astype(kept.dtypes.to_dict())], ignore_index=True)
    landing.land(loop.stores.landing, record.manifest, frame, released_by=entry.name, released_reason=reason)


def _open(loop: Loop, name: str) -> Quarantined:
    waiting = loop.ledger.open_quarantine(loop.model)
    if name not in waiting:
        raise UnknownQuarantine(name, list(waiting))
    return waiting[name]


def _record(
    loop: Loop, entry: Quarantined, action: Literal["released", "dropped"], actor: str, reason: str
) -> None:
    loop.ledger.record_quarantine(
        loop.model,
        QuarantineRecord(entry=entry, action=action, actor=actor, reason=reason, at=loop.ledger.now()),
    )
