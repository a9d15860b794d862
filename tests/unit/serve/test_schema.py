"""A request's rows become a frame of the contract, or a list of all their faults."""

import pytest

from tests.unit.serve.shelf import ROW, WANTED
from trimtab.errors import RequestRejected
from trimtab.serve.schema import frame_of


def faults(*rows: object) -> list[dict[str, object]]:
    with pytest.raises(RequestRejected) as rejected:
        frame_of(rows, WANTED.data)
    return rejected.value.faults


def test_a_frame_has_the_contracts_columns_and_types():
    frame = frame_of([ROW, {**ROW, "row_id": "b", "price": None, "shop": None}], WANTED.data)
    assert frame.dtypes.astype(str).to_dict() == {
        "row_id": "object",
        "event_time": "datetime64[ns, UTC]",
        "shop": "object",
        "price": "float64",
        "noise": "float64",
    }
    assert frame["price"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("field", "got", "expected", "shown"),
    [
        ("price", "10", "a finite number", "10"),
        ("price", True, "a finite number", True),
        ("price", float("nan"), "a finite number", "nan"),
        ("price", float("inf"), "a finite number", "inf"),
        ("price", [1], "a finite number", "[1]"),
        ("price", 101, "0 to 100", "101.0"),
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
    assert (found["field"], found["expected"]) == ("price", "a finite number")


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


def test_wrong_types_in_one_row_do_not_hide_wrong_values_in_others():
    found = faults(
        {**ROW, "price": "10"}, {**ROW, "row_id": "b", "noise": 11}, {**ROW, "row_id": "c", "price": -1}
    )
    assert [(one["row"], one["field"]) for one in found] == [(0, "price"), (1, "noise"), (2, "price")]


def test_a_week_of_the_iso_calendar_is_a_time():
    frame = frame_of([{**ROW, "event_time": "2026-W02-1T12:00:00Z"}], WANTED.data)
    assert frame["event_time"].iloc[0].isoformat() == "2026-01-05T12:00:00+00:00"


def test_an_undeclared_category_is_no_fault():
    assert frame_of([{**ROW, "shop": "west"}], WANTED.data)["shop"].tolist() == ["west"]
