"""Requests to the service, checked by the contract that batches are checked by."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from trimtab import params
from trimtab.data.schema import EVENT_TIME, ROW_ID, columns, row_faults
from trimtab.errors import RequestRejected

Fault = dict[str, object]
_MOST = 20
"""Faults that one answer names; a client that sends a thousand wrong rows wants to know the first few."""


def frame_of(rows: Sequence[Mapping[str, Any]], data: params.Data) -> pd.DataFrame:
    """Turn the rows of a request into a frame of the contract.

    Raises:
        RequestRejected: A field is missing, unknown, of another type, out of range or null where it may not be.
    """
    faults = [fault for number, row in enumerate(rows) for fault in _row_faults(number, row, data)]
    if faults:
        raise RequestRejected(faults[:_MOST])
    frame = pd.DataFrame(
        {name: _column(name, [row[name] for row in rows], data) for name in columns(data, labelled=False)}
    )
    found = row_faults(frame, data, labelled=False)
    if len(found):
        raise RequestRejected([_named(fault) for fault in found.head(_MOST).to_dict("records")])
    return frame


def moment(text: object) -> datetime | None:
    """Read an ISO 8601 time with its offset; None when it is not one."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _row_faults(number: int, row: object, data: params.Data) -> list[Fault]:
    if not isinstance(row, Mapping):
        return [_fault(number, "(row)", "an object", row)]
    wanted = columns(data, labelled=False)
    faults = [_fault(number, name, "a value, or null", "nothing") for name in wanted if name not in row]
    faults += [_fault(number, str(name), "no such field", row[name]) for name in row if name not in wanted]
    for name in wanted:
        expected = _type_fault(name, row.get(name), data) if name in row else None
        if expected is not None:
            faults.append(_fault(number, name, expected, row[name]))
    return faults


def _type_fault(name: str, value: object, data: params.Data) -> str | None:
    if name == ROW_ID:
        return None if isinstance(value, str) and value else "text that is not empty"
    if name == EVENT_TIME:
        return None if moment(value) else "a time with its offset, such as 2013-03-01T05:15:00Z"
    feature = data.features[name]
    if value is None:
        return None if feature.nullable else "a value"
    if isinstance(feature, params.Category):
        return None if isinstance(value, str) else "text"
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return None if number else "a finite number"


def _fault(row: int, field: str, expected: str, got: object) -> Fault:
    return {"row": row, "field": field, "expected": expected, "got": got if _plain(got) else repr(got)[:100]}


def _plain(value: object) -> bool:
    return (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    )


def _named(fault: Mapping[Any, Any]) -> Fault:
    # "column: expected X, got Y" is how the contract words a fault
    text = str(fault["fault"]).split(": expected ", 1)[-1]
    expected, _, got = text.rpartition(", got ")
    return {"row": int(fault["row"]), "field": str(fault["column"]), "expected": expected or text, "got": got}


def _column(name: str, values: list[Any], data: params.Data) -> "pd.Series[Any]":
    if name == EVENT_TIME:
        return pd.to_datetime(pd.Series(values), utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    if isinstance(data.features.get(name), params.Number):
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype=object)
