"""Selects the batches to train and to score on, and the labels that may be used."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from trimtab import params
from trimtab.contracts import BatchRef, Manifest
from trimtab.data.schema import KNOWN_AT, LABEL

if TYPE_CHECKING:
    import pandas as pd

Refs = tuple[BatchRef, ...]

BATCH = "batch"
"""Column with the id of the batch that a row came from."""


def sufficiently_labelled(manifests: Iterable[Manifest], data: params.Data) -> list[Manifest]:
    """Return the batches with enough labels to train and to score on, in the given order."""
    return [batch for batch in manifests if batch.labelled and batch.coverage >= data.min_label_coverage]


def labelled(frame: "pd.DataFrame", cutoff: datetime | None) -> "pd.DataFrame":
    """Return the rows whose label was known at `cutoff`, or all rows with a label if it is None."""
    known_in_time = True if cutoff is None else frame[KNOWN_AT] <= cutoff
    return frame[frame[LABEL].notna() & known_in_time].reset_index(drop=True)


def enough_labels_at(frame: "pd.DataFrame", data: params.Data) -> datetime | None:
    """Return when so many labels were known as `data.min_label_coverage` demands, None if they are not."""
    times = frame[KNOWN_AT].dropna().sort_values().dt.ceil("us")
    enough = max(1, math.ceil(data.min_label_coverage * len(frame)))
    moment: datetime | None = times.iloc[enough - 1].to_pydatetime() if enough <= len(times) else None
    return moment


def conform_to_contract(frame: "pd.DataFrame", data: params.Data) -> "pd.DataFrame":
    """Return the rows whose class is declared, with nulls for each feature that the batch does not have.

    A batch from before a change of the data contract may have other classes, and lack a feature that was added.
    """
    if isinstance(data.label, params.Multiclass):
        frame = frame[frame[LABEL].isna() | frame[LABEL].isin(data.label.classes)].reset_index(drop=True)
    return frame.assign(**dict.fromkeys(name for name in data.features if name not in frame))


def refs(manifests: Sequence[Manifest]) -> Refs:
    """Return id and revision of each batch."""
    return tuple(BatchRef(batch=manifest.batch, revision=manifest.revision) for manifest in manifests)
