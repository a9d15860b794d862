"""The watch rule: a new champion that is worse beyond doubt, and one that is not."""

import numpy as np
import pytest

from tests.support.builders import shops
from trimtab.contracts import Block, Watch
from trimtab.trigger.watch import watch


def week(number: int, worse_by: float, *, spread: float = 0.01, days: int = 7) -> Watch:
    draw = np.random.default_rng(number)
    noise = draw.normal(0, spread, days)
    blocks = tuple(
        Block(
            batch=f"W{number}",
            number=day,
            rows=100,
            champion=100 * (0.5 + worse_by + float(noise[day])),
            challenger=50,
        )
        for day in range(days)
    )
    return Watch(former="1", blocks=blocks)


def test_a_new_champion_that_is_much_worse_is_found_out_by_the_second_batch() -> None:
    found = watch([week(1, 0.1), week(2, 0.1)], "2", shops())
    assert found.worse
    assert found.reason.startswith("version 2 loses +0.")
    assert "against version 1 before it" in found.reason
    assert "batch 2 of 4 since the promotion" in found.reason


@pytest.mark.parametrize("worse_by", [-0.1, 0.0, 0.002])
def test_one_that_is_better_equal_or_hardly_worse_stays(worse_by: float) -> None:
    assert not watch([week(1, worse_by), week(2, worse_by)], "2", shops()).worse


def test_what_it_may_lose_is_forgiven() -> None:
    seen = [week(number, 0.1) for number in range(4)]
    wanted = shops()
    lenient = wanted.model_copy(update={"watch": wanted.watch.model_copy(update={"max_loss": 0.2})})
    assert watch(seen, "2", wanted).worse
    assert not watch(seen, "2", lenient).worse


def test_too_few_blocks_prove_nothing() -> None:
    assert not watch([week(1, 0.5, days=6)], "2", shops()).worse
    assert watch([week(1, 0.5, days=6), week(2, 0.5, days=6)], "2", shops()).worse


def test_batches_after_the_watch_do_not_count() -> None:
    late = [week(number, 0.0) for number in range(4)] + [week(5, 5.0)]
    assert not watch(late, "2", shops()).worse


def test_nothing_to_compare_is_said() -> None:
    found = watch([Watch(former="1", blocks=(), trouble="gone")], "2", shops())
    assert not found.worse
    assert found.reason == "no labelled batch has come since version 2"


def test_equal_champions_are_seldom_rolled_back() -> None:
    """Over 400 pairs with an effect of the week, at all four looks together."""
    draw, wanted, taken_back = np.random.default_rng(7), shops(), 0
    for _ in range(400):
        weeks = [week(int(draw.integers(1e9)), float(draw.normal(0, 0.004))) for _ in range(4)]
        taken_back += any(watch(weeks[:seen], "2", wanted).worse for seen in range(1, 5))
    assert taken_back / 400 <= wanted.watch.error
