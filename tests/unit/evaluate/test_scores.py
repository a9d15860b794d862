import math

import numpy as np
import pytest

from trimtab.contracts import BatchScore
from trimtab.evaluate.scores import broken, row_losses, score


def test_log_loss_is_minus_the_log_of_the_chance_of_what_happened() -> None:
    assert row_losses("log_loss", [1, 0], [0.8, 0.8]).tolist() == pytest.approx(
        [-math.log(0.8), -math.log(0.2)]
    )


def test_a_certain_and_wrong_prediction_costs_a_finite_amount() -> None:
    assert row_losses("log_loss", [1, 0], [0.0, 1.0]).tolist() == pytest.approx([34.54, 34.54], abs=0.01)


def test_a_certain_and_right_prediction_costs_nothing() -> None:
    assert row_losses("log_loss", [1, 0], [1.0, 0.0]).tolist() == pytest.approx([0, 0], abs=1e-12)


def test_a_prediction_that_is_no_probability_is_certain_and_wrong() -> None:
    for wrong in (math.nan, 1.5, -0.1):
        assert broken([0.5, wrong]).tolist() == [False, True]
        assert row_losses("brier", [1, 0], [0.5, wrong]).tolist() == [0.25, 1.0]
    assert row_losses("log_loss", [1], [math.nan]).tolist() == pytest.approx([34.5], abs=0.1)
    assert score("W1", [1, 0], [0.5, math.nan], "brier").auc is None


def test_a_score_counts_rows_and_labels() -> None:
    assert score("W1", [1, 0, 1], [0.9, 0.1, 0.8], "brier", rows=5) == BatchScore(
        batch="W1", rows=5, labelled=3, loss=pytest.approx(0.02), auc=1.0
    )


def test_one_class_only_has_no_auc() -> None:
    assert score("W1", [1, 1], [0.9, 0.1], "brier").auc is None


def test_without_labels_the_loss_is_0_and_the_rows_count() -> None:
    assert score("W1", [], [], "brier", rows=5) == BatchScore(
        batch="W1", rows=5, labelled=0, loss=0.0, auc=None
    )


def test_rows_are_the_labelled_ones_unless_told() -> None:
    assert score("W1", [1, 0], [0.9, 0.1], "brier").rows == 2


def test_columns_of_objects_are_scored_like_numbers() -> None:
    labels, chances = np.array([1, 0], dtype=object), np.array([0.75, 0.5], dtype=object)
    assert row_losses("brier", labels, [0.75, 0.5]).dtype == np.float64
    assert row_losses("brier", labels, chances).tolist() == [0.0625, 0.25]
    assert score("W1", labels, chances, "brier").auc == 1.0
