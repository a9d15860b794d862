"""Selects the batches to train and to judge on, and the labels that may be used."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from trimtab import params
from trimtab.contracts import BatchRef, Manifest
from trimtab.data.schema import KNOWN_AT, LABEL
from trimtab.errors import NotEnoughBatches

if TYPE_CHECKING:
    import pandas as pd

Refs = tuple[BatchRef, ...]

BATCH = "batch"
"""Column with the id of the batch that a row came from."""


def split(
    manifests: Sequence[Manifest], *, judge: int, window: int | None, champion_through: datetime | None
) -> tuple[Refs, Refs]:
    """Divide batches into those to train on and those to judge on, without overlap, each oldest first.

    Args:
        manifests: All batches in force that are sufficiently labelled.
        judge: Number of the newest batches, to judge on. Neither model has seen them.
        window: Number of batches before these, to train on; None takes all.
        champion_through: End of the newest batch that the champion was trained on, None without a champion.

    Raises:
        NotEnoughBatches: The champion was trained on a batch to judge on, or no batch is left to train on.
    """
    ordered = sorted(manifests, key=lambda manifest: manifest.start)
    judging, before = ordered[len(ordered) - judge :], ordered[: max(0, len(ordered) - judge)]
    if not before:
        raise NotEnoughBatches(len(ordered), judge + 1, "A training and a judgement")
    unseen = [batch for batch in judging if champion_through is None or batch.start >= champion_through]
    if len(unseen) < judge:
        raise NotEnoughBatches(len(unseen), judge, "A judgement on batches that the champion has not seen")
    return refs(before if window is None else before[-window:]), refs(judging)


def sufficiently_labelled(manifests: Iterable[Manifest], data: params.Data) -> list[Manifest]:
    """Return the batches with enough labels to train and to judge on, in the given order."""
    return [batch for batch in manifests if batch.labelled and batch.coverage >= data.min_label_coverage]


def labelled(frame: "pd.DataFrame", cutoff: datetime | None) -> "pd.DataFrame":
    """Return the rows whose label was known at `cutoff`, or all rows with a label if it is None."""
    known_in_time = True if cutoff is None else frame[KNOWN_AT] <= cutoff
    return frame[frame[LABEL].notna() & known_in_time].reset_index(drop=True)


def refs(manifests: Sequence[Manifest]) -> Refs:
    """Return id and revision of each batch."""
    return tuple(BatchRef(batch=manifest.batch, revision=manifest.revision) for manifest in manifests)
