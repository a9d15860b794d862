from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from tests.support.builders import shipped
from trimtab.contracts import BatchRef, Manifest
from trimtab.data.batches import labelled, split, sufficiently_labelled
from trimtab.errors import NotEnoughBatches

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def manifest(number: int, revision: int = 1) -> Manifest:
    return Manifest(
        model="demand",
        batch=f"W{number}",
        revision=revision,
        start=MONDAY + number * WEEK,
        end=MONDAY + (number + 1) * WEEK,
        partial=False,
        rows=10,
        labelled=10,
        bad_rows=0,
        unseen={},
        source_sha256="ab",
    )


def names(refs: tuple[BatchRef, ...]) -> list[str]:
    return [ref.batch for ref in refs]


def test_the_newest_batches_judge_and_all_before_them_train() -> None:
    newest_first = [manifest(number) for number in (4, 3, 2, 1, 0)]
    train, judge = split(newest_first, judge=2, window=None, champion_through=None)
    assert names(train) == ["W0", "W1", "W2"]
    assert names(judge) == ["W3", "W4"]


def test_a_window_takes_the_newest_before_those_that_judge() -> None:
    train, judge = split([manifest(number) for number in range(5)], judge=1, window=2, champion_through=None)
    assert names(train) == ["W2", "W3"]
    assert names(judge) == ["W4"]


def test_a_revision_stays_with_its_batch() -> None:
    train, _ = split([manifest(0, revision=3), manifest(1)], judge=1, window=None, champion_through=None)
    assert train == (BatchRef(batch="W0", revision=3),)


def test_the_champion_may_have_ended_where_judging_starts() -> None:
    _, judge = split(
        [manifest(number) for number in range(5)], judge=2, window=None, champion_through=MONDAY + 3 * WEEK
    )
    assert names(judge) == ["W3", "W4"]


def test_the_champion_is_not_judged_on_its_training_batches() -> None:
    with pytest.raises(NotEnoughBatches, match="has not seen needs 2 labelled batches, there are 1"):
        split(
            [manifest(number) for number in range(5)],
            judge=2,
            window=None,
            champion_through=MONDAY + 3 * WEEK + timedelta(seconds=1),
        )


@pytest.mark.parametrize("count", [0, 1, 2])
def test_something_must_be_left_to_train_on(count: int) -> None:
    with pytest.raises(NotEnoughBatches, match=f"needs 3 labelled batches, there are {count}"):
        split([manifest(number) for number in range(count)], judge=2, window=None, champion_through=None)


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
