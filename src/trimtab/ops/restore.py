"""`trimtab ops restore`: bring a backup back, into empty stores.

What is named comes first and the ledger last, in one transaction with its tables: until then every task refuses to run,
because there is no ledger. The file `restoring` in the home folder marks a restore that has begun; the same backup may be
restored again over what a killed restore left.
"""

import shutil
from collections.abc import Collection
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from trimtab import files, params, settings
from trimtab.errors import Unfit
from trimtab.ledger import Batch, Ledger, Version, state
from trimtab.loop.loop import open_loop
from trimtab.loop.reconcile import repair
from trimtab.ops import dvc_objects, folders, manifest, prediction_log, sql_dump
from trimtab.ops.backup import LEDGER_TABLES, artifact_locations
from trimtab.ops.mlflow_places import MlflowPlaces, mlflow_places
from trimtab.origin import creation
from trimtab.origin.commands import git
from trimtab.origin.mirror import address
from trimtab.predictions.opening import open_log
from trimtab.registry.mlflow_store import Store
from trimtab.settings import Settings

_MARK = "restoring"


def restore(source: Path) -> dict[str, Any]:
    """Fill the stores that the environment names from a backup, and reconcile them; return the outcome.

    Raises:
        Unfit: The backup is incomplete or was changed, a store is not empty, or the restored stores do not agree.
        StoreUnreachable: A store does not answer; run it again.
    """
    source = source.resolve()
    backup, where = manifest.verified(source), settings.read()
    places = mlflow_places(where)
    parameters = params.parse(git("show", f"{backup.commit}:{params.FILE}", cwd=source / "origin.git"))
    _begin(source, where, places, parameters.predictions)
    for folder in (where.landing, where.work, where.dvc_cache, where.quarantine):
        folder.mkdir(parents=True, exist_ok=True)
    _restore_objects(source, where)
    # A killed restore may have left one; a URL is no path.
    shutil.rmtree(address(where.origin), ignore_errors=True)
    creation.publish(source / "origin.git", where)
    if (source / "quarantine").is_dir():
        shutil.copytree(source / "quarantine", where.quarantine, dirs_exist_ok=True)
    prediction_log.fill(where.prediction_log, parameters.predictions, source / "log")
    _restore_artifacts(source, places)
    _restore_mlflow(source, places, backup.model)
    _restore_ledger(source, Ledger(where.ledger, backup.model))
    agreed = agree(backup.deleted_versions)
    (where.home / _MARK).unlink()
    return {"restored": str(source), "taken_at": backup.taken_at, **agreed}


def agree(deleted_versions: Collection[str] = ()) -> dict[str, Any]:
    """Reconcile the stores, and check that everything that the ledger names exists.

    Args:
        deleted_versions: Versions that had been deleted in MLflow before the backup was taken.

    Raises:
        Unfit: Something is missing, or a second `reconcile` still repairs something.
    """
    loop = open_loop()
    repaired, again = repair(loop), repair(loop)
    present = {*loop.registry.stages(loop.model), *deleted_versions}
    missing = [version for version in loop.ledger.keys(Version) if version not in present]
    batches = state.batches_in_force(loop.ledger.all(Batch))
    with dvc_objects.remote(loop.stores) as remote:
        missing += [f"{each.manifest.batch} ({each.md5})" for each in batches if not remote.has(each.md5)]
    # A change by hand or an open transition may have waited for a person when the backup was taken.
    if missing or again.finished or again.void or again.archived or again.aliases:
        raise Unfit(
            f"The stores do not agree: what the ledger names is missing ({', '.join(missing) or 'nothing'}), and a second "
            f"`reconcile` still repairs something ({again})",
            "Restore another backup into empty stores.",
        )
    return {
        "production": loop.registry.in_stage(loop.model, "Production"),
        "repaired": asdict(repaired),
        "deleted_versions": list(deleted_versions),
        "agree": True,
    }


def _begin(source: Path, where: Settings, places: MlflowPlaces, log: params.Predictions) -> None:
    mark = where.home / _MARK
    earlier = mark.read_text(encoding="utf-8") if mark.is_file() else None
    if earlier == str(source):
        return
    with dvc_objects.remote(where) as remote, closing(open_log(where.prediction_log, log)) as predictions:
        contents: dict[str, object] = {
            "the origin": creation.exists(where),
            "the DVC remote": remote.all(),
            "MLflow's database": _count(places.database, ("runs", "model_versions")),
            "MLflow's artifacts": folders.any_file(places.artifacts),
            "the ledger": _count(where.ledger, ("facts",)),
            "the prediction log": sum(predictions.count()),
            "the quarantine": folders.any_file(str(where.quarantine)),
        }
    full = [name for name, content in contents.items() if content]
    if full or earlier:
        raise Unfit(
            f"Expected empty stores, got content in {', '.join(full) or 'none'}"
            + (f", of an unfinished restore of {earlier}" if earlier else ""),
            f"Nothing was overwritten. Name empty stores, or move these away{f' and remove {mark}' if earlier else ''}.",
        )
    files.write(mark, str(source))


def _count(url: str, names: Collection[str]) -> int:
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return 0
    with sql_dump.transaction(url) as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in sql_dump.tables(connection, names)
        )


def _restore_objects(source: Path, where: Settings) -> None:
    with dvc_objects.remote(where) as remote:
        for path in sorted((source / "data").glob("??/*")):
            remote.put(path, path.parent.name + path.name)


def _restore_artifacts(source: Path, places: MlflowPlaces) -> None:
    for experiment, location in artifact_locations(source).items():
        if (folder := source / "artifacts" / experiment).is_dir():
            folders.put_tree(folder, places.artifacts_at(location))


def _restore_mlflow(source: Path, places: MlflowPlaces, model: str) -> None:
    if places.database.startswith("sqlite:///"):
        Path(places.database.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    Store(places.database).stages(model)  # MLflow creates its tables at the first call
    with sql_dump.transaction(places.database, write=True) as connection:
        _require_revision(connection, source / "mlflow", "MLflow's database")
        sql_dump.fill(connection, sql_dump.tables(connection), source / "mlflow")


def _restore_ledger(source: Path, ledger: Ledger) -> None:
    with ledger.transaction("schema") as connection:
        ledger.upgrade(connection)
        _require_revision(connection, source / "ledger", "The ledger")
        sql_dump.fill(connection, sql_dump.tables(connection, LEDGER_TABLES), source / "ledger")


def _require_revision(connection: Connection, folder: Path, database: str) -> None:
    copied = (folder / "alembic_version.jsonl").read_text(encoding="utf-8")
    (table,) = sql_dump.tables(connection, ("alembic_version",))
    revision = connection.execute(select(table.c.version_num)).scalar_one()
    if f'"{revision}"' not in copied:
        raise Unfit(
            f"{database} has schema revision {revision} here, the backup has {copied.strip()}",
            "Restore with the trimtab and the MLflow that took the backup (see manifest.json), then upgrade.",
        )
