"""Tables of the prediction log, and the join of predictions with what became of their rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    and_,
    func,
    or_,
    select,
)

from trimtab.registry.tables import UtcTime
from trimtab.serve.faults import LONGEST_ID

metadata = MetaData()

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("row_id", String(LONGEST_ID), nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(20), nullable=False),
    Column("served_at", UtcTime, nullable=False),
    Column("probability", Float, nullable=False),
    Column("features", JSON, nullable=False),
    Index("predictions_of_row", "model", "row_id"),
    Index("predictions_by_time", "model", "served_at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("row_id", String(LONGEST_ID), nullable=False),
    Column("prediction_id", String(36)),
    Column("label", Integer, nullable=False),
    Column("label_known_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Index("feedback_of_row", "row_id", "model"),
)


def joined_query(model: str, start: datetime, end: datetime) -> Select[Any]:
    """Select what `PredictionLog.joined` returns."""
    in_window = and_(
        predictions.c.model == model, predictions.c.served_at >= start, predictions.c.served_at < end
    )
    rows = select(predictions.c.row_id).where(in_window)
    told = (
        select(
            feedback.c.row_id,
            feedback.c.label,
            feedback.c.label_known_at,
            func.min(feedback.c.label_known_at).over(partition_by=feedback.c.row_id).label("first_known_at"),
            func.row_number()
            .over(
                partition_by=feedback.c.row_id,
                order_by=(feedback.c.label_known_at.desc(), feedback.c.id.desc()),
            )
            .label("place"),
        )
        .where(feedback.c.model == model, feedback.c.row_id.in_(rows))
        .subquery()
    )
    answers = (
        select(
            predictions,
            told.c.label,
            told.c.label_known_at,
            func.row_number()
            .over(
                partition_by=predictions.c.row_id,
                order_by=(predictions.c.served_at.desc(), predictions.c.prediction_id.desc()),
            )
            .label("newness"),
        )
        .join_from(
            predictions, told, and_(told.c.row_id == predictions.c.row_id, told.c.place == 1), isouter=True
        )
        .where(
            predictions.c.model == model,
            predictions.c.row_id.in_(rows),
            or_(told.c.row_id.is_(None), predictions.c.served_at < told.c.first_known_at),
        )
        .subquery()
    )
    names = ("prediction_id", "row_id", "version", "served_at", "probability", "label", "label_known_at")
    return (
        select(*(answers.c[name] for name in names))
        .where(answers.c.newness == 1, answers.c.served_at >= start, answers.c.served_at < end)
        .order_by(answers.c.served_at, answers.c.prediction_id)
    )
