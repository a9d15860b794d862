"""Outcomes that a client sends: the labels of rows, checked item by item."""

from typing import Any

from trimtab.predictions.records import Truth
from trimtab.predictions.writer import LogWriter
from trimtab.serve.bodies import Body, under
from trimtab.serve.request_types import is_id


def read_outcomes(content: Any, body: Body, log: LogWriter, model: str) -> list[Truth]:
    """Return the outcomes of a request, each under its row's id; rows of prediction ids are looked up in the log.

    Raises:
        RequestRejected: An item names no row or an unknown prediction, or breaks the contract otherwise.
        RequestEntityTooLarge: There are too many items.
        StoreUnreachable: The prediction log does not answer.
    """
    items = [item for item in body.items(content) if isinstance(item, dict)]
    prediction_ids = [item["prediction_id"] for item in items if is_id(item.get("prediction_id"))]
    checked = body.check(content, context=log.rows_of(model, prediction_ids))
    return [Truth(model=model, **dict(item)) for item in under(checked, "item")]
