"""From a JSON column to a value."""

from typing import TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def value(kind: type[T], column: object) -> T:
    """Read a contract out of the JSON that `contracts.plain` wrote."""
    return TypeAdapter(kind).validate_python(column)
