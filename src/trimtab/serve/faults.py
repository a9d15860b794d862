"""How a fault of a request is told: field, expected, got; short and plain JSON, whatever the client sent."""

import math
import reprlib
from datetime import UTC, datetime

from trimtab.predictions.records import LONGEST_ID

Fault = dict[str, object]
_LONGEST = 100
_LARGEST = 2**53
"""Beyond it a JSON number is not the same number to every reader."""
_YEARS = range(1678, 2262)
"""What a nanosecond timestamp of 64 bits holds."""


def fault(field: str, expected: str, got: object, *, row: int | None = None) -> Fault:
    """Return one entry of a 422; `row` counts from 0 and is left out when the fault is of the whole body.

    >>> fault("price", "a finite number", float("nan"), row=3)
    {'row': 3, 'field': 'price', 'expected': 'a finite number', 'got': 'nan'}
    """
    place = {} if row is None else {"row": row}
    return {**place, "field": _short(field), "expected": expected, "got": _plain(got)}


def is_text(value: object) -> bool:
    """Tell whether a value is text; a lone half of a surrogate pair, which JSON can hold, is none."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_id(value: object) -> bool:
    """Tell whether a value can be an id, in any store: no NUL, which PostgreSQL does not keep."""
    return is_text(value) and 1 <= len(str(value)) <= LONGEST_ID and "\0" not in str(value)


def moment(text: object) -> datetime | None:
    """Read an ISO 8601 time with its offset, and return it in UTC; None when it is not one.

    >>> moment("2026-01-05T12:00:00+01:00")
    datetime.datetime(2026, 1, 5, 11, 0, tzinfo=datetime.timezone.utc)
    >>> moment("2026-01-05T12:00:00")
    """
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None or found.year not in _YEARS:
            return None
        return found.astimezone(UTC)
    except ValueError:
        return None


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, int | float) and abs(value) <= _LARGEST and math.isfinite(value):
        return value
    return _short(reprlib.repr(value))


def _short(text: str) -> str:
    shown = text[:_LONGEST].encode("utf-8", "backslashreplace").decode()
    return shown if len(text) <= _LONGEST else f"{shown}..."
