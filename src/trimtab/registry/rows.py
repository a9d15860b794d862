"""From a JSON column to a value."""

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def value(kind: type[T], column: object) -> T:
    """Read a contract out of the JSON that `contracts.plain` wrote."""
    read: T = _adapter(kind).validate_python(column)  # type: ignore[arg-type]  # a type is hashable
    return read


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    # Made anew for each row, one took 4 to 14 ms, and a page reads hundreds of rows.
    return TypeAdapter(kind)
