"""Faults are short and plain JSON, whatever the client sent."""

import pytest

from trimtab.serve.bodies import fault


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
    assert fault("price", "a number between 0 and 100", got)["got"] == shown


def test_a_deeply_nested_value_is_shown_in_a_few_characters():
    nested: list[object] = []
    for _ in range(500):
        nested = [nested] * 3
    assert len(str(fault("price", "a number between 0 and 100", nested)["got"])) <= 103
