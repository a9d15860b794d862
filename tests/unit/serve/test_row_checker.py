"""A request's rows are checked as batches are, or all their faults are told."""

from datetime import UTC, datetime

import pytest

from tests.unit.serve.shelf import ROW, WANTED
from trimtab.errors import RequestRejected
from trimtab.serve.row_checker import CheckedRows, RowChecker

CHECKER = RowChecker(WANTED.data, max_rows=50)
ID, TIME = (
    "text of 1 to 300 characters without NUL",
    "a time from 1678 to 2261 with its UTC offset, such as 2026-03-01T05:15:00Z",
)
PRICE = "a number between 0 and 100, or null"


def check(*rows: object) -> CheckedRows:
    return CHECKER.check({"rows": list(rows)})


def faults(*rows: object) -> list[dict[str, object]]:
    with pytest.raises(RequestRejected) as rejected:
        check(*rows)
    return rejected.value.faults


def test_sound_rows_come_with_their_times_and_what_they_lack():
    late = {**ROW, "row_id": "b", "price": None, "shop": "west", "event_time": "2026-W02-1T13:00:00+01:00"}
    checked = check(ROW, late, {**ROW, "row_id": "c", "shop": None})
    assert checked.times == [datetime(2026, 1, 5, 12, tzinfo=UTC)] * 3
    assert (sorted(checked.missing), checked.unseen) == (["price", "shop"], ["shop"])


def test_one_row_is_checked_as_a_list_of_one_is():
    assert CHECKER.check({"row": ROW}) == check(ROW)
    with pytest.raises(RequestRejected) as rejected:
        CHECKER.check({"row": {**ROW, "price": "10", "color": "red"}})
    assert rejected.value.faults == faults({**ROW, "price": "10", "color": "red"})


@pytest.mark.parametrize(
    ("field", "got", "expected", "shown"),
    [
        ("price", "10", PRICE, "10"),
        ("price", True, PRICE, True),
        ("price", float("nan"), PRICE, "nan"),
        ("price", float("inf"), PRICE, "inf"),
        ("price", [1], PRICE, "[1]"),
        ("price", 101, PRICE, 101),
        ("price", -1e-9, PRICE, -1e-9),
        ("noise", None, "a number between -10 and 10", None),
        ("shop", 7, "text, or null", 7),
        ("row_id", "", ID, ""),
        ("row_id", "a\0", ID, "a\0"),
        ("row_id", 5, ID, 5),
        ("event_time", "soon", TIME, "soon"),
        ("event_time", "2026-03-01T05:15:00", TIME, None),
        ("event_time", 1767614400, TIME, 1767614400),
        ("color", "red", "no field with this name", "red"),
    ],
)
def test_a_fault_names_row_field_expected_and_got(field, got, expected, shown):
    assert faults(ROW, {**ROW, "row_id": "b", field: got}) == [
        {"row": 1, "field": field, "expected": expected, "got": got if shown is None else shown}
    ]


def test_an_integer_too_long_for_a_float_is_a_fault():
    (fault,) = faults({**ROW, "price": 10**400})
    assert (fault["field"], fault["expected"]) == ("price", PRICE)


def test_a_missing_field_is_named():
    assert faults({name: ROW[name] for name in ROW if name != "price"}) == [
        {"row": 0, "field": "price", "expected": PRICE, "got": "nothing"}
    ]


def test_a_row_that_is_not_an_object_is_named():
    assert faults(ROW, 3) == [{"row": 1, "field": "(row)", "expected": "an object", "got": 3}]


def test_an_id_that_occurs_twice_is_named_once():
    assert faults(ROW, ROW) == [
        {"row": 1, "field": "row_id", "expected": "an id that occurs once in the request", "got": "a"}
    ]


def test_faults_of_one_row_do_not_hide_those_of_others():
    mixed = faults(
        {**ROW, "price": "10"},
        {**ROW, "row_id": "b", "noise": 11},
        {**ROW, "row_id": "c", "price": -1, "color": "red"},
        {**ROW, "shop": 7},
    )
    assert sorted((fault["row"], fault["field"]) for fault in mixed) == [
        (0, "price"),
        (1, "noise"),
        (2, "color"),
        (2, "price"),
        (3, "row_id"),
        (3, "shop"),
    ]
