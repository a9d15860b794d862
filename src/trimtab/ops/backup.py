"""`trimtab ops backup`: copy all five stores, consistently, while the loop goes on.

If one store names something in another, the copy of the other must contain it; it may contain more. All writers write
what is named first (an object, then its pointer, then the fact in the ledger), so the copies are taken in reverse:

1. the ledger, MLflow's database and the quarantine, while nobody can add a fact. A stage moves only after its intent is in
   the ledger, so a move in the copy of MLflow has its intent in the copy of the ledger. `reconcile` finishes or voids it
   after a restore, as after a crash.
2. MLflow's artifacts, the origin, and last the objects that the ledger or any commit of the origin names.
3. the prediction log, which nothing names.

Backup and garbage collection exclude each other by a lease, so that nothing is deleted between the steps.
"""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from trimtab import __version__
from trimtab.clock import system_clock
from trimtab.errors import Unfit
from trimtab.files import sync
from trimtab.ledger import Batch, Erasure, Version
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import dvc_objects, folders, manifest, prediction_log, sql_dump
from trimtab.ops.maintenance import exclusively
from trimtab.ops.mlflow_places import mlflow_places
from trimtab.origin.commands import git
from trimtab.origin.mirror import address

log = logging.getLogger(__name__)

LEDGER_TABLES = ("facts", "alembic_version")
"""The leases are left out: on the machine that is restored, none of their holders is running."""
_NAME = "trimtab-{:%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup that was taken: its folder, what it holds, and the older backups that were removed.

    `deleted_versions` are in the ledger, but were deleted in MLflow: a restore does not bring them back.
    """

    folder: Path
    counts: dict[str, dict[str, int]]
    removed: tuple[str, ...]
    deleted_versions: tuple[str, ...]


def backup(dest: Path, *, keep: int | None = None) -> Backup:
    """Write a backup to a new folder below `dest`.

    Args:
        dest: Folder of the backups; created if needed.
        keep: How many of the newest backups stay, this one included; None keeps all.

    Raises:
        Unfit: The DVC remote lacks an object that the ledger or the origin names, or MLflow's database is unknown.
        LeaseHeld: Another backup, gc or an erasure is running.
        LeaseLost: This process was paused until its lease expired.
        StoreUnreachable: A store does not answer. Nothing that looks like a backup was left.
    """
    if keep is not None and keep < 1:
        raise Unfit(f"--keep: expected 1 or more, got {keep}", "The backup that is taken always stays.")
    loop = open_loop()
    with exclusively(loop) as lease:
        dest.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(dest)
        folder = dest / _NAME.format(system_clock())
        draft = folder.with_suffix(".part")
        draft.mkdir()
        counts = _copy(loop, draft)
        deleted = _deleted_versions(loop)
        loop.ledger.leases.check(lease)
        _seal(loop, draft, counts, deleted)
        draft.rename(folder)
        sync(dest)
        return Backup(folder=folder, counts=counts, removed=_remove_old(dest, keep), deleted_versions=deleted)


def _copy(loop: Loop, draft: Path) -> dict[str, dict[str, int]]:
    places = mlflow_places(loop.stores)
    with loop.ledger.frozen() as ledger, sql_dump.transaction(places.database) as mlflow:
        counts = {
            "ledger": sql_dump.dump(ledger, sql_dump.tables(ledger, LEDGER_TABLES), draft / "ledger"),
            "mlflow": sql_dump.dump(mlflow, sql_dump.tables(mlflow), draft / "mlflow"),
            "quarantine": {"files": folders.fetch_tree(str(loop.stores.quarantine), draft / "quarantine")},
        }
    files = [
        folders.fetch_tree(places.artifacts_at(location), draft / "artifacts" / experiment)
        for experiment, location in artifact_locations(draft).items()
    ]
    return counts | {
        "artifacts": {"files": sum(files)},
        "origin": _copy_origin(loop, draft),
        "data": _copy_objects(loop, draft),
        "log": prediction_log.dump(loop.stores.prediction_log, loop.params.predictions, draft / "log"),
    }


def artifact_locations(folder: Path) -> dict[str, str]:
    """Return where each experiment in a backup has its artifacts, by the experiment's id."""
    lines = (folder / "mlflow" / "experiments.jsonl").read_text(encoding="utf-8").splitlines()
    experiments = map(json.loads, lines)
    return {str(each["experiment_id"]): each["artifact_location"] for each in experiments}


def _copy_origin(loop: Loop, draft: Path) -> dict[str, int]:
    bare = draft / "origin.git"
    git("clone", "-q", "--mirror", "--no-hardlinks", address(loop.stores.origin), str(bare))
    git("remote", "remove", "origin", cwd=bare)
    return {"commits": int(git("rev-list", "--all", "--count", cwd=bare))}


def _copy_objects(loop: Loop, draft: Path) -> dict[str, int]:
    named = {batch.md5 for batch in loop.ledger.all(Batch)}.union(
        dvc_objects.batches_by_md5(draft / "origin.git")
    )
    erased = {md5 for erasure in loop.ledger.all(Erasure) for md5 in erasure.objects}
    with dvc_objects.remote(loop.stores) as remote:
        present = {md5 for md5 in named if remote.has(md5)}
        lost = sorted(named - present - erased)
        if lost:
            raise Unfit(
                f"The DVC remote lacks {len(lost)} of {len(named)} objects that the ledger or the origin names, the "
                f"first: {lost[0]}",
                "Push them from a checkout or a cache that has them; this backup was not finished.",
            )
        for md5 in sorted(present):
            remote.get(md5, draft / "data" / md5[:2] / md5[2:])
    return {"objects": len(present)}


def _deleted_versions(loop: Loop) -> tuple[str, ...]:
    stages = loop.registry.stages(loop.model)
    deleted = tuple(version for version in loop.ledger.keys(Version) if version not in stages)
    if deleted:
        names = ", ".join(deleted)
        log.warning("Version %s of %s was deleted in MLflow: this backup does not hold it", names, loop.model)
    return deleted


def _seal(loop: Loop, draft: Path, counts: dict[str, dict[str, int]], deleted: tuple[str, ...]) -> None:
    """Write the manifest, last, once everything is on the disk."""
    files = manifest.digests(draft)
    for name in files:
        sync(draft / name)
    manifest.write(
        draft,
        manifest.Manifest(
            layout=manifest.LAYOUT,
            taken_at=system_clock().isoformat(),
            trimtab=__version__,
            model=loop.model,
            commit=git("rev-parse", "refs/heads/main", cwd=draft / "origin.git").strip(),
            counts=counts,
            deleted_versions=deleted,
            files=files,
        ),
    )


def _remove_unfinished(dest: Path) -> None:
    """Remove what a killed backup left; under the lease no other process writes to it."""
    for draft in dest.glob("trimtab-*.part"):
        log.warning("Removing %s, which was never finished", draft)
        shutil.rmtree(draft, ignore_errors=True)


def _remove_old(dest: Path, keep: int | None) -> tuple[str, ...]:
    finished = sorted(path for path in dest.glob("trimtab-*Z") if (path / manifest.FILE).is_file())
    old = finished[:-keep] if keep else []
    for path in old:
        # Renamed first, so that nobody takes a half deleted backup for a complete one.
        shutil.rmtree(path.rename(path.with_suffix(".part")), ignore_errors=True)
    return tuple(path.name for path in old)
