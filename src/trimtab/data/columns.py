"""Converts the columns of a landed batch to the types of the data contract."""

from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from trimtab import params
from trimtab.data import schema
from trimtab.errors import BatchRejected

_LARGEST_WHOLE = 2.0**53
"""From here on a float64 does not hold every whole number, and Int64 refuses what was rounded."""


def typed(batch: str, frame: pd.DataFrame, data: params.Data) -> pd.DataFrame:
    """Return the frame with columns of text, float64, Int64 and UTC times, as the contract says, and the index 0 to n - 1.

    Raises:
        BatchRejected: A column can only be converted by guessing, for example text to numbers, or times without a zone.
    """
    return pd.DataFrame({name: _typed(batch, name, frame[name], data).array for name in schema.columns(data)})


def _typed(batch: str, name: str, values: "pd.Series[Any]", data: params.Data) -> "pd.Series[Any]":
    if name in (schema.EVENT_TIME, schema.KNOWN_AT):
        return _times(batch, name, values)
    if name == schema.LABEL and isinstance(data.label, params.Binary):
        return _binary(batch, values)
    declared = data.label if name == schema.LABEL else data.features.get(name)
    if isinstance(declared, params.Number | params.Regression):
        return _numbers(batch, name, values)
    text = values.astype(object).where(values.notna(), None)  # type: ignore[call-overload]  # stubs know no None
    return _require(
        batch, name, text, text.map(lambda value: value is None or isinstance(value, str)), "text"
    )


def _times(batch: str, name: str, values: "pd.Series[Any]") -> "pd.Series[Any]":
    if values.isna().all():
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[ns, UTC]")
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        raise _wrong_type(batch, name, "times with a time zone", values)
    try:
        return values.astype("datetime64[ns, UTC]")
    except pd.errors.OutOfBoundsDatetime as error:
        raise BatchRejected(batch, f"expected times between 1677 and 2262 in {name}, got {error}") from error


def _binary(batch: str, values: "pd.Series[Any]") -> "pd.Series[Any]":
    numbers = _numbers(batch, schema.LABEL, values.astype("Int64") if is_bool_dtype(values) else values)
    whole = numbers.isna() | ((numbers % 1 == 0) & (numbers.abs() < _LARGEST_WHOLE))
    return _require(batch, schema.LABEL, numbers, whole, "0, 1 or null").astype("Int64")


def _numbers(batch: str, name: str, values: "pd.Series[Any]") -> "pd.Series[Any]":
    has_text = (
        not is_numeric_dtype(values) and values.map(lambda value: isinstance(value, (str, bytes, bool))).any()
    )
    if has_text or is_bool_dtype(values):
        raise _wrong_type(batch, name, "numbers", values)
    try:
        return values.astype("float64")
    except (TypeError, ValueError) as error:
        raise _wrong_type(batch, name, "numbers", values) from error


def _require(
    batch: str, name: str, values: "pd.Series[Any]", valid: "pd.Series[bool]", expected: str
) -> "pd.Series[Any]":
    if not valid.all():
        raise _wrong_type(batch, name, expected, values[~valid])
    return values


def _wrong_type(batch: str, name: str, expected: str, values: "pd.Series[Any]") -> BatchRejected:
    example = values.dropna().head(1).tolist()[0]
    got = (
        f"of type {type(example).__name__}"
        if name == schema.ROW_ID
        else f"such as {schema.shown(repr(example))}"
    )
    return BatchRejected(batch, f"expected {expected} in {name}, got values {got}")
