"""Records are written as lines and read back."""

import pytest

from tests.support.predictions import HOUR, NOON, outcome, prediction
from trimtab.predictions.records import decode, encode


@pytest.mark.parametrize(
    "record",
    [
        prediction(
            "p", "line\nbreak \N{SNOWMAN}\0", answer=0.1 + 0.2, features={"price": 2**70, "shop": None}
        ),
        prediction("p", answer={"a": 0.1, "b": 0.9}, role="shadow", action="call", propensity=1 / 3),
        outcome(label="late", received_at=NOON + HOUR),
        outcome(label=2.5),
    ],
)
def test_a_record_is_written_as_one_line_and_read_back(record):
    line = encode(record)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == record


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"row_id": "a"}', b'{"served_at": 5}', b"\xff"])
def test_a_line_that_holds_no_record_is_an_error(line):
    with pytest.raises(ValueError, match="Expected a record of the prediction log, got b"):
        decode(line)
