"""The records of the prediction log: predictions, outcomes, and predictions joined with their labels.

`encode` and `decode` write predictions and outcomes as lines of JSON, and read them back.
Times are in UTC and truncated to milliseconds, which every store can keep. So all stores return the same times.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

Label = int | str | float
Answer = float | Mapping[str, float]
"""The probability of label 1, the value of a regression, or the probability of each class."""
Role = Literal["champion", "shadow", "holdback"]
TimeField = Literal["served_at", "event_time"]

SHADOW: Role = "shadow"
LONGEST_ID = 300
"""Largest number of characters of an id that the index of every store can hold."""
_TIME_FIELDS = {"served_at", "event_time", "label_known_at", "received_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A model's answer to one row; `features` is the row as the client sent it.

    The client received the answer unless its role is `shadow`. `action` is what the client did because of it, and
    `propensity` the probability with which it chose this action; both are None unless the client sent them.
    """

    prediction_id: str
    row_id: str
    model: str
    version: str
    served_at: datetime
    event_time: datetime
    answer: Answer
    features: Mapping[str, object]
    role: Role
    action: str | None = None
    propensity: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "served_at", _to_milliseconds(self.served_at))
        object.__setattr__(self, "event_time", _to_milliseconds(self.event_time))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The true value of a row, which the service received at `received_at`.

    `prediction_id` is None unless the client sent it instead of the row id.
    """

    model: str
    row_id: str
    prediction_id: str | None
    label: Label
    label_known_at: datetime
    received_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_known_at", _to_milliseconds(self.label_known_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedPrediction:
    """The prediction that counts for a row, with the label in force, which is None while no label is known."""

    prediction: Prediction
    label: Label | None
    label_known_at: datetime | None


Record = Prediction | Outcome


def field_values(record: Record) -> dict[str, Any]:
    """Return the fields by name. `dataclasses.asdict` would also copy the features of every row."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def encode(record: Record) -> bytes:
    """Return a record as one line, with the line break."""
    return to_json(field_values(record)) + b"\n"


def decode(line: bytes) -> Record:
    """Return the record that `encode` wrote as a line.

    Raises:
        ValueError: The line holds no record.
    """
    try:
        content = json.loads(line)
        for name in content.keys() & _TIME_FIELDS:
            content[name] = datetime.fromisoformat(content[name])
        return Outcome(**content) if "received_at" in content else Prediction(**content)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"Expected a record of the prediction log, got {line[:80]!r}") from error


def to_json(content: Any) -> bytes:
    """Return a value as JSON, with times in ISO 8601."""
    try:
        return orjson.dumps(content)  # five times as fast as `json`, and called for every request
    except TypeError:  # an integer of more than 64 bits, or a lone surrogate
        return json.dumps(content, separators=(",", ":"), default=datetime.isoformat).encode()


def _to_milliseconds(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"The prediction log needs times with a time zone, got {time!r}")
    return time.astimezone(UTC).replace(microsecond=time.microsecond // 1000 * 1000)
