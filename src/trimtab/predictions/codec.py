"""Records of the log as lines of JSON: what lies in the spool."""

import json
from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson

from trimtab.predictions.records import Heard, Prediction, Truth

Record = Prediction | Heard

_TIMES = ("served_at", "event_time", "label_known_at", "received_at")


def line(record: Record) -> bytes:
    """Write a record as one line."""
    if isinstance(record, Heard):
        content = {**_plain(record.truth), "received_at": record.received_at}
    else:
        content = _plain(record)
    return dumped(content) + b"\n"


def record(text: bytes) -> Record:
    """Read what `line` wrote.

    Raises:
        ValueError: It is no such line.
    """
    try:
        content = json.loads(text)
        for name in _TIMES:
            if name in content:
                content[name] = datetime.fromisoformat(content[name])
        received_at = content.pop("received_at", None)
        if received_at is None:
            return Prediction(**content)
        return Heard(truth=Truth(**content), received_at=received_at)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a record of the prediction log, got {text[:80]!r}") from error


def dumped(content: Any) -> bytes:
    """Write JSON; times in ISO 8601."""
    try:
        return orjson.dumps(content)  # a fifth of the time that `json` takes, on every request
    except TypeError:  # an integer beyond 64 bits, or half of a surrogate pair
        return json.dumps(content, separators=(",", ":"), default=datetime.isoformat).encode()


def _plain(value: Prediction | Truth) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
