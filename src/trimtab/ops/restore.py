"""`trimtab ops restore`: a backup, into empty stores.

What is named comes first and the ledger last, in one transaction with its tables: until then every step refuses to run,
because there is no ledger. `restoring` in the home folder says that a restore began; the same backup may be restored
again over what a killed one left.
"""

import os
import shutil
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select

from trimtab import params, settings
from trimtab.errors import Unfit
from trimtab.loop.loop import open_loop
from trimtab.loop.reconcile import mend
from trimtab.ops import dvc_objects, folders, manifest, prediction_log, sql_dump
from trimtab.ops.backup import LEDGER, artifact_locations
from trimtab.ops.mlflow_places import MlflowPlaces, mlflow_places
from trimtab.origin import creation
from trimtab.origin.commands import git
from trimtab.origin.mirror import address
from trimtab.registry.mlflow_store import Store

_MARK = "restoring"


def restore(source: Path) -> dict[str, Any]:
    """Fill the stores that the environment names from a backup, and reconcile; returns what was found.

    Raises:
        Unfit: The backup is not whole or was changed, a store is not empty, or the stores do not agree afterwards.
        StoreUnreachable: A store does not answer; run it again.
    """
    source = source.resolve()
    found, where = manifest.verified(source), settings.read()
    places = mlflow_places(where)
    wanted = params.parse(git("show", f"{found.commit}:{params.FILE}", cwd=source / "origin.git"))
    _begin(source, where, places, wanted.predictions)
    for folder in (where.landing, where.work, where.dvc_cache):
        folder.mkdir(parents=True, exist_ok=True)
    _data(source, where)
    _origin(source, where)
    where.quarantine.mkdir(parents=True, exist_ok=True)
    if (source / "quarantine").is_dir():
        shutil.copytree(source / "quarantine", where.quarantine, dirs_exist_ok=True)
    prediction_log.fill(where.prediction_log, wanted.predictions, source / "log")
    _artifacts(source, places)
    _mlflow(source, places, found.model)
    _ledger(source, where.ledger)
    agreed = agree()
    (where.home / _MARK).unlink()
    return {"restored": str(source), "taken_at": found.taken_at, **agreed}


def agree() -> dict[str, Any]:
    """Reconcile, and check that all that the ledger names is there.

    Raises:
        Unfit: Something is not.
    """
    loop = open_loop()
    mended = asdict(mend(loop))
    again = asdict(mend(loop))
    known = loop.registry.stages(loop.model)
    lost = [version for version in loop.ledger.versions(loop.model) if version not in known]
    with dvc_objects.remote(loop.stores) as remote:
        lost += [
            f"{one.manifest.batch} ({one.md5})"
            for one in loop.ledger.batches(loop.model)
            if not remote.has(one.md5)
        ]
    if lost or any(again.values()):
        raise Unfit(
            f"The stores do not agree: the ledger names what is not there ({', '.join(lost) or 'nothing'}), and "
            f"`reconcile` goes on mending ({again})",
            "Restore another backup into empty stores.",
        )
    return {"production": loop.registry.in_stage(loop.model, "Production"), "mended": mended, "agree": True}


def _begin(source: Path, where: settings.Settings, places: MlflowPlaces, wanted: params.Predictions) -> None:
    mark = where.home / _MARK
    if mark.is_file() and mark.read_text(encoding="utf-8") == str(source):
        return
    full = [name for name, empty in _emptiness(where, places, wanted).items() if not empty]
    if full or mark.is_file():
        of = mark.read_text(encoding="utf-8") if mark.is_file() else None
        raise Unfit(
            f"Expected empty stores, got content in {', '.join(full) or 'none'}"
            + (f", of a restore of {of} that did not end" if of else ""),
            f"Nothing was overwritten. Name empty stores, or move these away{f' and remove {mark}' if of else ''}.",
        )
    where.home.mkdir(parents=True, exist_ok=True)
    draft = mark.with_suffix(".part")
    draft.write_text(str(source), encoding="utf-8")
    os.replace(draft, mark)


def _emptiness(where: settings.Settings, places: MlflowPlaces, wanted: params.Predictions) -> dict[str, bool]:
    with dvc_objects.remote(where) as remote:
        data = not remote.all()
    return {
        "the origin": not creation.exists(where),
        "the DVC remote": data,
        "MLflow's database": not _count(places.database, ("runs", "model_versions")),
        "MLflow's artifacts": folders.is_empty(places.artifacts),
        "the ledger": not _count(where.ledger, tuple(LEDGER - {"alembic_version"})),
        "the prediction log": prediction_log.count(where.prediction_log, wanted) == 0,
        "the quarantine": folders.is_empty(str(where.quarantine)),
    }


def _count(url: str, names: tuple[str, ...]) -> int:
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return 0
    with sql_dump.snapshot(url) as connection:
        found = sql_dump.tables(connection, names)
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in found
        )


def _data(source: Path, where: settings.Settings) -> None:
    with dvc_objects.remote(where) as remote:
        for path in sorted((source / "data").glob("??/*")):
            remote.put(path, path.parent.name + path.name)


def _origin(source: Path, where: settings.Settings) -> None:
    url = address(where.origin)
    if not Path(url).is_absolute():
        git("push", "-q", "--mirror", where.origin, cwd=source / "origin.git")
        return
    draft = Path(f"{url}.part")
    folders.remove(draft)
    draft.parent.mkdir(parents=True, exist_ok=True)
    git("clone", "-q", "--mirror", "--no-hardlinks", str(source / "origin.git"), str(draft))
    git("remote", "remove", "origin", cwd=draft)
    folders.remove(Path(url))
    draft.rename(url)


def _artifacts(source: Path, places: MlflowPlaces) -> None:
    for name, location in artifact_locations(source).items():
        folder = source / "artifacts" / name
        if folder.is_dir():
            folders.put_tree(folder, places.artifacts_at(location))


def _mlflow(source: Path, places: MlflowPlaces, model: str) -> None:
    if places.database.startswith("sqlite:///"):
        Path(places.database.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    Store(places.database).stages(model)  # MLflow makes its tables when it is asked
    with sql_dump.writing(places.database) as connection:
        _same_revision(connection, source / "mlflow", "MLflow's database")
        sql_dump.fill(connection, sql_dump.tables(connection), source / "mlflow")


def _ledger(source: Path, url: str) -> None:
    with sql_dump.writing(url) as connection, as_file(files("trimtab.ledger") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _same_revision(connection, source / "ledger", "The ledger")
        sql_dump.fill(connection, sql_dump.tables(connection, LEDGER), source / "ledger")


def _same_revision(connection: Connection, folder: Path, what: str) -> None:
    copied = (folder / "alembic_version.jsonl").read_text(encoding="utf-8")
    table = sql_dump.tables(connection, ("alembic_version",))[0]
    have = connection.execute(select(table.c.version_num)).scalar_one()
    if f'"{have}"' not in copied:
        raise Unfit(
            f"{what} is at revision {have} here, the backup holds {copied.strip()}",
            "Restore with the trimtab and the MLflow that took it (manifest.json names the former), then upgrade.",
        )
