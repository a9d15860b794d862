from datetime import datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from tests.unit.builders import MONDAY, shipped
from trimtab.contracts import Block
from trimtab.evaluate.compare import blocks_of, paired

GATE = shipped().gate
ALONE = GATE.model_copy(update={"batch_correlation": 0.0})


def block(batch: str, number: int, gain: float, rows: int = 10) -> Block:
    return Block(batch=batch, number=number, rows=rows, champion=(0.5 + gain) * rows, challenger=0.5 * rows)


def hours(count: int, step: int = 1) -> list[datetime]:
    return [MONDAY + timedelta(hours=step * number) for number in range(count)]


def test_losses_are_summed_by_day_and_no_block_spans_two_batches() -> None:
    batches = ["W1"] * 36 + ["W2"] * 12
    found = blocks_of(batches, hours(48), np.full(48, 0.5), np.full(48, 0.25), GATE)
    assert [(one.batch, one.number, one.rows) for one in found] == [
        ("W1", 0, 24),
        ("W1", 1, 12),
        ("W2", 0, 12),
    ]
    assert (found[1].champion, found[1].challenger) == (6.0, 3.0)


def test_no_rows_are_no_blocks_and_decide_nothing() -> None:
    assert blocks_of([], [], np.empty(0), np.empty(0), GATE) == ()
    nothing = paired((), GATE, error=0.05)
    assert (nothing.blocks, nothing.rows, nothing.gain, nothing.lower, nothing.upper) == (
        0,
        0,
        0.0,
        -1e9,
        1e9,
    )


def test_one_block_is_unbounded() -> None:
    alone = paired([block("W1", 0, 0.1)], GATE, error=0.05)
    assert (alone.gain, alone.lower, alone.upper) == (pytest.approx(0.1), -1e9, 1e9)


def test_the_gain_is_what_the_challenger_loses_less_per_row() -> None:
    found = paired([block("W1", 0, 0.1, rows=10), block("W1", 1, 0.4, rows=30)], GATE, error=0.05)
    assert found.gain == pytest.approx((10 * 0.1 + 30 * 0.4) / 40)
    assert (found.champion_loss, found.challenger_loss) == (pytest.approx(0.825), pytest.approx(0.5))


def test_swapping_the_models_turns_the_interval_round() -> None:
    gains = [0.1, 0.3, -0.05, 0.2, 0.15, 0.0, 0.1]
    ours = paired([block("W1", place, gain) for place, gain in enumerate(gains)], GATE, error=0.1)
    theirs = paired([block("W1", place, -gain) for place, gain in enumerate(gains)], GATE, error=0.1)
    assert (ours.gain, ours.lower) == (pytest.approx(-theirs.gain), pytest.approx(-theirs.upper))


def test_within_one_batch_the_interval_is_students_over_its_blocks_with_few_degrees_of_freedom() -> None:
    gains = np.array([0.1, 0.3, -0.05, 0.2, 0.15, 0.0, 0.1])
    found = paired([block("W1", place, gain) for place, gain in enumerate(gains)], ALONE, error=0.01)
    error = gains.std(ddof=1) / np.sqrt(7)
    assert found.lower == pytest.approx(gains.mean() - stats.t.isf(0.01, 4) * error)
    assert found.upper == pytest.approx(gains.mean() + stats.t.isf(GATE.error, 4) * error)


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
    found = paired([block(f"W{place}", 0, gain) for place, gain in enumerate(gains)], GATE, error=0.01)
    assert found.lower == pytest.approx(gains.mean() - stats.t.isf(0.01, 3) * gains.std(ddof=1) / 2)


def test_equal_losses_have_no_width() -> None:
    found = paired([block("W1", day, 0.0) for day in range(7)], GATE, error=0.05)
    assert (found.gain, found.lower, found.upper) == (0.0, 0.0, 0.0)
