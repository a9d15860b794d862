"""`trimtab ops erase`: erase rows from all stores, for legal reasons.

First the intent is written to the ledger: from then on no landed file brings the rows back. MLflow's samples have no ids and
are recognised by their features, so they are erased before the objects that contain these features. Each step finds out what
is left to do, so that the same command finishes an erasure that was killed. At the end all stores are searched again, and
only if nothing is left, the ledger says that the erasure is complete.
"""

import hashlib
import re
import socket
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace

from trimtab.data.schema import ROW_ID
from trimtab.errors import LeaseHeld, Unfit, Unknown
from trimtab.files import locked
from trimtab.ledger import Erasure, ErasureEnd, Lease
from trimtab.ledger.tombstones import Tombstones
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import prediction_log, sql_dump
from trimtab.ops.erasure import local_files, mlflow_artifacts, versioned_data
from trimtab.ops.maintenance import exclusively
from trimtab.predictions.opening import open_log

TAG = "trimtab.rebuildable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What contained the rows: batches, objects, versions, files; and how many of the rows were in the prediction log."""

    rows: int
    batches: tuple[str, ...]
    objects: tuple[str, ...]
    versions: tuple[str, ...]
    files: tuple[str, ...]
    in_log: int
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Occurrences:
    """Where rows occur, and which of the ids occur anywhere."""

    data: versioned_data.Occurrences
    files: tuple[str, ...]
    ids: Set[str]
    in_log: int


def erase_rows(row_ids: Sequence[str], *, actor: str, reason: str, dry_run: bool = False) -> Erased:
    """Erase rows from all stores.

    Args:
        row_ids: Their ids, as the client or the batch named them.
        actor: Who orders it.
        reason: Why. It goes into the ledger, and must not contain an id.
        dry_run: Only report what would be erased.

    Raises:
        Unknown: A row is in no store, and was never erased either; nothing was changed.
        Unfit: The reason contains an id, or a row is still in a store; run the same command again.
        LeaseHeld: A retraining, a backup, gc or another erasure is running.
        LeaseLost: This process was paused until a lease expired; run the same command again.
        StoreUnreachable: A store does not answer; run the same command again.
    """
    ids = set(row_ids)
    if any(re.search(rf"(?<!\w){re.escape(row_id)}(?!\w)", reason) for row_id in ids):
        raise Unfit("The reason contains a row id, which the ledger would keep", "Give a reason without it.")
    loop = open_loop()
    with nullcontext() if dry_run else _alone(loop) as lease:
        occurrences = _require_occurrences(loop, ids)
        erasure = _plan(loop, ids, actor, reason, occurrences)
        if lease:
            loop.ledger.append(erasure, lease=lease)
            _erase(loop, ids, erasure, occurrences, lease)
            _require_erased(loop, ids)
            begun = [each for each in loop.ledger.all(Erasure) if each.rows == erasure.rows]
            loop.ledger.append(*(ErasureEnd(key=each.key) for each in begun), lease=lease)
    return Erased(
        rows=len(erasure.rows),
        batches=erasure.batches,
        objects=erasure.objects,
        versions=erasure.versions,
        files=occurrences.files,
        in_log=occurrences.in_log,
        dry_run=dry_run,
    )


@contextmanager
def _alone(loop: Loop) -> Iterator[Lease]:
    """Hold the leases of maintenance and retraining, in one process of this machine.

    The kernel frees the lock file however the process ends, so the next one may renew its leases.
    """
    holder, minutes = f"erase on {socket.gethostname()}", loop.params.trigger.lease_minutes
    try:
        with (
            locked(loop.stores.home / "erase.lock", wait=False),
            exclusively(loop, holder=holder) as lease,
            loop.ledger.leases.held(loop.lease_name, holder=holder, minutes=minutes),
        ):
            yield lease
    except BlockingIOError as error:
        raise LeaseHeld("erase", "another process of this machine", "it ends") from error


def _require_occurrences(loop: Loop, ids: Set[str]) -> _Occurrences:
    occurrences = _search(loop, ids)
    absent = sorted(ids - occurrences.ids)
    erased = Tombstones.of(loop.ledger.all(Erasure)).among(absent)
    unknown = [row_id for row_id, gone in zip(absent, erased, strict=True) if not gone]
    if unknown:
        raise Unknown("row ids that are in a store", ", ".join(unknown))
    return occurrences


def _search(loop: Loop, ids: Set[str]) -> _Occurrences:
    data, files = versioned_data.search(loop, ids), local_files.search(loop, ids)
    in_log = prediction_log.mentioned(
        loop.stores.prediction_log, loop.params.predictions, loop.model, sorted(ids)
    )
    in_data = {row_id for rows in data.rows for row_id in rows[ROW_ID].astype(str)}
    artifacts = (name for name, _ in mlflow_artifacts.changes(loop, data.rows))
    return _Occurrences(
        data=data,
        files=tuple(sorted([*map(str, (*files, *data.checkouts)), *artifacts])),
        ids=in_data.union(in_log, local_files.in_ledger(loop, ids), *files.values()),
        in_log=len(in_log),
    )


def _plan(loop: Loop, ids: Set[str], actor: str, reason: str, occurrences: _Occurrences) -> Erasure:
    """Return the erasure to make; it includes unfinished ones of the same rows, and is one of these if it adds nothing."""
    erasures, ended = loop.ledger.all(Erasure), set(loop.ledger.keys(ErasureEnd))
    stones = Tombstones.of(erasures)
    digests = tuple(sorted(map(stones.digest, ids)))
    earlier = [erasure for erasure in erasures if erasure.rows == digests]
    begun = [erasure for erasure in earlier if erasure.key not in ended]
    objects = occurrences.data.objects.union(*(erasure.objects for erasure in begun))
    plan = Erasure(
        key=f"{hashlib.sha256(''.join(digests).encode()).hexdigest()[:16]}:{len(earlier) + 1}",
        salt=stones.salt,
        rows=digests,
        batches=tuple(sorted(occurrences.data.batches.union(*(erasure.batches for erasure in begun)))),
        objects=tuple(sorted(objects)),
        versions=tuple(versioned_data.versions_of(loop, objects)),
        actor=begun[0].actor if begun else actor,
        reason=begun[0].reason if begun else reason,
    )
    return next((erasure for erasure in begun if replace(plan, key=erasure.key) == erasure), plan)


def _erase(loop: Loop, ids: Set[str], erasure: Erasure, occurrences: _Occurrences, lease: Lease) -> None:
    data, log = occurrences.data, loop.stores.prediction_log
    with closing(open_log(log, loop.params.predictions)) as predictions:
        steps: Sequence[Callable[[], object]] = (
            lambda: mlflow_artifacts.erase(loop, data.rows),
            lambda: versioned_data.revise(loop, erasure.batches, ids, erasure.key, lease),
            lambda: versioned_data.remove(loop, erasure.objects, data.checkouts),
            lambda: local_files.erase(loop, ids),
            lambda: predictions.erase(loop.model, sorted(ids)),
            lambda: local_files.redact(loop, ids, lease),
        )
        for step in steps:
            loop.ledger.leases.check(lease)
            step()
    for url in (log, loop.stores.ledger):
        sql_dump.compact(url)
    for version in versioned_data.versions_of(loop, erasure.objects):
        text = f"no: trained on rows that were erased since (erasure {erasure.key})"
        loop.registry.set_tag(loop.model, version, TAG, text)


def _require_erased(loop: Loop, ids: Set[str]) -> None:
    left = _search(loop, ids)
    if left.ids or left.files:
        places = [*left.data.objects, *left.files][:3] or ["the prediction log or the ledger"]
        raise Unfit(
            f"One of the rows was written again during the erasure, to {', '.join(places)}",
            "Run the same command again.",
        )
