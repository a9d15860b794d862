"""Ids and times that every store can keep."""

from datetime import UTC, datetime

import pytest

from trimtab.serve.request_types import aware_time, is_id


@pytest.mark.parametrize("text", ["", "x" * 301, "a\0b", "\udfff", 7, None])
def test_what_a_store_cannot_keep_is_not_an_id(text):
    assert not is_id(text)


def test_300_characters_of_any_script_are_an_id():
    assert is_id("\N{SNOWMAN}" * 300)


@pytest.mark.parametrize(
    "text",
    ["soon", "2026-01-05", "2026-01-05T12:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"],
)
def test_a_time_without_offset_or_beyond_nanoseconds_is_refused(text):
    with pytest.raises(
        ValueError, match="expected a time from 1678 to 2261 with its UTC offset|Invalid isoformat"
    ):
        aware_time(text)


def test_a_time_keeps_its_moment():
    assert aware_time("2026-01-05T07:00:00-05:00") == datetime(2026, 1, 5, 12, tzinfo=UTC)
