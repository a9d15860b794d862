"""The interface of the prediction log, which is the same for every store."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from trimtab.errors import StoreUnreachable, Unfit
from trimtab.predictions.records import JoinedPrediction, Outcome, Prediction, TimeField

VERSION = 2
"""Version of the tables or collections."""
CHUNK = 500
"""Largest number of ids in one query, because stores limit the parameters of a query."""


class PredictionLog(Protocol):
    """A log of predictions and outcomes. Records are only added, except that erasure and retention delete some.

    A corrected label is another record, and the label that became known last is in force. The constructor does not
    connect to the store. Every method may raise:
        StoreUnreachable: The store does not answer. A write may have succeeded or not, and has to be repeated.
        Unfit: Another version of trimtab wrote the log, and this one cannot read it.
    """

    redacted_url: str
    """The URL without its password."""

    def prepare(self) -> None:
        """Connect to the store, and create what is missing."""

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions. If an id is written twice, in one call or in several, the first prediction stays."""

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        """Return the stored predictions among these ids, by id."""

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """Write the outcomes that are new (see `joining.new_outcomes`), and return how many there were.

        SQL writes all or none. MongoDB may write a part if the connection fails; a repeated call writes the rest.
        """

    def count(self) -> tuple[int, int]:
        """Return the numbers of predictions and of outcomes, including mirrored predictions and corrections."""

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: TimeField = "served_at",
        known_by: datetime | None = None,
    ) -> list[JoinedPrediction]:
        """Return the predictions that count in a window of time, each with its label (see `joining.join`)."""

    def purge(self, now: datetime) -> int:
        """Delete what is older than the retention and return how many records; 0 if the store deletes by itself."""

    def erase(self, model: str, row_ids: Sequence[str]) -> int:
        """Delete the predictions and outcomes of these rows, and return how many records."""

    def close(self) -> None:
        """Close all connections."""


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split ids into parts that fit into one query."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def unreachable(redacted_url: str, cause: object) -> StoreUnreachable:
    """Return the error for a store that does not answer."""
    return StoreUnreachable("The prediction log", redacted_url, "TRIMTAB_PREDICTION_LOG_URL", cause)


def unsupported_version(redacted_url: str, version: object) -> Unfit:
    """Return the error for a log of another version."""
    return Unfit(
        f"The prediction log at {redacted_url} has version {version}, this trimtab supports version {VERSION}",
        "Install the trimtab that wrote it, or set another log in TRIMTAB_PREDICTION_LOG_URL.",
    )
