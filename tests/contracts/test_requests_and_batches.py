"""A request for predictions is accepted exactly where a batch with the same row would be.

Batches go through pandera (`trimtab.data`), requests through pydantic (`trimtab.serve`); both are made from `params.yaml`.
Three differences are meant: an id of a request has at most 300 characters and no NUL, because every store must index it;
NaN is null in a batch, while JSON has no NaN; and a batch holds all of the years 1677 and 2262 that a nanosecond
timestamp holds.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import BINARY, CLASSES, VALUE, shops
from tests.unit.serve.shelf import ROW
from trimtab.data import columns
from trimtab.data.schema import EVENT_TIME, KNOWN_AT, LABEL, ROW_ID
from trimtab.data.validation import row_faults
from trimtab.errors import BatchRejected, RequestRejected
from trimtab.params import Data
from trimtab.serve.request_types import feedback_body
from trimtab.serve.row_checker import Row, RowChecker

PARTS_OF_YEARS = {1677, 2262}
DATA = shops(
    data__features={
        "price": {"kind": "number", "nullable": True, "min": -10.0, "max": 100.0},
        "noise": {"kind": "number", "nullable": False, "min": 0.0, "max": 2.0**53},
        "shop": {"kind": "category", "nullable": True, "categories": ["north", "south"]},
        "region": {"kind": "category", "nullable": False, "categories": ["", "null"]},
    }
).data
CHECKER = RowChecker(DATA, max_rows=50)
SOUND = {**ROW, "region": "null"}


texts = st.text(st.characters(codec="utf-8"), max_size=5)
numbers = (
    st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | st.floats(-11, 101)
)
json_values = (
    st.none()
    | st.booleans()
    | numbers
    | texts
    | st.sampled_from(
        ["north", "null", "7", 0, 1, "low", [], [7], {}, {"north": 1}, float("inf"), float("-inf")]
    )
)
times = st.datetimes(
    datetime(1500, 1, 1),
    datetime(2500, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=14))]),
).filter(lambda time: PARTS_OF_YEARS.isdisjoint({time.year, time.astimezone(UTC).year}))
VALUES = {name: json_values for name in DATA.features} | {
    ROW_ID: st.none()
    | st.integers()
    | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=300),
    EVENT_TIME: times.map(datetime.isoformat),
}
ROWS = st.fixed_dictionaries(
    {
        ROW_ID: st.sampled_from("abcdefgh"),
        "price": st.none() | numbers,
        "noise": st.none() | numbers,
        "shop": st.none() | texts,
        "region": st.none() | texts,
    }
)


def faults_of_request(rows: Sequence[Row]) -> set[tuple[int, str]]:
    """Row and field of each fault of a request."""
    try:
        CHECKER.check({"rows": [dict(row) for row in rows]})
    except RequestRejected as rejected:
        return {(fault["row"], fault["field"]) for fault in rejected.faults}
    return set()


def faults_of_batch(rows: Sequence[Row], data: Data = DATA) -> set[tuple[int, str]]:
    """Row and column of each fault of a batch; a row with a value of another type than its column is one of its own."""
    frames, faults = {}, set()
    for number, row in enumerate(rows):
        try:
            frames[number] = columns.typed("2026-W02", frame_of(row), data)
        except BatchRejected as rejected:
            faults.add((number, rejected.reason.partition(", got ")[0].rpartition(" in ")[2]))
    if frames:
        checked = row_faults(pd.concat(frames.values(), ignore_index=True), data)
        faults |= {
            (list(frames)[row], name) for row, name in zip(checked["row"], checked["column"], strict=True)
        }
    return faults


def frame_of(row: Row) -> pd.DataFrame:
    """One row as it is read from a landed file."""
    values = {name: pd.Series([row.get(name)], dtype=object) for name in [ROW_ID, *DATA.features, LABEL]}
    known_at = [pd.Timestamp(row[KNOWN_AT])] if KNOWN_AT in row else [pd.NaT]
    return pd.DataFrame(values | {EVENT_TIME: [pd.Timestamp(row[EVENT_TIME])], KNOWN_AT: known_at})


def test_a_null_row_id_does_not_repeat_the_text_none():
    rows = [{**SOUND, ROW_ID: None}, {**SOUND, ROW_ID: "None"}]
    assert faults_of_request(rows) == faults_of_batch(rows) == {(0, ROW_ID)}


@pytest.mark.parametrize("field", VALUES)
@settings(max_examples=12, deadline=None)
@given(draw=st.data())
def test_a_value_is_accepted_by_both_or_by_neither(field, draw):
    values = draw.draw(st.lists(VALUES[field], min_size=1, max_size=20, unique_by=repr))
    rows = [{**SOUND, ROW_ID: f"row {number}", field: value} for number, value in enumerate(values)]
    assert faults_of_request(rows) == faults_of_batch(rows)


@settings(max_examples=12, deadline=None)
@given(drawn=st.lists(ROWS, min_size=1, max_size=8))
def test_rows_with_several_faults_have_the_same_ones_for_both(drawn):
    rows = [{**SOUND, **row} for row in drawn]
    assert faults_of_request(rows) == faults_of_batch(rows)


@pytest.mark.parametrize("label", [BINARY, CLASSES, VALUE], ids=["binary", "multiclass", "regression"])
@settings(max_examples=12, deadline=None)
@given(draw=st.data())
def test_a_label_is_accepted_by_both_or_by_neither(label, draw):
    # A batch has rows without a label, feedback does not; a column of labels with nulls holds 1.0 for 1.
    other = float if label is BINARY else type(None)
    labels = json_values.map(lambda value: 1 if value is None or isinstance(value, other) else value)
    items = [
        {ROW_ID: f"row {number}", LABEL: value, KNOWN_AT: "2026-01-06T00:00:00Z"}
        for number, value in enumerate(draw.draw(st.lists(labels, min_size=1, max_size=20)))
    ]
    data = DATA.model_copy(update={"label": label})
    try:
        feedback_body([label], 50).check({"items": items}, context={})
        faults = set()
    except RequestRejected as rejected:
        faults = {(fault["row"], fault["field"]) for fault in rejected.faults}
    assert faults == faults_of_batch([{**SOUND, **item} for item in items], data)
