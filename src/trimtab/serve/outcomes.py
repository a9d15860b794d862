"""Ground truth that a client sends, checked item by item."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from trimtab import params
from trimtab.data.schema import KNOWN_AT, LABEL, ROW_ID
from trimtab.errors import RequestRejected
from trimtab.predictions.records import LONGEST_ID, Outcome
from trimtab.predictions.writer import LogWriter
from trimtab.serve.faults import Fault, fault, is_id, moment
from trimtab.serve.rows import number_expected

PREDICTION_ID = "prediction_id"
_FIELDS = (ROW_ID, PREDICTION_ID, LABEL, KNOWN_AT)


def truths_of(items: Sequence[object], log: LogWriter, model: str, label: params.Label) -> list[Outcome]:
    """Return the outcomes of a request, each under its row's id; a prediction's id is looked up in the log.

    Raises:
        RequestRejected: An item names no row or an unknown prediction, or its label or time is none.
        StoreUnreachable: The prediction log does not answer.
    """
    named = [item.get(PREDICTION_ID) for item in items if isinstance(item, Mapping)]
    rows = log.row_ids(model, [str(one) for one in named if is_id(one)])
    faults = [one for number, item in enumerate(items) for one in _faults(number, item, rows, label)]
    if faults:
        raise RequestRejected(faults)
    return [_truth(item, rows, model) for item in items if isinstance(item, Mapping)]


def _truth(item: Mapping[str, Any], rows: Mapping[str, str], model: str) -> Outcome:
    prediction = item.get(PREDICTION_ID)
    return Outcome(
        model=model,
        row_id=item[ROW_ID] if prediction is None else rows[prediction],
        prediction_id=prediction,
        label=item[LABEL],
        label_known_at=datetime.fromisoformat(item[KNOWN_AT]),
    )


def _faults(number: int, item: object, rows: Mapping[str, str], label: params.Label) -> list[Fault]:
    if not isinstance(item, Mapping):
        return [fault("(item)", "an object", item, row=number)]
    faults = [fault(name, "no such field", item[name], row=number) for name in item if name not in _FIELDS]
    for name, expected in (
        _name_fault(item, rows),
        (LABEL, label_expected(item.get(LABEL), label)),
        _time_fault(item),
    ):
        if expected is not None:
            faults.append(fault(name, expected, item.get(name), row=number))
    return faults


def _name_fault(item: Mapping[str, Any], rows: Mapping[str, str]) -> tuple[str, str | None]:
    prediction, row = item.get(PREDICTION_ID), item.get(ROW_ID)
    if prediction is None:
        return ROW_ID, None if is_id(row) else f"text of 1 to {LONGEST_ID} characters, or a {PREDICTION_ID}"
    if not is_id(prediction) or prediction not in rows:
        return PREDICTION_ID, "the id of a prediction of this service"
    return ROW_ID, (
        None if row in (None, rows[prediction]) else f"{rows[prediction]}, as the prediction has it"
    )


def label_expected(value: object, label: params.Label) -> str | None:
    """Say what was expected instead of a label; None when it is one.

    >>> label_expected(2, params.Binary(kind="binary"))
    '0 or 1'
    """
    if isinstance(label, params.Regression):
        return number_expected(value, label.min, label.max)
    if isinstance(label, params.Multiclass):
        return None if value in label.classes else f"one of {', '.join(label.classes)}"
    return None if type(value) is int and value in (0, 1) else "0 or 1"


def _time_fault(item: Mapping[str, Any]) -> tuple[str, str | None]:
    return KNOWN_AT, None if moment(item.get(KNOWN_AT)) else "a time with its offset"
