import numpy as np
import pytest
from scipy import stats

from tests.support.builders import shipped
from trimtab.contracts import Block, BlockLoss
from trimtab.evaluate.compare import is_better, loss_bounds, paired

GATE = shipped().gate
ALONE = GATE.model_copy(update={"batch_correlation": 0.0})


def block(batch: str, number: int, gain: float, rows: int = 10) -> Block:
    return Block(batch=batch, number=number, rows=rows, champion=(0.5 + gain) * rows, challenger=0.5 * rows)


def test_no_rows_are_no_blocks_and_decide_nothing() -> None:
    nothing = paired((), GATE, error=0.05)
    assert (nothing.batches, nothing.blocks, nothing.rows) == (0, 0, 0)
    assert (nothing.gain, nothing.lower, nothing.upper) == (0.0, -1e300, 1e300)


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


@pytest.mark.parametrize("error", [0.0, 1e-307, 1e-100])
def test_an_error_that_is_hardly_any_proves_nothing(error: float) -> None:
    """Such is the share of the first of 400 looks."""
    compared = paired([block("W1", place, 0.1 + place / 100) for place in range(7)], GATE, error=error)
    assert compared.lower < -1e20
    assert compared.upper > compared.gain


def test_equal_losses_have_no_width() -> None:
    comparison = paired([block("W1", day, 0.0) for day in range(7)], GATE, error=0.05)
    assert (comparison.gain, comparison.lower, comparison.upper) == (0.0, 0.0, 0.0)


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
    assert (comparison.metric, comparison.batches, comparison.blocks, comparison.rows) == (
        "log_loss",
        2,
        6,
        60,
    )


def test_degrees_of_freedom_are_never_more_than_the_blocks_allow() -> None:
    gains = [0.1, 0.3, 0.2]
    comparison = paired([block(f"W{week}", 0, gain) for week, gain in enumerate(gains)], ALONE, error=0.05)
    error = np.sqrt(np.var(gains, ddof=1) / 3)
    assert comparison.lower == pytest.approx(0.2 - stats.t.isf(0.05, 2) * error)


def test_without_rows_no_loss_is_named() -> None:
    nothing = paired((), GATE, error=0.05)
    assert (nothing.champion_loss, nothing.challenger_loss) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("batches", "blocks", "loss", "better"),
    [(2, 4, 0.4, True), (2, 3, 0.4, False), (1, 9, 0.4, False), (2, 4, 0.5, False), (2, 4, 0.6, False)],
    ids=["beyond doubt", "too few blocks", "one batch", "equal", "worse"],
)
def test_a_proof_takes_two_batches_enough_blocks_and_a_gain_beyond_doubt(
    batches: int, blocks: int, loss: float, better: bool
) -> None:
    gate = GATE.model_copy(update={"min_blocks": 8})
    seen = [
        block(f"W{week}", day, 0.5 - loss + day / 1000) for week in range(batches) for day in range(blocks)
    ]
    noise = [block("W0", blocks, -0.01)] if loss == 0.5 else []
    assert is_better(paired([*seen, *noise], gate, error=0.05), gate) is better


def of_model(*losses: float, rows: int = 24) -> list[BlockLoss]:
    return [BlockLoss(number=day, rows=rows, loss=loss * rows) for day, loss in enumerate(losses)]


def test_one_models_loss_is_bounded_over_days() -> None:
    lower, upper = loss_bounds(of_model(0.4, 0.5, 0.6)) or (0.0, 0.0)
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert (lower, upper) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))


def test_the_bounds_of_a_loss_do_not_go_below_zero_and_need_two_days() -> None:
    assert (loss_bounds(of_model(0.01, 0.9)) or (1.0, 0.0))[0] == 0.0
    assert loss_bounds(of_model(0.5)) is None
    assert loss_bounds([]) is None


def test_a_loss_whose_square_is_no_number_has_no_bounds() -> None:
    with np.errstate(over="ignore"):
        assert loss_bounds(of_model(0.0, 1e300)) is None
