"""What every prediction log does, whatever store it lies in."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from trimtab.predictions.records import Heard, Joined, Moment, Prediction

CHUNK = 500
"""Ids in one query: a store takes a bounded number of parameters."""


class PredictionLog(Protocol):
    """Append-only but for erasure: a corrected label is one more record, and the one known last is in force.

    Opening one touches no store. Every method may raise:
        StoreUnreachable: The store does not answer; what was to be written may be there or not: write it again.
        Unfit: Another trimtab wrote the log, and this one cannot read it.
    """

    @property
    def shown(self) -> str:
        """The address without its password."""
        ...

    def prepare(self) -> None:
        """Reach the store; make what is missing, and migrate what an older trimtab left."""
        ...

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions; of two with one id, in one call or in several, the first stays."""
        ...

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        """Return those of the predictions that are known, by id."""
        ...

    def learn(self, heard: Sequence[Heard]) -> int:
        """Write outcomes and return how many were news, as `joining.news` has it.

        SQL writes all or none. MongoDB may write a part when it goes away; sent again, the rest is written.
        """
        ...

    def count(self) -> tuple[int, int]:
        """Return how many predictions and how many outcomes there are: shadows and corrections counted."""
        ...

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: Moment = "served_at",
        known_by: datetime | None = None,
    ) -> list[Joined]:
        """Return the predictions that count and lie in [start, end), with their truth, as `joining.join` has it."""
        ...

    def purge(self, now: datetime) -> int:
        """Delete what is older than the retention, and return how many records; 0 where the store does it itself."""
        ...

    def forget(self, model: str, row_ids: Sequence[str]) -> int:
        """Delete all that is known of some rows, predictions and outcomes, and return how many records."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a list of ids into pieces that one query takes."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
