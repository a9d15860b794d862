"""Faults are short and plain JSON, whatever the client sent."""

from datetime import UTC, datetime

import pytest

from trimtab.serve.faults import fault, is_id, moment


@pytest.mark.parametrize(
    ("got", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**60, "1152921504606846976"),
        ({"a": [1]}, "{'a': [1]}"),
        ("x" * 101, "x" * 100 + "..."),
        ("\ud800", "\\ud800"),
        (None, None),
        (True, True),
    ],
)
def test_what_was_got_is_shown_such_that_any_reader_of_json_takes_it(got, shown):
    assert fault("price", "a finite number", got)["got"] == shown


def test_a_deeply_nested_value_is_shown_in_a_few_characters():
    nested: list[object] = []
    for _ in range(500):
        nested = [nested] * 3
    assert len(str(fault("price", "a finite number", nested)["got"])) <= 103


@pytest.mark.parametrize("text", ["", "x" * 301, "a\0b", "\udfff", 7, None])
def test_what_a_store_cannot_keep_is_no_id(text):
    assert not is_id(text)


def test_300_characters_of_any_script_are_an_id():
    assert is_id("\N{SNOWMAN}" * 300)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2026-01-05",
        "2026-01-05T12:00:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
        5,
        None,
    ],
)
def test_a_time_without_offset_or_beyond_nanoseconds_is_none(text):
    assert moment(text) is None


def test_a_time_is_returned_in_utc():
    assert moment("2026-01-05T07:00:00-05:00") == datetime(2026, 1, 5, 12, tzinfo=UTC)
