"""Copy the prediction log: the rows of an SQL database, or the documents of MongoDB."""

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
"""Outcomes first: a prediction is written before its outcome, so no outcome is copied without its prediction."""
_PAGE = 500
_MONGO = "mongodb"


def dump(url: str, settings: params.Predictions, folder: Path) -> dict[str, int]:
    """Copy the log to a folder; return the number of records of each kind."""
    _prepare(url, settings)
    if url.startswith(_MONGO):
        return _dump_documents(url, folder)
    with sql_dump.transaction(url) as connection:
        return sql_dump.dump(connection, sql_dump.tables(connection, sql_tables.metadata.tables), folder)


def fill(url: str, settings: params.Predictions, folder: Path) -> None:
    """Replace the content of the log by a copy.

    Raises:
        Unfit: The copy is from the other kind of store.
    """
    from_mongo = any(folder.glob("*.bson"))
    if from_mongo != url.startswith(_MONGO):
        kind = "MongoDB" if from_mongo else "an SQL database"
        raise Unfit(
            f"The prediction log of this backup was in {kind}, but TRIMTAB_PREDICTION_LOG_URL names another kind of store",
            f"Let it name {kind} for the restore.",
        )
    _prepare(url, settings)
    if from_mongo:
        return _fill_documents(url, folder)
    with sql_dump.transaction(url, write=True) as connection:
        sql_dump.fill(connection, sql_dump.tables(connection, sql_tables.metadata.tables), folder)


def mentioned(url: str, settings: params.Predictions, model: str, row_ids: Sequence[str]) -> set[str]:
    """Return those of the rows that have a prediction or an outcome in the log."""
    _prepare(url, settings)
    if url.startswith(_MONGO):
        query = {"model": model, "row_id": {"$in": list(row_ids)}}
        with _database(url) as database:
            documents = [*database["predictions"].find(query), *database["feedback"].find(query)]
        return {str(document["row_id"]) for document in documents}
    queries = [
        select(table.c.row_id).where(table.c.model == model, table.c.row_id.in_(row_ids))
        for table in (sql_tables.predictions, sql_tables.feedback)
    ]
    with sql_dump.transaction(url) as connection:
        return {row_id for query in queries for row_id in connection.execute(query).scalars()}


def _prepare(url: str, settings: params.Predictions) -> None:
    with closing(open_log(url, settings)) as log:
        log.prepare()


def _dump_documents(url: str, folder: Path) -> dict[str, int]:
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with _database(url) as database:
        for name in _COLLECTIONS:
            with (folder / f"{name}.bson").open("wb") as file:
                counts[name] = sum(
                    1 for document in database[name].find() if file.write(bson.encode(document))
                )
    return counts


def _fill_documents(url: str, folder: Path) -> None:
    with _database(url) as database:
        for name in _COLLECTIONS:
            database[name].delete_many({})
            with (folder / f"{name}.bson").open("rb") as file:
                documents = bson.decode_file_iter(file)
                while page := list(itertools.islice(documents, _PAGE)):
                    database[name].insert_many(page)


@contextmanager
def _database(url: str) -> Iterator[Database[dict[str, Any]]]:
    try:
        with MongoClient[dict[str, Any]](url, appname="trimtab") as client:
            yield client.get_default_database("trimtab")
    except PyMongoError as error:
        raise StoreUnreachable(
            "The prediction log", url.rpartition("@")[2], "TRIMTAB_PREDICTION_LOG_URL", type(error).__name__
        ) from error
