"""Tables of the prediction log in SQL."""

import json
from typing import Any

from sqlalchemy import (
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from trimtab.ledger.tables import UtcTime
from trimtab.predictions.records import LONGEST_ID, to_json

metadata = MetaData()


class _Json(TypeDecorator[Any]):
    """JSON as text, which is the same in every database.

    A column of type JSON has numeric affinity in SQLite, so SQLite parses the text of a number itself. Its result is not
    always the nearest float, and an answer would not be read back equal to the bit.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return to_json(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", String(LONGEST_ID), primary_key=True),
    Column("row_id", String(LONGEST_ID), nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(20), nullable=False),
    Column("served_at", UtcTime, nullable=False),
    Column("event_time", UtcTime, nullable=False),
    Column("answer", _Json, nullable=False),
    Column("features", _Json, nullable=False),
    Column("role", String(20), nullable=False),
    Column("action", Text),
    Column("propensity", Float),
    Index("predictions_of_row", "model", "row_id"),
    Index("predictions_by_time", "model", "served_at"),
    Index("predictions_by_event", "model", "event_time"),
    Index("predictions_by_age", "served_at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("row_id", String(LONGEST_ID), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("prediction_id", String(LONGEST_ID)),
    Column("label", _Json, nullable=False),
    Column("label_known_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    UniqueConstraint("row_id", "model", "revision", name="feedback_of_row"),
    Index("feedback_by_age", "received_at"),
)

marker = Table("prediction_log", metadata, Column("version", Integer, nullable=False))
"""Holds the version of these tables, in one row."""
