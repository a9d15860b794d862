"""A request's rows are checked as batches are, or all their faults are told."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import shops
from tests.unit.serve.shelf import ROW, WANTED
from trimtab.data.schema import EVENT_TIME
from trimtab.data.validation import row_faults
from trimtab.errors import RequestRejected
from trimtab.serve.faults import moment
from trimtab.serve.rows import RowChecker
from trimtab.serve.scoring import frame_of

CHECKER = RowChecker(WANTED.data)
NULLS = shops(
    data__features={
        name: {**feature.model_dump(), "nullable": nullable}
        for (name, feature), nullable in zip(WANTED.data.features.items(), (False, False, True), strict=True)
    }
)


def faults(*rows: object) -> list[dict[str, object]]:
    with pytest.raises(RequestRejected) as rejected:
        CHECKER.check(rows)
    return rejected.value.faults


def test_sound_rows_come_with_their_times_and_what_they_lack():
    late = {**ROW, "row_id": "b", "price": None, "shop": "west", "event_time": "2026-W02-1T13:00:00+01:00"}
    found = CHECKER.check([ROW, late, {**ROW, "row_id": "c", "shop": None}])
    assert found.times == [datetime(2026, 1, 5, 12, tzinfo=UTC)] * 3
    assert (found.missing, found.unseen) == ({"price": 1, "shop": 1}, {"shop": 1})


@pytest.mark.parametrize(
    ("field", "got", "expected", "shown"),
    [
        ("price", "10", "a finite number", "10"),
        ("price", True, "a finite number", True),
        ("price", float("nan"), "a finite number", "nan"),
        ("price", float("inf"), "a finite number", "inf"),
        ("price", [1], "a finite number", "[1]"),
        ("price", 101, "0 to 100", 101),
        ("price", -1e-9, "0 to 100", -1e-9),
        ("noise", None, "a value", None),
        ("shop", 7, "text", 7),
        ("shop", "\ud800", "text", "\\ud800"),
        ("row_id", "", "text of 1 to 300 characters", ""),
        ("row_id", 5, "text of 1 to 300 characters", 5),
        ("event_time", "soon", "a time with its offset, such as 2026-03-01T05:15:00Z", "soon"),
        ("event_time", "2026-03-01T05:15:00", "a time with its offset, such as 2026-03-01T05:15:00Z", None),
        ("color", "red", "no such field", "red"),
    ],
)
def test_a_fault_names_row_field_expected_and_got(field, got, expected, shown):
    found = faults(ROW, {**ROW, "row_id": "b", field: got})
    assert found == [{"row": 1, "field": field, "expected": expected, "got": got if shown is None else shown}]


def test_an_integer_too_long_for_a_float_is_a_fault():
    (found,) = faults({**ROW, "price": 10**400})
    assert (found["field"], found["expected"]) == ("price", "0 to 100")


def test_a_missing_field_is_named():
    assert faults({name: ROW[name] for name in ROW if name != "price"}) == [
        {"row": 0, "field": "price", "expected": "a value, or null", "got": "nothing"}
    ]


def test_a_row_that_is_no_object_is_named():
    assert faults(ROW, 3) == [{"row": 1, "field": "(row)", "expected": "an object", "got": 3}]


def test_an_id_that_occurs_twice_is_named_once():
    assert faults(ROW, ROW) == [
        {"row": 1, "field": "row_id", "expected": "an id that occurs once", "got": "a"}
    ]


def test_faults_of_one_row_do_not_hide_those_of_others():
    found = faults(
        {**ROW, "price": "10"}, {**ROW, "row_id": "b", "noise": 11}, {**ROW, "row_id": "c", "price": -1}
    )
    assert [(one["row"], one["field"]) for one in found] == [(0, "price"), (1, "noise"), (2, "price")]


numbers = (
    st.none()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(-11, 101)
)
times = st.datetimes(
    datetime(1700, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-5))),
)
rows = st.fixed_dictionaries(
    {
        "row_id": st.sampled_from("abcdefgh"),
        "event_time": times.map(datetime.isoformat),
        "shop": st.none()
        | st.sampled_from(["north", "south", "west", ""])
        | st.text(st.characters(codec="utf-8"), max_size=4),
        "price": numbers,
        "noise": numbers,
    }
)


@pytest.mark.parametrize("wanted", [WANTED, NULLS], ids=["as it is", "nulls elsewhere"])
@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=5))
def test_it_finds_what_the_contract_of_batches_finds(wanted, sent):
    checker = RowChecker(wanted.data)
    frame = frame_of(sent, wanted.data)
    frame.insert(0, EVENT_TIME, [moment(row[EVENT_TIME]) for row in sent])
    frame.insert(0, "row_id", [row["row_id"] for row in sent])
    frame = frame.astype({EVENT_TIME: "datetime64[ns, UTC]"})
    contract = {
        (one["row"], one["column"], one["fault"].split(": expected ", 1)[1].rpartition(", got ")[0])
        for one in row_faults(frame, wanted.data, labelled=False).to_dict("records")
    }
    try:
        checker.check(sent)
        found = set()
    except RequestRejected as rejected:
        found = {(one["row"], one["field"], one["expected"]) for one in rejected.faults}
    assert found == contract
