"""Bodies of requests: JSON with one item under its name, or a list of items under the plural of it; and their faults."""

import reprlib
from collections.abc import Mapping
from typing import Any

import orjson
from flask import request
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import NotRequired, TypedDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from trimtab.errors import RequestRejected

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
    """One entry of a 422, short and plain JSON; `row` counts from 0 and is left out if the whole body has the fault."""

    row: NotRequired[int]
    field: str
    expected: str
    got: object


class Body:
    """The body that a route accepts: an object with one item under its name, or with a list of items under its plural.

    Args:
        name: Of an item.
        single: The type of a body with one item.
        several: The type of a body with a list of items.
        max_items: In the list.
    """

    def __init__(self, *, name: str, single: Any, several: Any, max_items: int) -> None:
        self._name, self._plural, self._max_items = name, f"{name}s", max_items
        self._single, self._several = TypeAdapter(single).validator, TypeAdapter(several).validator
        self.any_form: TypeAdapter[Any] = TypeAdapter(single | several)
        self._definitions = self.any_form.json_schema()["$defs"]

    def items(self, content: Any) -> list[Any]:
        """Return the items as the client sent them.

        Raises:
            RequestRejected: There is neither one item nor a list of at least one, or there are both.
            RequestEntityTooLarge: There are too many.
        """
        if not isinstance(content, dict) or (self._name in content) is (self._plural in content):
            expected = f"an object with either `{self._name}` or `{self._plural}`"
            raise RequestRejected([fault("(body)", expected, content)])
        items = under(content, self._name)
        if not isinstance(items, list) or not items:
            raise RequestRejected([fault(self._plural, "a list of at least one", items)])
        if len(items) > self._max_items:
            raise RequestEntityTooLarge(
                f"Expected at most {self._max_items} {self._plural} (serve.max_rows), got {len(items)}"
            )
        return items

    def check(self, content: Any, context: Any = None) -> dict[str, Any]:
        """Return the validated fields of a body that `items` has accepted.

        Raises:
            RequestRejected: A field breaks the contract; the error lists all faults of all items.
        """
        form = self._single if self._name in content else self._several
        try:
            checked: dict[str, Any] = form.validate_python(content, context=context)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            raise RequestRejected([_fault_of(each, self._definitions) for each in errors]) from None
        return checked


def read_json() -> Any:
    """Return the parsed body of the current request.

    Raises:
        UnsupportedMediaType: The request does not say that it is JSON.
        BadRequest: The body is not JSON, which has no NaN and no Infinity.
    """
    if not request.is_json:
        raise UnsupportedMediaType(f"Expected application/json, got {request.mimetype or 'no content type'}")
    try:
        return orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}") from error


def under(content: dict[str, Any], name: str) -> Any:
    """Return the list under the plural of a name, or a list of the item under the name itself.

    >>> under({"row": 1}, "row"), under({"rows": [1, 2]}, "row")
    ([1], [1, 2])
    """
    return [content[name]] if name in content else content[f"{name}s"]


def fault(field: str, expected: str, got: object, *, row: int | None = None) -> Fault:
    """Make one entry of a 422.

    >>> fault("price", "a number between 0 and 100", float("nan"), row=3)
    {'row': 3, 'field': 'price', 'expected': 'a number between 0 and 100', 'got': 'nan'}
    """
    entry: Fault = {"field": _short(field), "expected": expected, "got": _plain(got)}
    return entry if row is None else {"row": row, **entry}


def _fault_of(error: ErrorDetails, definitions: Mapping[str, Any]) -> Fault:
    """Return what pydantic says; in the JSON Schema of an item, a field's description says what is expected there."""
    place, kind = error["loc"], error["type"]
    item = str(place[0]).removesuffix("s")
    field = place[-1] if isinstance(place[-1], str) else f"({item})"
    expected = error["msg"] if kind == "expected" else _EXPECTED.get(kind)
    return fault(
        field,
        expected or definitions[item.capitalize()]["properties"][field]["description"],
        "nothing" if kind == "missing" else error["input"],
        row=next((part for part in place if isinstance(part, int)), 0) if len(place) > 1 else None,
    )


def _plain(value: object) -> object:
    if isinstance(value, str):
        return _short(value)
    if value is None or (isinstance(value, int | float) and abs(value) <= _MAX_INTEGER):
        return value
    return _short(reprlib.repr(value))


def _short(text: str) -> str:
    shown = text[:_MAX_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return shown if len(text) <= _MAX_CHARACTERS else f"{shown}..."
