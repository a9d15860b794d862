"""Rows of a request, checked by the contract that batches are checked by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from trimtab import params
from trimtab.data.schema import EVENT_TIME, ROW_ID, columns, row_faults
from trimtab.errors import RequestRejected
from trimtab.serve.faults import LONGEST_ID, Fault, fault, is_id, is_text, moment


def frame_of(rows: Sequence[object], data: params.Data) -> pd.DataFrame:
    """Turn the rows of a request into a frame of the contract, without the label's columns.

    A value of another JSON type than the contract's is a fault, never converted. An undeclared category is none.

    Raises:
        RequestRejected: A field is missing, unknown, of another type, out of range or null where it may not be; all
            faults of all rows are named.
    """
    wanted = columns(data, labelled=False)
    found = {number: _type_faults(number, row, wanted, data) for number, row in enumerate(rows)}
    sound = [number for number, faults in found.items() if not faults]
    frame = _frame([rows[number] for number in sound], wanted, data)
    for one in row_faults(frame, data, labelled=False).to_dict("records") if sound else []:
        number = sound[int(one["row"])]
        found[number].append(_worded(number, str(one["column"]), str(one["fault"])))
    faults = [one for of_row in found.values() for one in of_row]
    if faults:
        raise RequestRejected(faults)
    return frame


def _type_faults(number: int, row: object, wanted: Sequence[str], data: params.Data) -> list[Fault]:
    if not isinstance(row, Mapping):
        return [fault("(row)", "an object", row, row=number)]
    faults = [fault(name, "a value, or null", "nothing", row=number) for name in wanted if name not in row]
    faults += [fault(name, "no such field", row[name], row=number) for name in row if name not in wanted]
    for name in wanted:
        expected = _type_fault(name, row[name], data) if name in row else None
        if expected is not None:
            faults.append(fault(name, expected, row[name], row=number))
    return faults


def _type_fault(name: str, value: object, data: params.Data) -> str | None:
    if name == ROW_ID:
        return None if is_id(value) else f"text of 1 to {LONGEST_ID} characters"
    if name == EVENT_TIME:
        return None if moment(value) else "a time with its offset, such as 2026-03-01T05:15:00Z"
    feature = data.features[name]
    if value is None:
        return None if feature.nullable else "a value"
    if isinstance(feature, params.Category):
        return None if is_text(value) else "text"
    return None if _is_number(value) else "a finite number"


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def _frame(rows: Sequence[Any], wanted: Sequence[str], data: params.Data) -> pd.DataFrame:
    return pd.DataFrame({name: _column(name, [row[name] for row in rows], data) for name in wanted})


def _column(name: str, values: list[Any], data: params.Data) -> "pd.Series[Any]":
    if name == EVENT_TIME:
        return pd.Series([moment(value) for value in values], dtype="datetime64[ns, UTC]")
    if isinstance(data.features.get(name), params.Number):
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype=object)


def _worded(row: int, column: str, text: str) -> Fault:
    # "column: expected X, got Y" is how the contract words a fault
    expected, _, got = text.split(": expected ", 1)[-1].rpartition(", got ")
    return fault(column, expected, got, row=row)
