"""Validate the rows of a batch with a pandera schema built from `params.yaml`."""

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from trimtab import params
from trimtab.data.schema import EVENT_TIME, KNOWN_AT, LABEL, ROW_ID, shown

_EXPECTED = {"not_nullable": "a value", "field_uniqueness": "an id that occurs once"}
"""Words for pandera's own checks in a message."""


def frame_schema(data: params.Data) -> pa.DataFrameSchema:
    """Build the schema: types, ranges, nulls and unique ids. An undeclared category is not a fault, see `unseen`."""
    columns = {
        ROW_ID: pa.Column(
            str,
            pa.Check.str_length(min_value=1, error="text that is not empty"),
            unique=True,
            report_duplicates="exclude_first",
        ),
        EVENT_TIME: pa.Column("datetime64[ns, UTC]"),
        **{name: _column(feature) for name, feature in data.features.items()},
        LABEL: _label(data.label),
        KNOWN_AT: pa.Column("datetime64[ns, UTC]", nullable=True),
    }
    across = [
        pa.Check(
            lambda frame: frame[LABEL].isna() == frame[KNOWN_AT].isna(),
            error=f"{LABEL} and {KNOWN_AT} together, or neither",
            ignore_na=False,
        ),
        pa.Check(
            lambda frame: frame[KNOWN_AT].isna() | (frame[KNOWN_AT] >= frame[EVENT_TIME]),
            error=f"{KNOWN_AT} not before {EVENT_TIME}",
            ignore_na=False,
        ),
    ]
    return pa.DataFrameSchema(columns, checks=across, strict=True)


def row_faults(frame: pd.DataFrame, data: params.Data) -> pd.DataFrame:
    """Return every fault of every row: columns `row` (position), `column`, `fault` (expected and got).

    The frame must have the columns and types of the schema and the index 0 to n - 1. Of several rows with the same id, the
    first has no fault.
    """
    try:
        frame_schema(data).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        whole = cases["index"].isna()
        if whole.any():
            raise TypeError(f"The frame was not normalised: {cases[whole].iloc[0]['check']}") from errors
        return _faults(cases)
    return pd.DataFrame({"row": [], "column": [], "fault": []})


def _column(feature: params.Feature) -> pa.Column:
    if isinstance(feature, params.Category):
        return pa.Column(object, nullable=feature.nullable)
    text = f"{feature.min:g} to {feature.max:g}"
    return pa.Column(
        float, pa.Check.in_range(feature.min, feature.max, error=text), nullable=feature.nullable
    )


def _label(label: params.Label) -> pa.Column:
    if isinstance(label, params.Regression):
        text = f"{label.min:g} to {label.max:g}, or null"
        return pa.Column(float, pa.Check.in_range(label.min, label.max, error=text), nullable=True)
    if isinstance(label, params.Multiclass):
        text = f"{', '.join(label.classes)} or null"
        return pa.Column(object, pa.Check.isin(label.classes, error=text), nullable=True)
    return pa.Column("Int64", pa.Check.isin([0, 1], error="0, 1 or null"), nullable=True)


def _faults(cases: pd.DataFrame) -> pd.DataFrame:
    across = cases["schema_context"] == "DataFrameSchema"
    expected = cases["check"].map(lambda check: _EXPECTED.get(str(check), str(check)))
    got = cases["failure_case"].map(lambda value: "null" if pd.isna(value) else shown(value))
    got = got.mask(cases["check"] == "field_uniqueness", "a duplicate")
    column = cases["column"].mask(across, KNOWN_AT).astype(str)
    fault = column + ": expected " + expected + ", got " + got
    fault = fault.mask(across, column + ": expected " + expected)
    faults = pd.DataFrame({"row": cases["index"].astype(int), "column": column, "fault": fault})
    return faults.drop_duplicates(["row", "fault"]).sort_values(["row", "column"], ignore_index=True)
