"""Erases rows from what lies in folders: quarantine, the landing folder, the spool; and their ids from reasons."""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from trimtab.data.schema import shown
from trimtab.errors import Unfit
from trimtab.ledger import tables
from trimtab.loop.loop import Loop
from trimtab.ops.erasure import rowfiles
from trimtab.predictions import aside, codec
from trimtab.predictions.claim import Claim
from trimtab.predictions.records import Prediction

_DRAIN_SECONDS = 20.0
"""The service writes what waits in its spool within a second or two, when the log takes it."""
_NAMES_ONE = "row_id: expected an id that occurs once, got |expected text in row_id, got values such as "
"""What a reason says before an id."""
_ERASED = "(forgotten)"


def look(loop: Loop, ids: Collection[str]) -> dict[Path, set[str]]:
    """Find the ids in the files of quarantine, landing folder and spool, and say which are in which."""
    found = {path: _ids_of_rows(path, ids) for path in _row_files(loop)}
    found |= {path: _ids_of_lines(path, ids) for path in _lines(loop)}
    found |= {path: _ids_of_reasons(path, ids) for path in loop.stores.quarantine.glob("*/entry.json")}
    return {path: held for path, held in found.items() if held}


def erase(loop: Loop, ids: Collection[str]) -> None:
    """Take the rows out of these files, and leave the rest of each; safe to be done again.

    Raises:
        Unfit: A service that runs keeps such a record in its spool, and the log does not take it.
    """
    for path in _row_files(loop):
        if _ids_of_rows(path, ids):
            _replace(path, rowfiles.without_rows(path.read_bytes(), ids))
    for path in loop.stores.quarantine.glob("*/entry.json"):
        if _ids_of_reasons(path, ids):
            _replace(path, json.dumps(_redacted(json.loads(path.read_bytes()), ids), sort_keys=True).encode())
    _erase_lines(loop, ids)


def redact(loop: Loop, ids: Collection[str]) -> int:
    """Take the ids out of the reasons in the ledger, which name the first faulty row; return of how many."""
    columns = {tables.quarantine: ("reason", "entry"), tables.notices: ("text",)}
    with loop.ledger.write() as connection:
        changed = 0
        for table, names in columns.items():
            for row in connection.execute(select(table)).mappings().all():
                new = {name: _redacted(row[name], ids) for name in names}
                if any(new[name] != row[name] for name in names):
                    connection.execute(update(table).where(table.c.id == row["id"]).values(new))
                    changed += 1
    return changed


def told(loop: Loop, ids: Collection[str]) -> set[str]:
    """Return those of the ids that a reason in the ledger names."""
    with loop.ledger.read() as connection:
        texts = list(connection.execute(select(tables.quarantine.c.reason)).scalars())
        texts += connection.execute(select(tables.notices.c.text)).scalars()
    return {one for one in ids if any(_redacted(text, [one]) != text for text in texts)}


def _redacted(value: Any, ids: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(one, ids) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    for one in ids:
        value = re.sub(f"({_NAMES_ONE}){re.escape(shown(one))}(?=;|[.] See|$)", rf"\1{_ERASED}", value)
    return value


def _row_files(loop: Loop) -> Iterator[Path]:
    yield from loop.stores.quarantine.glob("*/*.parquet")
    yield from loop.stores.landing.glob("*.parquet")


def _lines(loop: Loop) -> list[Path]:
    spool = loop.stores.spool
    return [*spool.glob("*.jsonl"), *spool.glob(aside.FILE)]


def _ids_of_rows(path: Path, ids: Collection[str]) -> set[str]:
    found = rowfiles.of_rows(_bytes(path), ids)
    return set() if found is None else set(found["row_id"].astype(str))


def _ids_of_reasons(path: Path, ids: Collection[str]) -> set[str]:
    reason = json.loads(path.read_bytes())["reason"]
    return {one for one in ids if _redacted(reason, [one]) != reason}


def _ids_of_lines(path: Path, ids: Collection[str]) -> set[str]:
    return {one for line in _bytes(path).splitlines() if (one := _id_of(line)) in ids}


def _id_of(line: bytes) -> str:
    """Return the row id of a line of the spool, or of what was put aside; empty for what is neither."""
    try:
        content = json.loads(line)
        text = content["record"].encode() if "record" in content else line
        record = codec.record(text)
    except (ValueError, TypeError, AttributeError):
        return ""
    return record.row_id if isinstance(record, Prediction) else record.truth.row_id


def _erase_lines(loop: Loop, ids: Collection[str]) -> None:
    spool = loop.stores.spool
    if not spool.is_dir():
        return
    claim = Claim(spool)  # takes over what dead processes left
    try:
        for path in (*claim.found, spool / aside.FILE):
            if _ids_of_lines(path, ids):
                kept = [
                    line for line in path.read_bytes().splitlines(keepends=True) if _id_of(line) not in ids
                ]
                _replace(path, b"".join(kept))
    finally:
        claim.release()
    if not _within(_DRAIN_SECONDS, lambda: not any(_ids_of_lines(path, ids) for path in _lines(loop))):
        raise Unfit(
            f"The spool at {spool} holds a record of such a row, and the service that runs keeps it",
            "Bring the prediction log back, or stop the service, then run the same command again.",
        )


def _within(seconds: float, reached: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # taken in, or written to the log, since it was listed
        return b""


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(content)
    draft.replace(path)
