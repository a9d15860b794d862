from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from scipy import stats

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import Block
from trimtab.evaluate.compare import blocks_of, loss_bounds, paired

GATE = shipped().gate
ALONE = GATE.model_copy(update={"batch_correlation": 0.0})


def block(batch: str, number: int, gain: float, rows: int = 10) -> Block:
    return Block(batch=batch, number=number, rows=rows, champion=(0.5 + gain) * rows, challenger=0.5 * rows)


def hours(count: int, step: int = 1) -> list[datetime]:
    return [MONDAY + timedelta(hours=step * number) for number in range(count)]


def test_losses_are_summed_by_day_and_no_block_spans_two_batches() -> None:
    batches = ["W1"] * 36 + ["W2"] * 12
    blocks = blocks_of(batches, hours(48), np.full(48, 0.5), np.full(48, 0.25), GATE)
    assert [(block_.batch, block_.number, block_.rows) for block_ in blocks] == [
        ("W1", 0, 24),
        ("W1", 1, 12),
        ("W2", 0, 12),
    ]
    assert (blocks[1].champion, blocks[1].challenger) == (6.0, 3.0)


def test_no_rows_are_no_blocks_and_decide_nothing() -> None:
    assert blocks_of([], [], np.empty(0), np.empty(0), GATE) == ()
    nothing = paired((), GATE, error=0.05)
    assert (nothing.blocks, nothing.rows, nothing.gain, nothing.lower, nothing.upper) == (
        0,
        0,
        0.0,
        -1e300,
        1e300,
    )


def test_one_block_is_unbounded() -> None:
    alone = paired([block("W1", 0, 0.1)], GATE, error=0.05)
    assert (alone.gain, alone.lower, alone.upper) == (pytest.approx(0.1), -1e300, 1e300)


def test_the_gain_is_what_the_challenger_loses_less_per_row() -> None:
    comparison = paired([block("W1", 0, 0.1, rows=10), block("W1", 1, 0.4, rows=30)], GATE, error=0.05)
    assert comparison.gain == pytest.approx((10 * 0.1 + 30 * 0.4) / 40)
    assert (comparison.champion_loss, comparison.challenger_loss) == (
        pytest.approx(0.825),
        pytest.approx(0.5),
    )


def test_swapping_the_models_turns_the_interval_round() -> None:
    gains = [0.1, 0.3, -0.05, 0.2, 0.15, 0.0, 0.1]
    ours = paired([block("W1", place, gain) for place, gain in enumerate(gains)], GATE, error=0.1)
    theirs = paired([block("W1", place, -gain) for place, gain in enumerate(gains)], GATE, error=0.1)
    assert (ours.gain, ours.lower) == (pytest.approx(-theirs.gain), pytest.approx(-theirs.upper))


def test_within_one_batch_the_interval_is_students_over_its_blocks_with_few_degrees_of_freedom() -> None:
    gains = np.array([0.1, 0.3, -0.05, 0.2, 0.15, 0.0, 0.1])
    comparison = paired([block("W1", place, gain) for place, gain in enumerate(gains)], ALONE, error=0.01)
    error = gains.std(ddof=1) / np.sqrt(7)
    assert comparison.lower == pytest.approx(gains.mean() - stats.t.isf(0.01, 4) * error)
    assert comparison.upper == pytest.approx(gains.mean() + stats.t.isf(GATE.error, 4) * error)


def test_the_blocks_of_a_batch_count_for_less_when_they_are_alike() -> None:
    blocks = [block("W1", place, gain) for place, gain in enumerate([0.1, 0.3, -0.05, 0.2, 0.15, 0.0, 0.1])]
    alone, alike = (paired(blocks, gate, error=0.01) for gate in (ALONE, GATE))
    ratio = (alike.gain - alike.lower) / (alone.gain - alone.lower)
    assert ratio == pytest.approx(np.sqrt(1 + 6 * GATE.batch_correlation))


def test_batches_that_differ_widen_the_interval_beyond_what_their_blocks_show() -> None:
    same = [block(f"W{week}", day, 0.1 + 0.01 * day) for week in range(4) for day in range(7)]
    differ = [block(f"W{week}", day, 0.1 * week + 0.01 * day) for week in range(4) for day in range(7)]
    narrow, wide = (paired(blocks, ALONE, error=0.01) for blocks in (same, differ))
    assert wide.upper - wide.lower > 3 * (narrow.upper - narrow.lower)


def test_batches_of_one_block_have_the_degrees_of_freedom_of_batches() -> None:
    gains = np.array([0.1, 0.3, -0.05, 0.2])
    comparison = paired([block(f"W{place}", 0, gain) for place, gain in enumerate(gains)], GATE, error=0.01)
    assert comparison.lower == pytest.approx(gains.mean() - stats.t.isf(0.01, 3) * gains.std(ddof=1) / 2)


def test_equal_losses_have_no_width() -> None:
    comparison = paired([block("W1", day, 0.0) for day in range(7)], GATE, error=0.05)
    assert (comparison.gain, comparison.lower, comparison.upper) == (0.0, 0.0, 0.0)


def test_blocks_come_in_order_of_time_whatever_the_zone_and_the_order_of_rows() -> None:
    zone = timezone(timedelta(hours=5))
    times = [MONDAY + timedelta(hours=hour) for hour in (49, 1, 25)]
    blocks = blocks_of(
        ["W1"] * 3, [time.astimezone(zone) for time in times], np.arange(3.0), np.zeros(3), GATE
    )
    assert [(block_.number, block_.champion) for block_ in blocks] == [(0, 1.0), (1, 2.0), (2, 0.0)]
    mixed = blocks_of(["W1"] * 3, [times[0].astimezone(zone), *times[1:]], np.arange(3.0), np.zeros(3), GATE)
    assert mixed == blocks
    batches = blocks_of(["W2", "W1"], times[:2], np.zeros(2), np.zeros(2), GATE)
    assert [block_.batch for block_ in batches] == ["W1", "W2"]


def test_two_blocks_of_one_batch_have_one_degree_of_freedom() -> None:
    gains = np.array([0.1, 0.3])
    comparison = paired([block("W1", place, gain) for place, gain in enumerate(gains)], ALONE, error=0.05)
    error = gains.std(ddof=1) / np.sqrt(2)
    assert comparison.lower == pytest.approx(0.2 - stats.t.isf(0.05, 1) * error)


def test_over_batches_the_variance_is_moderated_by_what_the_blocks_let_expect() -> None:
    """Worked by hand after Smyth 2004: prior of 4 degrees of freedom, one a batch beyond the first."""
    gains = {"W1": [0.0, 0.1, 0.2], "W2": [0.3, 0.4, 0.2]}
    blocks = [block(name, day, gain) for name, week in gains.items() for day, gain in enumerate(week)]
    every = np.array([gain for week in gains.values() for gain in week])
    design = 1 + 2 * GATE.batch_correlation
    by_block = design * every.var(ddof=1) / 6
    by_batch = np.array([np.mean(week) for week in gains.values()]).var(ddof=1) / 2
    variance = (4 * by_block + 1 * by_batch) / 5
    comparison = paired(blocks, GATE, error=0.05)
    assert comparison.lower == pytest.approx(every.mean() - stats.t.isf(0.05, 5) * np.sqrt(variance))
    assert (comparison.metric, comparison.blocks, comparison.rows) == ("log_loss", 6, 60)


def test_degrees_of_freedom_are_never_more_than_the_blocks_allow() -> None:
    gains = [0.1, 0.3, 0.2]
    comparison = paired([block(f"W{week}", 0, gain) for week, gain in enumerate(gains)], ALONE, error=0.05)
    error = np.sqrt(np.var(gains, ddof=1) / 3)
    assert comparison.lower == pytest.approx(0.2 - stats.t.isf(0.05, 2) * error)


def test_without_rows_no_loss_is_named() -> None:
    nothing = paired((), GATE, error=0.05)
    assert (nothing.champion_loss, nothing.challenger_loss) == (0.0, 0.0)


def test_one_models_loss_is_bounded_over_days() -> None:
    losses = np.repeat([0.4, 0.5, 0.6], 24)
    lower, upper = loss_bounds(hours(72), losses, GATE)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert (lower, upper) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))


def test_the_bounds_of_a_loss_do_not_go_below_zero_and_need_two_days() -> None:
    lower, upper = loss_bounds(hours(48), np.repeat([0.01, 0.9], 24), GATE)
    assert lower == 0.0 < upper
    assert loss_bounds(hours(24), np.full(24, 0.5), GATE) is None
    assert loss_bounds([], np.empty(0), GATE) is None


def test_a_loss_whose_square_is_no_number_has_no_bounds() -> None:
    with np.errstate(over="ignore"):
        assert loss_bounds(hours(48), np.repeat([0.0, 1e300], 24), GATE) is None
