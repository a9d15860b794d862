"""What a request carries: a JSON object with a list of bounded length in it."""

import json
from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from trimtab.errors import RequestRejected
from trimtab.serve.faults import fault


def body() -> dict[str, Any]:
    """Return the object that the current request carries.

    Raises:
        UnsupportedMediaType: It is not said to be JSON.
        BadRequest: It is not JSON.
        RequestRejected: It is JSON, but no object.
    """
    if not request.is_json:
        raise UnsupportedMediaType(f"Expected application/json, got {request.mimetype or 'no content type'}")
    try:
        content = json.loads(request.get_data())
    except RecursionError as error:
        raise BadRequest("The body is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:  # text that is not UTF-8 is one, too
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise RequestRejected([fault("(body)", "an object", content)])
    return content


def rows(content: Mapping[str, Any], most: int) -> list[Any]:
    """Return the rows to predict: the one of `row`, or the list of `rows`.

    Raises:
        RequestRejected: There is neither, or both, or something else beside it.
        RequestEntityTooLarge: There are more than `most`.
    """
    if set(content) == {"row"}:
        return [content["row"]]
    expected = "one object as `row`, or a list of at least one as `rows`"
    return _list(content, "rows", expected, most)


def items(content: Mapping[str, Any], most: int) -> list[Any]:
    """Return the outcomes of a feedback.

    Raises:
        RequestRejected: There is no list of them, or something else beside it.
        RequestEntityTooLarge: There are more than `most`.
    """
    return _list(content, "items", "a list of at least one outcome as `items`", most)


def _list(content: Mapping[str, Any], name: str, expected: str, most: int) -> list[Any]:
    found = content.get(name)
    if set(content) != {name}:
        raise RequestRejected([fault(name, expected, ", ".join(sorted(content)) or "an empty object")])
    if not isinstance(found, list) or not found:
        raise RequestRejected([fault(name, expected, found)])
    if len(found) > most:
        raise RequestEntityTooLarge(f"Expected at most {most} {name} (serve.max_rows), got {len(found)}")
    return found
