"""Erase rows from files on this machine: quarantine, landing folder, spool; and their ids from quarantine entries."""

import json
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from pathlib import Path

from trimtab import files
from trimtab.contracts import Quarantined, from_json, to_json
from trimtab.errors import Unfit
from trimtab.ledger.facts import QuarantineAction
from trimtab.ledger.leases import Lease
from trimtab.loop.loop import Loop
from trimtab.ops.erasure import rowfiles
from trimtab.predictions import dead_letters
from trimtab.predictions.claim import Claim
from trimtab.predictions.records import decode

_DRAIN_SECONDS = 20.0
"""The service writes what waits in its spool within a second or two, if the prediction log accepts it."""


def search(loop: Loop, ids: Set[str]) -> dict[Path, Set[str]]:
    """Return the files of quarantine, landing folder and spool that contain any of the ids, and which of them."""
    contents = {path: _ids_of_rows(path, ids) for path in _row_files(loop)}
    contents |= {path: _ids_of_lines(path, ids) for path in _spool_files(loop)}
    contents |= {path: ids & set(entry.row_ids) for path, entry in _entries(loop).items()}
    return {path: present for path, present in contents.items() if present}


def erase(loop: Loop, ids: Set[str]) -> None:
    """Remove the rows from these files, and leave the rest of each; safe to be called again.

    Raises:
        Unfit: A running service keeps such a record in its spool, because the prediction log does not accept it.
    """
    for path in _row_files(loop):
        if _ids_of_rows(path, ids):
            files.write(path, rowfiles.without_rows(path.read_bytes(), ids))
    for path, entry in _entries(loop).items():
        if ids & set(entry.row_ids):
            files.write(path, to_json(_redacted(entry, ids)).encode())
    _erase_lines(loop, ids)


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


def _entries(loop: Loop) -> dict[Path, Quarantined]:
    paths = loop.stores.quarantine.glob("*/entry.json")
    return {path: from_json(Quarantined, path.read_bytes()) for path in paths}


def _row_files(loop: Loop) -> Iterator[Path]:
    yield from loop.stores.quarantine.glob("*/*.parquet")
    yield from loop.stores.landing.glob("*.parquet")


def _spool_files(loop: Loop) -> list[Path]:
    spool = loop.stores.spool
    return [*spool.glob("*.jsonl"), *spool.glob(dead_letters.FILE)]


def _ids_of_rows(path: Path, ids: Set[str]) -> Set[str]:
    rows = rowfiles.of_rows(_content(path), ids)
    return set() if rows is None else set(rows["row_id"].astype(str))


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
    if not _within(_DRAIN_SECONDS, lambda: not any(_ids_of_lines(path, ids) for path in _spool_files(loop))):
        raise Unfit(
            f"The spool at {spool} contains a record of such a row, and the running service cannot write it to the log",
            "Bring the prediction log back, or stop the service, then run the same command again.",
        )


def _within(seconds: float, reached: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # ingested, or written to the log, since it was listed
        return b""
