"""Copies the prediction log: SQL by its rows, MongoDB by its documents."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import bson
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError
from sqlalchemy import select

from trimtab import params
from trimtab.errors import StoreUnreachable, Unfit
from trimtab.ops import sql_dump
from trimtab.predictions import sql_tables
from trimtab.predictions.opening import open_log

_COLLECTIONS = ("feedback", "predictions", "trimtab")
"""Outcomes first: a prediction is written before what became of it, so none is copied without the other."""
_PAGE = 500


def dump(url: str, wanted: params.Predictions, folder: Path) -> dict[str, int]:
    """Copy the log to a folder; return how many records of each kind."""
    _prepare(url, wanted)
    if _is_mongo(url):
        return _dump_documents(url, folder)
    with sql_dump.snapshot(url) as connection:
        return sql_dump.dump(connection, sql_dump.tables(connection, sql_tables.metadata.tables), folder)


def fill(url: str, wanted: params.Predictions, folder: Path) -> None:
    """Let the log hold what was copied, and nothing else.

    Raises:
        Unfit: The copy is of the other kind of store.
    """
    copied_mongo = any(folder.glob("*.bson"))
    if copied_mongo != _is_mongo(url):
        kind = "MongoDB" if copied_mongo else "an SQL database"
        raise Unfit(
            f"The prediction log of this backup was in {kind}, TRIMTAB_PREDICTION_LOG_URL names another kind",
            f"Let it name {kind} for the restore.",
        )
    _prepare(url, wanted)
    if copied_mongo:
        _fill_documents(url, folder)
        return
    with sql_dump.writing(url) as connection:
        sql_dump.fill(connection, sql_dump.tables(connection, sql_tables.metadata.tables), folder)


def count(url: str, wanted: params.Predictions) -> int:
    """Return how many records the log holds."""
    with closing(open_log(url, wanted)) as log:
        return sum(log.count())


def mentioned(url: str, wanted: params.Predictions, model: str, row_ids: Sequence[str]) -> set[str]:
    """Return those of the rows of which the log holds a prediction or an outcome."""
    _prepare(url, wanted)
    found: set[str] = set()
    if _is_mongo(url):
        with _database(url) as database:
            for name in ("predictions", "feedback"):
                query = {"model": model, "row_id": {"$in": list(row_ids)}}
                found |= {str(one["row_id"]) for one in database[name].find(query, {"row_id": 1})}
        return found
    with sql_dump.snapshot(url) as connection:
        for table in (sql_tables.predictions, sql_tables.feedback):
            query_ = select(table.c.row_id).where(table.c.model == model, table.c.row_id.in_(row_ids))
            found |= set(connection.execute(query_).scalars())
    return found


def forget(url: str, wanted: params.Predictions, model: str, row_ids: Sequence[str]) -> int:
    """Delete all records of some rows; return how many."""
    with closing(open_log(url, wanted)) as log:
        return log.forget(model, row_ids)


def _prepare(url: str, wanted: params.Predictions) -> None:
    with closing(open_log(url, wanted)) as log:
        log.prepare()


def _is_mongo(url: str) -> bool:
    return url.startswith("mongodb")


def _dump_documents(url: str, folder: Path) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with _database(url) as database:
        for name in _COLLECTIONS:
            with (folder / f"{name}.bson").open("wb") as file:
                found = database[name].find()
                counts[name] = sum(1 for one in found if file.write(bson.encode(one)))
    return counts


def _fill_documents(url: str, folder: Path) -> None:
    with _database(url) as database:
        for name in _COLLECTIONS:
            database[name].delete_many({})
            with (folder / f"{name}.bson").open("rb") as file:
                found = bson.decode_file_iter(file)
                while page := list(itertools.islice(found, _PAGE)):
                    database[name].insert_many(page)


@contextmanager
def _database(url: str) -> Iterator[Database[dict[str, Any]]]:
    try:
        with MongoClient[dict[str, Any]](url, appname="trimtab") as client:
            yield client.get_default_database("trimtab")
    except PyMongoError as error:
        shown = url.rpartition("@")[2]
        raise StoreUnreachable(
            "The prediction log", shown, "TRIMTAB_PREDICTION_LOG_URL", type(error).__name__
        ) from error
