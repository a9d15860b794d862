"""Faults of a request as clients see them: row, field, expected, got; short and plain JSON, whatever the client sent."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from typing_extensions import NotRequired, TypedDict

_MAX_CHARACTERS = 100
_MAX_INTEGER = 2**53
"""Above it a JSON number is not the same number to every reader."""
_EXPECTED = {
    "extra_forbidden": "no field with this name",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
}
"""What is expected, by pydantic's type of an error."""


class Fault(TypedDict):
    """One entry of a 422; `row` counts from 0 and is left out when the fault is of the whole body."""

    row: NotRequired[int]
    field: str
    expected: str
    got: object


def fault(field: str, expected: str, got: object, *, row: int | None = None) -> Fault:
    """Make one entry of a 422.

    >>> fault("price", "a number between 0 and 100", float("nan"), row=3)
    {'row': 3, 'field': 'price', 'expected': 'a number between 0 and 100', 'got': 'nan'}
    """
    entry: Fault = {"field": _short(field), "expected": expected, "got": _plain(got)}
    return entry if row is None else {"row": row, **entry}


def faults_of(error: ValidationError, definitions: Mapping[str, Any]) -> list[Fault]:
    """Return the faults of a body whose items lie under their name, or in a list under the plural of it.

    Args:
        error: What pydantic says about the body.
        definitions: JSON Schemas of the items, by name; the description of a field says what is expected there.
    """
    faults = []
    for line in error.errors(include_url=False, include_context=False):
        place, kind = line["loc"], line["type"]
        item = str(place[0]).removesuffix("s")
        field = place[-1] if isinstance(place[-1], str) else f"({item})"
        number = next((part for part in place if isinstance(part, int)), 0)
        if kind == "expected":
            expected = line["msg"]
        else:
            expected = (
                _EXPECTED.get(kind) or definitions[item.capitalize()]["properties"][field]["description"]
            )
        got = "nothing" if kind == "missing" else line["input"]
        faults.append(fault(field, expected, got, row=number if len(place) > 1 else None))
    return faults


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, int | float) and abs(value) <= _MAX_INTEGER and math.isfinite(value):
        return value
    return _short(reprlib.repr(value))


def _short(text: str) -> str:
    shown = text[:_MAX_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return shown if len(text) <= _MAX_CHARACTERS else f"{shown}..."
