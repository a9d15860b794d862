"""Bodies of requests: JSON with one item under its name, or a list of items under the plural of it."""

from typing import Any

import orjson
from flask import request
from pydantic import TypeAdapter, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from trimtab.errors import RequestRejected
from trimtab.serve.faults import fault, faults_of


def read_json() -> Any:
    """Return what the body of the current request holds.

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


class Body:
    """What a route takes: an object with one item under its name, or with a list of items under the plural of it.

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
        """Return the validated fields of a body in which `items` has found no fault.

        Raises:
            RequestRejected: Something in it breaks the contract; names all faults of all items.
        """
        form = self._single if self._name in content else self._several
        try:
            checked: dict[str, Any] = form.validate_python(content, context=context)
        except ValidationError as error:
            raise RequestRejected(faults_of(error, self._definitions)) from None
        return checked


def under(content: dict[str, Any], name: str) -> Any:
    """Return what lies under the plural of a name, or a list of what lies under the name itself.

    >>> under({"row": 1}, "row"), under({"rows": [1, 2]}, "row")
    ([1], [1, 2])
    """
    return [content[name]] if name in content else content[f"{name}s"]
