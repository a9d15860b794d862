import numpy as np
import pytest

from tests.support.builders import sales, shops
from trimtab.evaluate.calibration import expected_error
from trimtab.evaluate.scores import row_losses, score_model
from trimtab.train.features import targets

PARAMS = shops(gate__slices=["shop"])
ROWS = sales(300)
TRUTHS = targets(ROWS, PARAMS.data)
ANSWERS = np.linspace(0.05, 0.95, 300)


def test_the_sums_of_the_blocks_are_those_of_the_rows() -> None:
    score = score_model(ROWS, TRUTHS, ANSWERS, PARAMS, block_hours=24)
    losses = row_losses("log_loss", PARAMS.data.label, TRUTHS, ANSWERS)
    assert [(block.number, block.rows) for block in score.blocks] == [
        (0, 72),
        (1, 72),
        (2, 72),
        (3, 72),
        (4, 12),
    ]
    assert score.blocks[1].loss == pytest.approx(losses[72:144].sum())
    assert (score.rows, score.loss) == (300, pytest.approx(losses.mean()))


def test_each_value_of_a_slice_has_sums_of_its_own() -> None:
    score = score_model(ROWS, TRUTHS, ANSWERS, PARAMS, block_hours=24)
    north = ROWS["shop"] == "north"
    losses = row_losses("log_loss", PARAMS.data.label, TRUTHS, ANSWERS)
    assert set(score.slices) == {"shop=north", "shop=south"}
    assert sum(block.loss for block in score.slices["shop=north"]) == pytest.approx(losses[north].sum())


def test_an_invalid_prediction_is_counted_and_costs_as_much_as_a_certain_wrong_one() -> None:
    answers = ANSWERS.copy()
    answers[0] = float("nan")
    score = score_model(ROWS, TRUTHS, answers, PARAMS, block_hours=24)
    assert (score.invalid, sum(each.rows for each in score.calibration)) == (1, 299)
    assert score.blocks[0].loss > 34


def test_calibration_is_pooled_over_batches() -> None:
    low, high = (
        score_model(ROWS, TRUTHS, np.full(300, TRUTHS.mean() + step), PARAMS, block_hours=24)
        for step in (-0.2, 0.1)
    )
    assert expected_error([low]) == pytest.approx(0.2)
    assert expected_error([low, high]) == pytest.approx(0.15)
    assert expected_error([]) == 0.0
