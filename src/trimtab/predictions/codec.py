"""Writes the records of the prediction log as lines of JSON, and reads them back."""

import json
from datetime import datetime
from typing import Any

import orjson

from trimtab.predictions.records import Outcome, Prediction, ReceivedOutcome, field_values

Record = Prediction | ReceivedOutcome

_TIME_FIELDS = ("served_at", "event_time", "label_known_at", "received_at")


def encode(record: Record) -> bytes:
    """Return a record as one line, with the line break."""
    if isinstance(record, ReceivedOutcome):
        content = {**field_values(record.outcome), "received_at": record.received_at}
    else:
        content = field_values(record)
    return to_json(content) + b"\n"


def decode(line: bytes) -> Record:
    """Return the record that `encode` wrote as a line.

    Raises:
        ValueError: The line holds no record.
    """
    try:
        content = json.loads(line)
        for name in _TIME_FIELDS:
            if name in content:
                content[name] = datetime.fromisoformat(content[name])
        received_at = content.pop("received_at", None)
        if received_at is None:
            return Prediction(**content)
        return ReceivedOutcome(outcome=Outcome(**content), received_at=received_at)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a record of the prediction log, got {line[:80]!r}") from error


def to_json(content: Any) -> bytes:
    """Return a value as JSON, with times in ISO 8601."""
    try:
        return orjson.dumps(content)  # five times as fast as `json`, and called for every request
    except TypeError:  # an integer of more than 64 bits, or a lone surrogate
        return json.dumps(content, separators=(",", ":"), default=datetime.isoformat).encode()
