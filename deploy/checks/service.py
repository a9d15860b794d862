"""Ask a running service from outside: what `make smoke` and `make load` share."""

import os
import uuid
from typing import Any

import requests

TIMEOUT_SECONDS = 10


class Failed(SystemExit):
    """A check that did not hold: what was expected, what came, where."""

    def __init__(self, where: str, expected: str, got: object) -> None:
        super().__init__(f"FAILED {where}: expected {expected}, got {got}")


def session() -> requests.Session:
    """Return a client; `TRIMTAB_TOKEN` is its token, where the service wants one."""
    made = requests.Session()
    if token := os.environ.get("TRIMTAB_TOKEN"):
        made.headers["Authorization"] = f"Bearer {token}"
    return made


def ask(client: requests.Session, url: str, path: str, body: object = None) -> Any:
    """Return the answer's JSON.

    Raises:
        Failed: No answer within ten seconds, no success, or no JSON.
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
    """Make one row that fits the schema which `/model` gives, under an id of its own."""
    made = {name: _value(one) for name, one in schema["properties"].items()}
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
