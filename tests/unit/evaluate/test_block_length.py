from datetime import timedelta

import pytest

from trimtab.evaluate.block_length import block_length


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
