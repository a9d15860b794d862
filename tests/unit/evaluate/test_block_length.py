from datetime import timedelta

import pytest

from tests.support.builders import shops
from trimtab.evaluate.block_length import block_hours, block_length


@pytest.mark.parametrize(
    ("batch", "block"),
    [
        (timedelta(minutes=20), timedelta(minutes=20) / 6),
        (timedelta(hours=12), timedelta(hours=2)),
        (timedelta(days=4), timedelta(hours=12)),
        (timedelta(days=30), timedelta(days=1)),
        (timedelta(days=90), timedelta(days=7)),
    ],
)
def test_six_blocks_fit_into_a_batch(batch: timedelta, block: timedelta) -> None:
    assert block_length([batch]) == block


def test_one_odd_batch_changes_nothing() -> None:
    assert block_length([timedelta(days=7), timedelta(days=7), timedelta(days=2)]) == timedelta(days=1)


@pytest.mark.parametrize(("given", "hours"), [(None, 4.0), (12, 12.0)])
def test_a_given_length_counts_more_than_that_of_the_batches(given: int | None, hours: float) -> None:
    gate = shops(gate__block_hours=given).gate
    assert block_hours(gate, [timedelta(days=1)]) == hours
