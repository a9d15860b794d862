"""Which batches train and which judge, and which labels may be read."""

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
"""Column that says which batch a row came from."""


def split(
    manifests: Sequence[Manifest], *, judge: int, window: int | None, champion_through: datetime | None
) -> tuple[Refs, Refs]:
    """Divide batches into those that train and those that judge, disjoint, each oldest first.

    Args:
        manifests: All batches in force of which enough is labelled.
        judge: The newest this many judge; neither model has seen them.
        window: The newest this many before those train; None takes all.
        champion_through: End of the newest batch that the champion was trained on, None without a champion.

    Raises:
        NotEnoughBatches: The champion was trained on one of the judging batches, or nothing is left to train on.
    """
    ordered = sorted(manifests, key=lambda manifest: manifest.start)
    judging, before = ordered[len(ordered) - judge :], ordered[: max(0, len(ordered) - judge)]
    if not before:
        raise NotEnoughBatches(len(ordered), judge + 1, "A training and a judgement")
    unseen = [one for one in judging if champion_through is None or one.start >= champion_through]
    if len(unseen) < judge:
        raise NotEnoughBatches(len(unseen), judge, "A judgement on batches that the champion has not seen")
    training = before if window is None else before[-window:]
    return refs(training), refs(judging)


def told(manifests: Iterable[Manifest], data: params.Data) -> list[Manifest]:
    """Return the batches of which enough is labelled to train and to judge on, in their order; labels may come late."""
    return [one for one in manifests if one.labelled and one.coverage >= data.min_label_coverage]


def labelled(frame: "pd.DataFrame", cutoff: datetime | None) -> "pd.DataFrame":
    """Return the rows whose label was known by `cutoff`; None knows all labels there are."""
    known = frame[LABEL].notna()
    if cutoff is not None:
        known &= frame[KNOWN_AT] <= cutoff
    return frame[known].reset_index(drop=True)


def refs(manifests: Sequence[Manifest]) -> Refs:
    """Name batches by id and revision."""
    return tuple(BatchRef(batch=one.batch, revision=one.revision) for one in manifests)
