"""`trimtab ops backup`: all five stores, to one consistent cut, while the loop goes on.

What a store names must be in the copy of the store that it names; the other copies may hold more. Every writer writes
what is named first (an object, then its pointer, then the ledger's row), so the copies are taken the other way round:

1. under the ledger's write lock: the ledger, MLflow's database, the quarantine. A stage moves only after its intent is
   in the ledger, and no intent can be written now: a move that MLflow's copy shows is one that the ledger's copy knows.
   `reconcile` finishes or undoes it after a restore, as after a crash.
2. without it: MLflow's artifacts, the origin, and last the objects that the ledger or any commit of the origin names.
3. the prediction log, which nothing names.

Collecting (`trimtab ops gc`) and backing up exclude each other by a lease: what was named is not deleted meanwhile.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from trimtab import __version__
from trimtab.clock import system_clock
from trimtab.errors import Unfit
from trimtab.ledger import tables
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import dvc_objects, folders, manifest, prediction_log, sql_dump
from trimtab.ops.lease import Alive, exclusively
from trimtab.ops.mlflow_places import mlflow_places
from trimtab.origin.commands import git
from trimtab.origin.mirror import address

log = logging.getLogger(__name__)

LEDGER = frozenset(tables.metadata.tables) - {"leases"} | {"alembic_version"}
"""Who holds a lease now says nothing of a machine that comes back from a backup."""
_NAME = "trimtab-{:%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Where a backup lies, what it holds, and which older ones went."""

    folder: Path
    counts: dict[str, dict[str, int]]
    removed: tuple[str, ...]


def backup(dest: Path, *, keep: int | None = None) -> Backup:
    """Write a backup to a new folder below `dest`.

    Args:
        dest: Folder of the backups; made when it is not there.
        keep: So many of the newest backups stay, older ones go; None keeps all.

    Raises:
        Unfit: An object that the ledger names is not in the DVC remote, or MLflow's database is not known.
        LeaseHeld: Another backup runs, or `trimtab ops gc`.
        StoreUnreachable: A store does not answer. Nothing that looks like a backup was left.
    """
    if keep is not None and keep < 1:
        raise Unfit(f"--keep: expected 1 or more, got {keep}", "The backup that is taken always stays.")
    loop = open_loop()
    with exclusively(loop) as alive:
        dest.mkdir(parents=True, exist_ok=True)
        _sweep(dest)
        whole = dest / _NAME.format(system_clock())
        draft = whole.with_suffix(".part")
        draft.mkdir()
        counts = _copied(loop, draft, alive)
        _seal(loop, draft, counts)
        draft.rename(whole)
        _sync(dest)
        return Backup(folder=whole, counts=counts, removed=_thinned(dest, keep))


def _copied(loop: Loop, draft: Path, alive: Alive) -> dict[str, dict[str, int]]:
    counts, places = {}, mlflow_places(loop.stores)
    with loop.ledger.write():
        counts["ledger"] = _rows(loop.stores.ledger, draft / "ledger", LEDGER)
        counts["mlflow"] = _rows(places.database, draft / "mlflow", None)
        counts["quarantine"] = {
            "files": folders.fetch_tree(str(loop.stores.quarantine), draft / "quarantine")
        }
    alive()
    locations = artifact_locations(draft)
    copied = [
        folders.fetch_tree(places.artifacts_at(place), draft / "artifacts" / name)
        for name, place in locations.items()
    ]
    counts["artifacts"] = {"files": sum(copied)}
    alive()
    counts["origin"], counts["data"] = _origin(loop, draft), _objects(loop, draft)
    alive()
    counts["log"] = prediction_log.dump(loop.stores.prediction_log, loop.params.predictions, draft / "log")
    return counts


def artifact_locations(folder: Path) -> dict[str, str]:
    """Return where each experiment of a copy keeps its artifacts, by the experiment's id."""

    lines = (folder / "mlflow" / "experiments.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return {str(one["experiment_id"]): one["artifact_location"] for one in found}


def _rows(url: str, folder: Path, only: frozenset[str] | None) -> dict[str, int]:
    with sql_dump.snapshot(url) as connection:
        return sql_dump.dump(connection, sql_dump.tables(connection, only), folder)


def _origin(loop: Loop, draft: Path) -> dict[str, int]:
    bare = draft / "origin.git"
    git("clone", "-q", "--mirror", "--no-hardlinks", address(loop.stores.origin), str(bare))
    git("remote", "remove", "origin", cwd=bare)
    return {"commits": int(git("rev-list", "--all", "--count", cwd=bare))}


def _objects(loop: Loop, draft: Path) -> dict[str, int]:
    wanted = sorted(dvc_objects.named_in(draft / "origin.git") | named_by_ledger(loop, loop.model))
    with dvc_objects.remote(loop.stores) as remote:
        gone = {md5 for md5 in wanted if not remote.has(md5)}
        lost = sorted(gone - erased(loop))
        if lost:
            raise Unfit(
                f"The DVC remote lacks {len(lost)} of {len(wanted)} objects that the ledger or the origin names, the "
                f"first: {lost[0]}",
                "Push them from a checkout or the cache that has them; this backup was not finished.",
            )
        kept = [md5 for md5 in wanted if md5 not in gone]
        for md5 in kept:
            remote.get(md5, draft / "data" / md5[:2] / md5[2:])
    return {"objects": len(kept)}


def named_by_ledger(loop: Loop, model: str | None = None) -> set[str]:
    """Return the hashes of every batch revision that there ever was, of one model or of all in the ledger."""
    query = select(tables.batches.c.md5)
    with loop.ledger.read() as connection:
        found = connection.execute(query if model is None else query.where(tables.batches.c.model == model))
        return set(found.scalars())


def erased(loop: Loop) -> set[str]:
    """Return the hashes of all that `trimtab ops erase` removed, or is about to."""
    return {md5 for record in loop.ledger.erasures(loop.model) for md5 in record.erasure.objects}


def _seal(loop: Loop, draft: Path, counts: dict[str, dict[str, int]]) -> None:
    """Write the manifest, last, once everything is on the disk."""
    files = manifest.digests(draft)
    for name in files:
        _sync(draft / name)
    head = git("rev-parse", "refs/heads/main", cwd=draft / "origin.git").strip()
    manifest.write(
        draft,
        manifest.Manifest(
            layout=manifest.LAYOUT,
            taken_at=system_clock().isoformat(),
            trimtab=__version__,
            model=loop.model,
            commit=head,
            counts=counts,
            files=files,
        ),
    )
    _sync(draft / manifest.FILE)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(dest: Path) -> None:
    """Remove what a killed backup left; under the lease nobody else writes to one."""
    for left in dest.glob("trimtab-*.part"):
        log.warning("%s was never finished, and goes", left)
        folders.remove(left)


def _thinned(dest: Path, keep: int | None) -> tuple[str, ...]:
    if keep is None:
        return ()
    whole = sorted(path for path in dest.glob("trimtab-*Z") if (path / manifest.FILE).is_file())
    old = whole[:-keep]
    for path in old:
        gone = path.rename(path.with_suffix(".part"))  # so that a half deleted one is not taken for whole
        folders.remove(gone)
    return tuple(path.name for path in old)
