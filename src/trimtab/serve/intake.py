"""What a request carries: a JSON object with a list of bounded length in it."""

from collections.abc import Mapping
from typing import Any

import orjson
from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from trimtab.errors import RequestRejected
from trimtab.serve.faults import fault


def body() -> dict[str, Any]:
    """Return the object that the current request carries.

    Raises:
        UnsupportedMediaType: It is not said to be JSON.
        BadRequest: It is not JSON; NaN and Infinity are none.
        RequestRejected: It is JSON, but no object.
    """
    if not request.is_json:
        raise UnsupportedMediaType(f"Expected application/json, got {request.mimetype or 'no content type'}")
    try:
        content = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise RequestRejected([fault("(body)", "an object", content)])
    return content


def listed(content: Mapping[str, Any], name: str, most: int) -> list[Any]:
    """Return the things that a body carries: one under its name, or a list of them under the plural.

    Raises:
        RequestRejected: There is neither, or both, or something else beside it.
        RequestEntityTooLarge: There are more than `most`.
    """
    many = f"{name}s"
    if content.keys() == {name}:
        return [content[name]]
    found = content.get(many)
    expected = f"one object as `{name}`, or a list of at least one as `{many}`"
    if content.keys() != {many}:
        raise RequestRejected([fault(many, expected, ", ".join(sorted(content)) or "an empty object")])
    if not isinstance(found, list) or not found:
        raise RequestRejected([fault(many, expected, found)])
    if len(found) > most:
        raise RequestEntityTooLarge(f"Expected at most {most} {many} (serve.max_rows), got {len(found)}")
    return found
