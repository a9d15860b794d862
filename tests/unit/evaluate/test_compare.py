from datetime import timedelta

import numpy as np
import pytest

from tests.unit.builders import MONDAY, shipped
from trimtab.evaluate.compare import paired

GATE = shipped().gate


def hours(count: int, step: int = 1) -> list:
    return [MONDAY + timedelta(hours=step * number) for number in range(count)]


def test_the_gain_is_positive_when_the_challenger_loses_less() -> None:
    found = paired(np.full(48, 0.5), np.full(48, 0.4), hours(48), GATE)
    assert (found.gain, found.lower, found.upper) == pytest.approx((0.1, 0.1, 0.1))
    assert (found.rows, found.blocks) == (48, 2)


def test_swapping_the_models_mirrors_the_interval() -> None:
    draw = np.random.default_rng(1)
    first, second = draw.uniform(size=240), draw.uniform(size=240)
    one, other = paired(first, second, hours(240), GATE), paired(second, first, hours(240), GATE)
    assert (one.gain, one.lower, one.upper) == pytest.approx((-other.gain, -other.upper, -other.lower))


def test_blocks_of_equal_size_give_the_ordinary_t_interval() -> None:
    """Two blocks with means 0.1 and 0.3: mean 0.2, standard error 0.1, t(1) at 97.5 % is 12.706."""
    gains = np.repeat([0.1, 0.3], 24)
    found = paired(gains, np.zeros(48), hours(48), GATE)
    assert found.gain == pytest.approx(0.2)
    assert (found.lower, found.upper) == pytest.approx((0.2 - 1.2706, 0.2 + 1.2706), abs=1e-3)


def test_a_thousand_rows_of_one_hour_are_one_block() -> None:
    found = paired(np.ones(1000), np.zeros(1000), [MONDAY] * 1000, GATE)
    assert found.blocks == 1
    assert found.lower < -1e8
    assert found.upper > 1e8


def test_rows_within_a_block_add_no_certainty() -> None:
    draw = np.random.default_rng(2)
    by_day = draw.normal(size=10)
    few = paired(np.repeat(by_day, 24), np.zeros(240), hours(240), GATE)
    times = [time for time in hours(240) for _ in range(50)]
    many = paired(np.repeat(by_day, 24 * 50), np.zeros(240 * 50), times, GATE)
    assert (many.lower, many.upper) == pytest.approx((few.lower, few.upper))


def test_no_rows_are_no_blocks() -> None:
    found = paired(np.empty(0), np.empty(0), [], GATE)
    assert (found.rows, found.blocks, found.gain) == (0, 0, 0.0)


def test_equal_models_with_day_effects_are_seldom_called_better() -> None:
    """14 days of 50 rows, the day shared by both models: at most the nominal 2.5 %, with the slack of 400 draws."""
    draw = np.random.default_rng(3)
    wrong = 0
    times = [MONDAY + timedelta(hours=24 * day) for day in range(14) for _ in range(50)]
    for _ in range(400):
        gains = np.repeat(draw.normal(scale=0.1, size=14), 50) + draw.normal(scale=0.3, size=700)
        wrong += paired(gains, np.zeros(700), times, GATE).lower > 0
    assert wrong / 400 < 0.05
