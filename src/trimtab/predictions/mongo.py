"""The prediction log in MongoDB.

It uses only find, count, range, sort, bulk upsert, insert, delete, and unique and TTL indexes. Other servers that speak
MongoDB's protocol support these, but return wrong results for aggregations without an error, so the join is done here.

    predictions   `_id` is the prediction id; the other fields are those of `Prediction`
    feedback      (model, row_id, revision) is unique, so two processes cannot both write the next revision of a row
    trimtab       {_id: "predictions", version: 2}
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bson.errors import InvalidDocument
from pymongo import ASCENDING, MongoClient, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, PyMongoError

from trimtab import params
from trimtab.predictions.joining import LabelRevision, join, new_outcomes
from trimtab.predictions.protocol import VERSION, PredictionLog, chunks, unreachable, unsupported_version
from trimtab.predictions.records import SHADOW, JoinedPrediction, Outcome, Prediction, TimeField, field_values
from trimtab.redaction import redact

Document = dict[str, Any]

_DATABASE = "trimtab"
"""Used if the URL names no database."""
_MARKER = "predictions"
_DUPLICATE_KEY = 11000
_RECORD_ERRORS = {2, 52, 55, 57, 121, 10334, 17280}
"""Error codes that depend on the record, so that a retry is useless: bad value, field name, validation, size."""
_MAX_INT64 = 2**63 - 1


class MongoLog(PredictionLog):
    """A prediction log in the database that a `mongodb://` URL names, by default `trimtab`."""

    def __init__(self, url: str, settings: params.Predictions) -> None:
        self.redacted_url, timeout_ms = redact(url), round(settings.timeout_seconds * 1000)
        self._client: MongoClient[Document] = MongoClient(
            url,
            tz_aware=True,
            appname="trimtab",
            connect=False,
            connectTimeoutMS=timeout_ms,
            serverSelectionTimeoutMS=timeout_ms,
            socketTimeoutMS=round(settings.write_seconds * 1000),
        )
        # The spool deletes what is written, so a majority of the servers must have it on disk.
        database = self._client.get_default_database(_DATABASE).with_options(
            write_concern=WriteConcern(w="majority", j=True)
        )
        self._predictions, self._feedback = database["predictions"], database["feedback"]
        self._marker, days = database["trimtab"], settings.retention_days
        self._expiry = None if days is None else round(days * 86400)
        self._prepared, self._preparing = False, threading.Lock()

    def prepare(self) -> None:
        with self._connected():
            self._client.admin.command("ping")

    def add(self, predictions: Sequence[Prediction]) -> None:
        """See `PredictionLog`. Each prediction is written independently."""
        upserts = [
            UpdateOne({"_id": prediction.prediction_id}, {"$setOnInsert": _document(prediction)}, upsert=True)
            for prediction in predictions
        ]
        with self._connected():
            try:
                self._predictions.bulk_write(upserts, ordered=False)
            except BulkWriteError as error:
                if _codes(error) != {_DUPLICATE_KEY}:  # another process wrote the same predictions
                    raise

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        with self._connected():
            return {
                document["_id"]: _prediction(document)
                for chunk in chunks(prediction_ids)
                for document in self._predictions.find({"_id": {"$in": list(chunk)}, "model": model})
            }

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """See `PredictionLog`. Repeats the rows for which another process wrote an outcome at the same time."""
        total, remaining = 0, list(outcomes)
        while remaining:
            models, rows = ({getattr(outcome, name) for outcome in remaining} for name in ("model", "row_id"))
            with self._connected():
                stored = map(_label_revision, self._find_rows(self._feedback, sorted(models), sorted(rows)))
                new = new_outcomes(stored, remaining)
                written = self._insert(
                    [
                        {**field_values(outcome), "label": _bson(outcome.label), "revision": revision}
                        for outcome, revision in new
                    ]
                )
            total += written
            conflicting = {(outcome.model, outcome.row_id) for outcome, _ in new[written:]}
            remaining = [each for each in remaining if (each.model, each.row_id) in conflicting]
        return total

    def count(self) -> tuple[int, int]:
        with self._connected():
            return self._predictions.count_documents({}), self._feedback.count_documents({})

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: TimeField = "served_at",
        known_by: datetime | None = None,
    ) -> list[JoinedPrediction]:
        window = {"model": model, by: {"$gte": start, "$lt": end}}
        with self._connected():
            inside = self._predictions.find(window, {"row_id": 1, "role": 1})
            rows = sorted({document["row_id"] for document in inside if document["role"] != SHADOW})
            return join(
                map(_prediction, self._find_rows(self._predictions, [model], rows)),
                map(_label_revision, self._find_rows(self._feedback, [model], rows)),
                by=by,
                start=start,
                end=end,
                known_by=known_by,
            )

    def purge(self, now: datetime) -> int:
        """See `PredictionLog`. MongoDB deletes through its TTL index, within about a minute."""
        return 0

    def erase(self, model: str, row_ids: Sequence[str]) -> int:
        """See `PredictionLog`. An interruption may leave some records; a repeated call deletes them."""
        with self._connected():
            return sum(
                collection.delete_many({"model": model, "row_id": {"$in": list(chunk)}}).deleted_count
                for chunk in chunks(row_ids)
                for collection in (self._predictions, self._feedback)
            )

    def close(self) -> None:
        self._client.close()

    def _find_rows(
        self, collection: Collection[Document], models: Sequence[str], rows: Sequence[str]
    ) -> Iterator[Document]:
        for chunk in chunks(rows):
            yield from collection.find({"model": {"$in": models}, "row_id": {"$in": list(chunk)}})

    def _insert(self, outcomes: Sequence[Document]) -> int:
        """Write outcomes in order, up to the first whose revision another process has written; return how many."""
        try:
            if outcomes:
                self._feedback.insert_many(outcomes)
        except BulkWriteError as error:
            if _codes(error) != {_DUPLICATE_KEY}:
                raise
            return int(error.details["nInserted"])
        return len(outcomes)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            self._prepare()
            yield
        except BulkWriteError as error:
            if _codes(error) <= _RECORD_ERRORS | {_DUPLICATE_KEY}:
                raise
            raise unreachable(self.redacted_url, error) from error
        except (DocumentTooLarge, InvalidDocument):
            raise
        except PyMongoError as error:
            raise unreachable(self.redacted_url, error) from error

    def _prepare(self) -> None:
        if self._prepared:
            return
        with self._preparing:
            marker = self._marker.find_one({"_id": _MARKER})
            if marker is not None and marker["version"] != VERSION:
                raise unsupported_version(self.redacted_url, marker["version"])
            for field in ("row_id", "served_at", "event_time"):
                self._predictions.create_index(["model", field])
            self._feedback.create_index(["model", "row_id", "revision"], unique=True)
            _set_expiry(self._predictions, "served_at", self._expiry)
            _set_expiry(self._feedback, "received_at", self._expiry)
            self._marker.update_one({"_id": _MARKER}, {"$setOnInsert": {"version": VERSION}}, upsert=True)
        self._prepared = True


def _set_expiry(collection: Collection[Document], field: str, seconds: int | None) -> None:
    """Create the TTL index for the retention, and drop one with another retention."""
    keys = [(field, ASCENDING)]
    for name, index in collection.index_information().items():
        if [tuple(key) for key in index["key"]] == keys:
            if index.get("expireAfterSeconds") == seconds:
                return
            collection.drop_index(name)
    if seconds is not None:
        collection.create_index(keys, expireAfterSeconds=seconds)


def _codes(error: BulkWriteError) -> set[int]:
    return {
        int(entry.get("code", 0))
        for kind in ("writeErrors", "writeConcernErrors")
        for entry in error.details.get(kind, [])
    }


def _document(prediction: Prediction) -> Document:
    document = field_values(prediction)
    document["features"] = {name: _bson(value) for name, value in prediction.features.items()}
    del document["prediction_id"]
    return document


def _bson(value: object) -> object:
    """Return integers that do not fit into BSON's 64 bits as floats; the data contract reads numbers as floats anyway."""
    return float(value) if type(value) is int and abs(value) > _MAX_INT64 else value


def _prediction(document: Document) -> Prediction:
    return Prediction(prediction_id=document.pop("_id"), **document)


def _label_revision(document: Document) -> LabelRevision:
    known_at, revision, label, model, row_id = (document[name] for name in LabelRevision._fields)
    return LabelRevision(known_at.astimezone(UTC), revision, label, model, row_id)
