"""The prediction log in MongoDB.

It asks for find, count, range, sort, bulk upsert, insert, delete, unique and TTL indexes, and for nothing else: what speaks
MongoDB's wire beside `mongod` agrees on these, and is silently wrong on aggregations. The join is done here.

    predictions   _id is the prediction's; the fields are those of `Prediction`
    feedback      (model, row_id, revision) is unique: two that learn of one row at once cannot both be its next
    trimtab       {_id: "predictions", version: 2}
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from bson.errors import InvalidDocument
from pymongo import ASCENDING, MongoClient, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, PyMongoError

from trimtab.errors import StoreUnreachable
from trimtab.predictions.joining import Told, join, news
from trimtab.predictions.protocol import PredictionLog, chunks
from trimtab.predictions.records import SHADOW, Heard, Joined, Moment, Prediction, Truth
from trimtab.predictions.version import VERSION, unfit
from trimtab.redaction import redact

Document = dict[str, Any]

_DATABASE = "trimtab"
"""When the URL names none."""
_MARKER = "predictions"
_DUPLICATE = 11000
_OF_THE_RECORD = {2, 52, 55, 57, 121, 10334, 17280}
"""Codes that no later try changes: bad value, field name, validation, size."""
_LARGEST = 2**63 - 1


class MongoLog(PredictionLog):
    """A prediction log in the database that a `mongodb://` URL names, or in `trimtab`."""

    def __init__(
        self, url: str, *, retention_days: float | None, timeout_seconds: float, write_seconds: float
    ) -> None:
        self._shown = redact(url)
        self._client: MongoClient[Document] = MongoClient(
            url,
            tz_aware=True,
            appname="trimtab",
            connect=False,
            connectTimeoutMS=round(timeout_seconds * 1000),
            serverSelectionTimeoutMS=round(timeout_seconds * 1000),
            socketTimeoutMS=round(write_seconds * 1000),
        )
        # What is taken for written is deleted here: it must be on the disk of the majority there.
        database = self._client.get_default_database(_DATABASE).with_options(
            write_concern=WriteConcern(w="majority", j=True)
        )
        self._predictions, self._feedback = database["predictions"], database["feedback"]
        self._marker = database["trimtab"]
        self._expiry = None if retention_days is None else round(retention_days * 86400)
        self._prepared, self._preparing = False, threading.Lock()

    @property
    def shown(self) -> str:
        """See `PredictionLog`."""
        return self._shown

    def prepare(self) -> None:
        """See `PredictionLog`."""
        with self._talk():
            self._client.admin.command("ping")

    def add(self, predictions: Sequence[Prediction]) -> None:
        """See `PredictionLog`; each by itself."""
        written = [
            UpdateOne({"_id": one.prediction_id}, {"$setOnInsert": _document(one)}, upsert=True)
            for one in predictions
        ]
        with self._talk():
            try:
                self._predictions.bulk_write(written, ordered=False)
            except BulkWriteError as error:
                if _codes(error) != {_DUPLICATE}:  # which is another process that wrote the same
                    raise

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        """See `PredictionLog`."""
        with self._talk():
            return {
                found["_id"]: _prediction(found)
                for chunk in chunks(prediction_ids)
                for found in self._predictions.find({"_id": {"$in": list(chunk)}, "model": model})
            }

    def learn(self, heard: Sequence[Heard]) -> int:
        """See `PredictionLog`; again for those rows of which another process learnt at the same time."""
        learnt, left = 0, list(heard)
        while left:
            with self._talk():
                found = news(self._known(left), left)
                written = self._insert([_outcome(one, revision) for one, revision in found])
            learnt += written
            lost = {_row(one.truth) for one, _ in found[written:]}
            left = [one for one in left if _row(one.truth) in lost]
        return learnt

    def count(self) -> tuple[int, int]:
        """See `PredictionLog`."""
        with self._talk():
            return self._predictions.count_documents({}), self._feedback.count_documents({})

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: Moment = "served_at",
        known_by: datetime | None = None,
    ) -> list[Joined]:
        """See `PredictionLog`."""
        window = {"model": model, by: {"$gte": start, "$lt": end}}
        with self._talk():
            inside = self._predictions.find(window, {"row_id": 1, "role": 1})
            rows = sorted({found["row_id"] for found in inside if found["role"] != SHADOW})
            answers = (_prediction(one) for one in self._of_rows(self._predictions, model, rows))
            told: dict[str, list[Told]] = {}
            for one in self._of_rows(self._feedback, model, rows):
                told.setdefault(one["row_id"], []).append(_told(one))
            return join(answers, told, by=by, start=start, end=end, known_by=known_by)

    def purge(self, now: datetime) -> int:
        """See `PredictionLog`: MongoDB deletes by its TTL index, within a minute or so."""
        return 0

    def forget(self, model: str, row_ids: Sequence[str]) -> int:
        """See `PredictionLog`; cut off in between, a part is gone: delete again."""
        with self._talk():
            return sum(
                collection.delete_many({"model": model, "row_id": {"$in": list(chunk)}}).deleted_count
                for chunk in chunks(row_ids)
                for collection in (self._predictions, self._feedback)
            )

    def close(self) -> None:
        """See `PredictionLog`."""
        self._client.close()

    def _of_rows(
        self, collection: Collection[Document], model: str, rows: Sequence[str]
    ) -> Iterator[Document]:
        for chunk in chunks(rows):
            yield from collection.find({"model": model, "row_id": {"$in": list(chunk)}})

    def _known(self, heard: Sequence[Heard]) -> dict[tuple[str, str], list[Told]]:
        known: dict[tuple[str, str], list[Told]] = {}
        asked = {_row(one.truth) for one in heard}
        for model in {key[0] for key in asked}:
            rows = sorted(row for of_model, row in asked if of_model == model)
            for found in self._of_rows(self._feedback, model, rows):
                known.setdefault((model, found["row_id"]), []).append(_told(found))
        return known

    def _insert(self, outcomes: Sequence[Document]) -> int:
        """Write outcomes in order, up to the first whose revision another process wrote; return how many."""
        try:
            if outcomes:
                self._feedback.insert_many(outcomes)
        except BulkWriteError as error:
            if _codes(error) != {_DUPLICATE}:
                raise
            return int(error.details["nInserted"])
        return len(outcomes)

    @contextmanager
    def _talk(self) -> Iterator[None]:
        try:
            self._prepare()
            yield
        except BulkWriteError as error:
            if _codes(error) <= _OF_THE_RECORD | {_DUPLICATE}:
                raise
            raise self._unreachable(error) from error
        except (DocumentTooLarge, InvalidDocument):
            raise
        except PyMongoError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: PyMongoError) -> StoreUnreachable:
        return StoreUnreachable("The prediction log", self._shown, "TRIMTAB_PREDICTION_LOG_URL", error)

    def _prepare(self) -> None:
        if self._prepared:
            return
        with self._preparing:
            found = self._marker.find_one({"_id": _MARKER})
            if found is not None and found["version"] != VERSION:
                raise unfit(self._shown, found["version"])
            for keys in (["model", "row_id"], ["model", "served_at"], ["model", "event_time"]):
                self._predictions.create_index([(name, ASCENDING) for name in keys])
            unique = [(name, ASCENDING) for name in ("model", "row_id", "revision")]
            self._feedback.create_index(unique, unique=True)
            _expire(self._predictions, "served_at", self._expiry)
            _expire(self._feedback, "received_at", self._expiry)
            self._marker.update_one({"_id": _MARKER}, {"$setOnInsert": {"version": VERSION}}, upsert=True)
        self._prepared = True


def _expire(collection: Collection[Document], field: str, seconds: int | None) -> None:
    """Make the TTL index that `retention_days` asks for, and drop any other."""
    keys = [(field, ASCENDING)]
    for name, index in collection.index_information().items():
        if [tuple(key) for key in index["key"]] == keys:
            if index.get("expireAfterSeconds") == seconds:
                return
            collection.drop_index(name)
    if seconds is not None:
        collection.create_index(keys, expireAfterSeconds=seconds)


def _codes(error: BulkWriteError) -> set[int]:
    codes = {int(one["code"]) for one in error.details.get("writeErrors", [])}
    return codes | {int(one.get("code", 0)) for one in error.details.get("writeConcernErrors", [])}


def _document(one: Prediction) -> Document:
    found = {field.name: getattr(one, field.name) for field in fields(one) if field.name != "prediction_id"}
    return {**found, "features": {name: _bson(value) for name, value in one.features.items()}}


def _bson(value: object) -> object:
    """Turn an integer beyond BSON's 64 bits into a float, as which the contract reads numbers anyhow."""
    return float(value) if type(value) is int and abs(value) > _LARGEST else value


def _prediction(found: Mapping[str, Any]) -> Prediction:
    return Prediction(
        prediction_id=found["_id"], **{name: value for name, value in found.items() if name != "_id"}
    )


def _row(truth: Truth) -> tuple[str, str]:
    return truth.model, truth.row_id


def _outcome(heard: Heard, revision: int) -> Document:
    truth = heard.truth
    outcome = {field.name: getattr(truth, field.name) for field in fields(truth)}
    return {**outcome, "label": _bson(truth.label), "revision": revision, "received_at": heard.received_at}


def _told(found: Mapping[str, Any]) -> Told:
    return Told(found["label_known_at"].astimezone(UTC), found["revision"], found["label"])
