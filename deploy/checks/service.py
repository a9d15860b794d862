"""Call a running service from outside; shared by `make smoke` and `make load`."""

import os
import uuid
from typing import Any

import requests

TIMEOUT_SECONDS = 10


class Failed(SystemExit):
    """A failed check, with what was expected, what was received, and where."""

    def __init__(self, where: str, expected: str, got: object) -> None:
        super().__init__(f"FAILED {where}: expected {expected}, got {got}")


def session() -> requests.Session:
    """Return a client that sends `TRIMTAB_TOKEN` as its bearer token, if it is set."""
    made = requests.Session()
    if token := os.environ.get("TRIMTAB_TOKEN"):
        made.headers["Authorization"] = f"Bearer {token}"
    return made


def ask(client: requests.Session, url: str, path: str, body: object = None) -> Any:
    """Send a request and return the JSON of the response.

    Raises:
        Failed: There is no response within ten seconds, its status is no success, or it is not JSON.
    """
    try:
        method = "GET" if body is None else "POST"
        answer = client.request(method, url.rstrip("/") + path, json=body, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise Failed(url + path, "an answer", type(error).__name__) from error
    if not answer.ok:
        raise Failed(url + path, "a success", f"{answer.status_code} {answer.text[:300]}")
    try:
        return answer.json()
    except ValueError as error:
        raise Failed(url + path, "JSON", repr(answer.text[:100])) from error


def row(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a row with a new id that fits the schema from `/model`."""
    made = {name: _value(field) for name, field in schema["properties"].items()}
    return {**made, "row_id": f"smoke-{uuid.uuid4()}"}


def _value(schema: dict[str, Any]) -> Any:
    if "anyOf" in schema:
        return _value(schema["anyOf"][0])
    for key in ("const", "minimum"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if key in schema:
            return schema[key][0]
    return "x"
