"""`trimtab ops erase`: erases rows from all stores, for legal reasons.

First the intent is in the ledger: from then on no landed file brings the row back. What is erased by its features (MLflow's
samples) goes before the objects that tell these features. Each step finds what is left to do, so that a killed erasure is
ended by the same command. Last comes a look whether anything is left, and only then the ledger says that it is done.
"""

import fcntl
import hashlib
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from trimtab.data.schema import ROW_ID
from trimtab.errors import LeaseHeld, Unfit, Unknown
from trimtab.ledger.records import Erasure
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import prediction_log, sql_dump
from trimtab.ops.erasure import local_files, mlflow_artifacts, versioned_data
from trimtab.ops.lease import exclusively

TAG = "trimtab.rebuildable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What held the rows: batches, objects, versions, files, and how many rows the prediction log knew of."""

    rows: int
    batches: tuple[str, ...]
    objects: tuple[str, ...]
    versions: tuple[str, ...]
    files: tuple[str, ...]
    in_log: int
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Where the ids were found, and which of them."""

    data: versioned_data.Held
    files: tuple[str, ...]
    ids: frozenset[str]
    in_log: int


def forget(row_ids: Sequence[str], *, actor: str, reason: str, dry_run: bool = False) -> Forgotten:
    """Erase all that is known of some rows.

    Args:
        row_ids: Their ids, as the client or the batch named them.
        actor: Who wants it.
        reason: Why; it goes into the ledger, and must not name an id.
        dry_run: Only say what would go.

    Raises:
        Unknown: No store knows one of the rows, and it was never forgotten either; nothing was changed.
        Unfit: The reason names a row, or something holds a row still; then run it again.
        LeaseHeld: A retraining, a backup, gc or another forget runs.
        StoreUnreachable: A store does not answer; run it again.
    """
    ids, me = sorted(set(row_ids)), f"forget on {socket.gethostname()}"
    if any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", reason) for one in ids):
        raise Unfit("The reason names a row id, and the ledger would keep it", "Say it without the id.")
    loop = open_loop()
    if dry_run:
        return _answer(found := _known(loop, ids), _meant(loop, ids, actor, reason, found), dry_run=True)
    with _alone(loop), exclusively(loop, holder=me), exclusively(loop, loop.lease, holder=me):
        found = _known(loop, ids)
        erasure = _meant(loop, ids, actor, reason, found)
        loop.ledger.record_erasure(erasure, "intent")
        _erase(loop, ids, erasure, found)
        _check(loop, ids)
        loop.ledger.record_erasure(erasure, "done")
    return _answer(found, erasure, dry_run=False)


@contextmanager
def _alone(loop: Loop) -> Iterator[None]:
    """Of this machine one process; the kernel frees the lock however that ends, so that the next may take its leases."""
    with (loop.stores.home / "forget.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LeaseHeld("forget", "another process of this machine", "it ends") from error
        yield


def _known(loop: Loop, ids: Sequence[str]) -> _Found:
    found = _look(loop, ids)
    forgotten = loop.ledger.tombstones(loop.model).among(ids)
    unknown = [one for one, gone in zip(ids, forgotten, strict=True) if one not in found.ids and not gone]
    if unknown:
        raise Unknown("row ids that a store holds", ", ".join(unknown))
    return found


def _look(loop: Loop, ids: Sequence[str]) -> _Found:
    data, files = versioned_data.look(loop, ids), local_files.look(loop, ids)
    in_log = prediction_log.mentioned(loop.stores.prediction_log, loop.params.predictions, loop.model, ids)
    known = {one for held in files.values() for one in held} | in_log | local_files.told(loop, ids)
    known |= {one for rows_ in data.rows for one in rows_[ROW_ID].astype(str)}
    names = [*map(str, files), *map(str, data.checkouts), *mlflow_artifacts.look(loop, data.rows)]
    return _Found(data=data, files=tuple(sorted(names)), ids=frozenset(known), in_log=len(in_log))


def _meant(loop: Loop, ids: Sequence[str], actor: str, reason: str, found: _Found) -> Erasure:
    """Return what is to be erased; of an erasure that was begun before, with all that it meant then."""
    stones, records = loop.ledger.tombstones(loop.model), loop.ledger.erasures(loop.model)
    digests = tuple(sorted(map(stones.digest, ids)))
    name = hashlib.sha256("".join(digests).encode()).hexdigest()[:16]
    times = sum(one.phase == "done" and one.erasure.rows == digests for one in records)
    begun = [one.erasure for one in records if one.erasure.key == f"{name}:{times + 1}"]
    gone = {*found.data.objects, *(md5 for one in begun for md5 in one.objects)}
    batches = {*found.data.batches, *(batch for one in begun for batch in one.batches)}
    return Erasure(
        model=loop.model,
        key=f"{name}:{times + 1}",
        salt=stones.salt,
        rows=digests,
        batches=tuple(sorted(batches)),
        objects=tuple(sorted(gone)),
        versions=tuple(versioned_data.versions_of(loop, gone)),
        actor=begun[0].actor if begun else actor,
        reason=begun[0].reason if begun else reason,
    )


def _erase(loop: Loop, ids: Sequence[str], erasure: Erasure, found: _Found) -> None:
    mlflow_artifacts.erase(loop, found.data.rows)
    versioned_data.revise(loop, erasure.batches, ids, erasure.key)
    versioned_data.remove(loop, erasure.objects, found.data.checkouts)
    local_files.erase(loop, ids)
    prediction_log.forget(loop.stores.prediction_log, loop.params.predictions, loop.model, ids)
    local_files.redact(loop, ids)
    for url in (loop.stores.prediction_log, loop.stores.ledger):
        sql_dump.compact(url)
    for version, how in versioned_data.versions_of(loop, erasure.objects).items():
        told = f"no: {how} on rows that were erased since (erasure {erasure.key})"
        loop.registry.set_tag(loop.model, version, TAG, told)


def _check(loop: Loop, ids: Sequence[str]) -> None:
    left = _look(loop, ids)
    if left.ids or left.files:
        where = [*left.data.objects, *left.files][:3] or ["the prediction log or a reason in the ledger"]
        raise Unfit(
            f"Something that was in flight wrote one of the rows again, to {', '.join(where)}",
            "Run the same command again.",
        )


def _answer(found: _Found, erasure: Erasure, *, dry_run: bool) -> Forgotten:
    return Forgotten(
        rows=len(erasure.rows),
        batches=erasure.batches,
        objects=erasure.objects,
        versions=erasure.versions,
        files=found.files,
        in_log=found.in_log,
        dry_run=dry_run,
    )
