import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from tests.support.builders import sales, shipped, shops
from trimtab.contracts import Manifest
from trimtab.data.batches import conform_to_contract, enough_labels_at, labelled, sufficiently_labelled

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


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_batch_is_labelled_when_the_last_label_that_it_needs_is_known(
    week: pd.DataFrame, share: float
) -> None:
    data = shipped().data.model_copy(update={"min_label_coverage": share})
    moment = enough_labels_at(week, data)
    needed = max(1, math.ceil(share * len(week)))
    assert len(labelled(week, moment)) >= needed > len(labelled(week, moment - timedelta(microseconds=1)))


def test_a_batch_without_enough_labels_is_not_labelled(week: pd.DataFrame) -> None:
    data = shipped().data.model_copy(update={"min_label_coverage": 0.91})
    assert enough_labels_at(week, data) is None
    assert enough_labels_at(week.iloc[:1], data) is None, "its label is missing"


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


def test_a_batch_from_before_a_change_of_the_contract_is_read_by_the_present_one() -> None:
    classes = ["low", "high"]
    parameters = shops(data__label={"kind": "multiclass", "classes": classes}, gate__metric="log_loss")
    before = sales(9).drop(columns="price").assign(label=["low", "high", "huge"] * 3)
    rows = conform_to_contract(before, parameters.data)
    assert (len(rows), set(rows["label"]), rows["price"].isna().all()) == (6, set(classes), True)
    assert list(rows.index) == list(range(6))
    assert conform_to_contract(sales(9), shops().data).equals(sales(9))
