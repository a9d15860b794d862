"""What the prediction log holds: predictions, outcomes, and the two joined.

Times are kept in UTC and to the millisecond, cut off: no store keeps less, so all stores tell the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Label = int | str | float
Answer = float | Mapping[str, float]
"""The probability of label 1, the value of a regression, or the probability of each class."""
Role = Literal["champion", "shadow", "holdback"]
Moment = Literal["served_at", "event_time"]

SHADOW: Role = "shadow"
LONGEST_ID = 300
"""Characters of an id that every store's index has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One answer of a model; `features` is the row as the client sent it.

    The client got it unless its role is `shadow`. `action` is what was done upon it and `propensity` the chance that
    this was done, when the client told.
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
        object.__setattr__(self, "served_at", _kept(self.served_at))
        object.__setattr__(self, "event_time", _kept(self.event_time))


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One outcome, for a row; `prediction_id` when the client named it by that."""

    model: str
    row_id: str
    prediction_id: str | None
    label: Label
    label_known_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_known_at", _kept(self.label_known_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An outcome with the time at which the service heard of it."""

    truth: Truth
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The prediction that counts for a row, with the label in force; None while it is not known."""

    prediction: Prediction
    label: Label | None
    label_known_at: datetime | None


def _kept(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"The prediction log keeps aware times only, got {time!r}")
    return time.astimezone(UTC).replace(microsecond=time.microsecond // 1000 * 1000)
