from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd

from tests.support.builders import shipped
from trimtab.contracts import Manifest
from trimtab.data.batches import labelled, sufficiently_labelled

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def manifest(number: int) -> Manifest:
    return Manifest(
        model="demand",
        batch=f"W{number}",
        revision=1,
        start=MONDAY + number * WEEK,
        end=MONDAY + (number + 1) * WEEK,
        partial=False,
        rows=10,
        labelled=10,
        bad_rows=0,
        unseen={},
        source_sha256="ab",
    )


def test_a_label_is_used_from_the_moment_it_is_known(week: pd.DataFrame) -> None:
    # The label of row 3 is known at 05:00; rows 0 and 10, 20, ... have none.
    assert list(labelled(week, MONDAY + timedelta(hours=5))["row_id"]) == ["row-1", "row-2", "row-3"]
    just_before = MONDAY + timedelta(hours=5, seconds=-1)
    assert list(labelled(week, just_before)["row_id"]) == ["row-1", "row-2"]


def test_without_a_cutoff_all_labels_are_used(week: pd.DataFrame) -> None:
    assert len(labelled(week, None)) == 90


def test_a_batch_with_too_few_labels_is_left_out() -> None:
    batches = [
        replace(manifest(number), rows=10, labelled=labels) for number, labels in enumerate((10, 4, 5, 0))
    ]
    assert [batch.batch for batch in sufficiently_labelled(batches, shipped().data)] == [
        batches[0].batch,
        batches[2].batch,
    ]
    lax = shipped().data.model_copy(update={"min_label_coverage": 0.0})
    assert (
        len(sufficiently_labelled(batches, lax)) == 3
    ), "nothing can be learnt from a batch without any label"
