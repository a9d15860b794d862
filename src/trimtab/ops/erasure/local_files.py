"""Erase rows from files on this machine: quarantine, landing folder, spool; and their ids from quarantine entries."""

import json
import time
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path

from trimtab import files
from trimtab.contracts import Quarantined, from_json, to_json
from trimtab.data.schema import ROW_ID
from trimtab.errors import Unfit
from trimtab.ledger import Lease, QuarantineAction
from trimtab.loop.loop import Loop
from trimtab.ops.erasure import rowfiles
from trimtab.predictions import dead_letters
from trimtab.predictions.claim import Claim
from trimtab.predictions.records import decode

_DRAIN_SECONDS = 20.0
"""The service writes what waits in its spool within a second or two, if the prediction log accepts it."""


def search(loop: Loop, ids: Set[str]) -> dict[Path, Set[str]]:
    """Return the files of quarantine, landing folder and spool that contain any of the ids, and which of them."""
    present = {path: ids_in_file for path, ids_in_file, _ in _changes(loop, ids)}
    lines = {path: _ids_of_lines(path, ids) for path in _spool_files(loop)}
    return present | {path: ids_in_file for path, ids_in_file in lines.items() if ids_in_file}


def erase(loop: Loop, ids: Set[str]) -> None:
    """Remove the rows from these files, and leave the rest of each; safe to be called again.

    Raises:
        Unfit: A running service keeps such a record in its spool, because the prediction log does not accept it.
    """
    for path, _, content in _changes(loop, ids):
        files.write(path, content)
    _erase_lines(loop, ids)


def _changes(loop: Loop, ids: Set[str]) -> Iterator[tuple[Path, Set[str], bytes]]:
    """Yield each file of rows or quarantine entry that contains any of the ids, these ids, and its content without them."""
    for path in (*loop.stores.quarantine.glob("*/*.parquet"), *loop.stores.landing.glob("*.parquet")):
        content = _content(path)
        rows = rowfiles.of_rows(content, ids)
        if len(rows):
            yield path, set(rows[ROW_ID].astype(str)), rowfiles.without_rows(content, ids)
    for path in loop.stores.quarantine.glob("*/entry.json"):
        entry = from_json(Quarantined, path.read_bytes())
        if present := ids & set(entry.row_ids):
            yield path, present, to_json(_redacted(entry, ids)).encode()


def redact(loop: Loop, ids: Set[str], lease: Lease) -> None:
    """Remove the ids from the quarantine entries in the ledger."""
    for action in loop.ledger.all(QuarantineAction):
        if ids & set(action.entry.row_ids):
            loop.ledger.redact(replace(action, entry=_redacted(action.entry, ids)), lease)


def in_ledger(loop: Loop, ids: Set[str]) -> Set[str]:
    """Return those of the ids that a quarantine entry in the ledger names."""
    return ids & {row_id for action in loop.ledger.all(QuarantineAction) for row_id in action.entry.row_ids}


def _redacted(entry: Quarantined, ids: Set[str]) -> Quarantined:
    return replace(entry, row_ids=tuple(row_id for row_id in entry.row_ids if row_id not in ids))


def _spool_files(loop: Loop) -> list[Path]:
    spool = loop.stores.spool
    return [*spool.glob("*.jsonl"), *spool.glob(dead_letters.FILE)]


def _ids_of_lines(path: Path, ids: Set[str]) -> Set[str]:
    return ids & {_id_of(line) for line in _content(path).splitlines()}


def _id_of(line: bytes) -> str:
    """Return the row id of a line of the spool or of the dead letters; empty if it is neither."""
    try:
        content = json.loads(line)
        return decode(content["record"].encode() if "record" in content else line).row_id
    except (ValueError, TypeError, AttributeError):
        return ""


def _erase_lines(loop: Loop, ids: Set[str]) -> None:
    spool = loop.stores.spool
    if not spool.is_dir():
        return
    claim = Claim(spool)  # takes over the files of dead processes
    try:
        for path in (*claim.inherited, spool / dead_letters.FILE):
            if _ids_of_lines(path, ids):
                lines = path.read_bytes().splitlines(keepends=True)
                files.write(path, b"".join(line for line in lines if _id_of(line) not in ids))
    finally:
        claim.release()
    deadline = time.monotonic() + _DRAIN_SECONDS
    while any(_ids_of_lines(path, ids) for path in _spool_files(loop)):
        if time.monotonic() > deadline:
            raise Unfit(
                f"The spool at {spool} contains a record of such a row, and the running service cannot write it to the log",
                "Bring the prediction log back, or stop the service, then run the same command again.",
            )
        time.sleep(0.2)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # ingested, or written to the log, since it was listed
        return b""
