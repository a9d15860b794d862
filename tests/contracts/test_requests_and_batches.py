"""A request for predictions is accepted exactly where a batch with the same row would be.

Batches go through pandera (`trimtab.data`), requests through pydantic (`trimtab.serve`); both are made from `params.yaml`.
Three differences are meant: an id of a request has at most 300 characters and no NUL, because every store must index it;
NaN is null in a batch, while JSON has no NaN; and a batch holds all of the years 1677 and 2262 that a nanosecond
timestamp holds.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.builders import BINARY, CLASSES, VALUE, shops
from tests.unit.serve.shelf import ROW
from trimtab.data import columns
from trimtab.data.schema import EVENT_TIME, KNOWN_AT, LABEL, ROW_ID, row_faults
from trimtab.errors import BatchRejected, RequestRejected
from trimtab.params import Data
from trimtab.serve.request_types import feedback_body
from trimtab.serve.row_checker import RowChecker

PARTS_OF_YEARS = (1677, 2262)
DATA = shops(
    data__features={
        "price": {"kind": "number", "nullable": True, "min": -10.0, "max": 100.0},
        "noise": {"kind": "number", "nullable": False, "min": 0.0, "max": 2.0**53},
        "shop": {"kind": "category", "nullable": True, "categories": ["north", "south"]},
        "region": {"kind": "category", "nullable": False, "categories": ["", "null"]},
    }
).data
SOUND = {**ROW, "region": "null"}

FEATURES = list(DATA.features)

texts = st.text(st.characters(codec="utf-8"), max_size=5)
numbers = (
    st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | st.floats(-11, 101)
)
json_values = (
    st.none()
    | st.booleans()
    | numbers
    | texts
    | st.sampled_from(["north", "null", "7", [], [7], {}, {"north": 1}, float("inf"), float("-inf")])
)
times = st.datetimes(
    datetime(1500, 1, 1),
    datetime(2500, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=14))]),
)
sound_types = {
    "row_id": st.sampled_from("abcdefgh"),
    "price": st.none() | numbers,
    "noise": st.none() | numbers,
    "shop": st.none() | texts,
    "region": st.none() | texts,
}


def faults_of_request(rows: Sequence[Mapping[str, object]]) -> set[tuple[int, str]]:
    """Row and field of each fault of a request."""
    try:
        RowChecker(DATA, max_rows=50).check({"rows": [dict(row) for row in rows]})
    except RequestRejected as rejected:
        return {(fault["row"], fault["field"]) for fault in rejected.faults}
    return set()


def faults_of_batch(rows: Sequence[Mapping[str, object]], data: Data = DATA) -> set[tuple[int, str]]:
    """Row and column of each fault of a batch.

    Raises:
        BatchRejected: A value has another type than its column.
    """
    frame = pd.DataFrame(
        {
            EVENT_TIME: pd.Series([pd.Timestamp(str(row[EVENT_TIME])) for row in rows]),
            LABEL: pd.Series([row.get(LABEL) for row in rows], dtype=object),
            KNOWN_AT: pd.Series([pd.Timestamp(row[KNOWN_AT]) if KNOWN_AT in row else pd.NaT for row in rows]),
            **{name: pd.Series([row[name] for row in rows], dtype=object) for name in [ROW_ID, *FEATURES]},
        }
    )
    faults = row_faults(columns.typed("2026-W02", frame, data), data)
    return set(zip(faults["row"], faults["column"], strict=True))


def is_accepted(check: Callable[[], set[tuple[int, str]]], field: str) -> bool:
    """Whether a check of one row finds nothing; a fault must be of the field."""
    try:
        faults = check()
    except BatchRejected as rejected:
        assert f" in {field}, got " in rejected.reason
        return False
    assert faults <= {(0, field)}
    return not faults


@pytest.mark.parametrize("field", FEATURES)
@given(value=json_values)
def test_a_value_of_a_feature_is_accepted_by_both_or_by_neither(field, value):
    row = {**SOUND, field: value}
    assert is_accepted(lambda: faults_of_request([row]), field) == is_accepted(
        lambda: faults_of_batch([row]), field
    )


@given(
    value=st.none()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)
)
def test_an_id_is_accepted_by_both_or_by_neither(value):
    row = {**SOUND, ROW_ID: value}
    assert is_accepted(lambda: faults_of_request([row]), ROW_ID) == is_accepted(
        lambda: faults_of_batch([row]), ROW_ID
    )


@given(time=times)
def test_an_event_time_is_accepted_by_both_or_by_neither(time):
    assume(time.astimezone(UTC).year not in PARTS_OF_YEARS and time.year not in PARTS_OF_YEARS)
    row = {**SOUND, EVENT_TIME: time.isoformat()}
    assert is_accepted(lambda: faults_of_request([row]), EVENT_TIME) == is_accepted(
        lambda: faults_of_batch([row]), EVENT_TIME
    )


@settings(max_examples=60, deadline=None)
@given(drawn=st.lists(st.fixed_dictionaries(sound_types), min_size=1, max_size=5))
def test_several_rows_have_the_same_faults_for_both(drawn):
    rows = [{**SOUND, **row} for row in drawn]
    assert faults_of_request(rows) == faults_of_batch(rows)


@pytest.mark.parametrize("label", [BINARY, CLASSES, VALUE], ids=["binary", "multiclass", "regression"])
@given(value=json_values | st.sampled_from([0, 1, "low", "high", 50.5]))
def test_a_label_is_accepted_by_both_or_by_neither(label, value):
    assume(value is not None)  # a batch has rows without a label, feedback does not
    assume(
        label is not BINARY or not isinstance(value, float)
    )  # a column of labels with nulls holds 1.0 for 1
    item = {ROW_ID: "a", LABEL: value, KNOWN_AT: "2026-01-06T00:00:00Z"}

    def faults_of_feedback() -> set[tuple[int, str]]:
        try:
            feedback_body(label, 50).check({"item": item}, context={})
        except RequestRejected as rejected:
            return {(fault["row"], fault["field"]) for fault in rejected.faults}
        return set()

    data = DATA.model_copy(update={"label": label})
    assert is_accepted(faults_of_feedback, LABEL) == is_accepted(
        lambda: faults_of_batch([{**SOUND, **item}], data), LABEL
    )
