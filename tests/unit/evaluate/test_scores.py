import math

import numpy as np
import pytest

from tests.support.builders import BINARY, CLASSES, VALUE
from trimtab.evaluate.scores import apart, auc, broken, row_losses


def test_log_loss_is_minus_the_log_of_the_chance_of_what_happened() -> None:
    assert row_losses("log_loss", BINARY, [1, 0], [0.8, 0.8]).tolist() == pytest.approx(
        [-math.log(0.8), -math.log(0.2)]
    )


def test_a_certain_and_wrong_prediction_costs_a_finite_amount() -> None:
    assert row_losses("log_loss", BINARY, [1, 0], [0.0, 1.0]).tolist() == pytest.approx(
        [34.54, 34.54], abs=0.01
    )


def test_a_certain_and_right_prediction_costs_nothing() -> None:
    assert row_losses("log_loss", BINARY, [1, 0], [1.0, 0.0]).tolist() == pytest.approx([0, 0], abs=1e-12)


def test_a_prediction_that_is_no_probability_is_certain_and_wrong() -> None:
    for wrong in (math.nan, 1.5, -0.1):
        assert broken(BINARY, [0.5, wrong]).tolist() == [False, True]
        assert row_losses("brier", BINARY, [1, 0], [0.5, wrong]).tolist() == [0.25, 1.0]
    assert row_losses("log_loss", BINARY, [1], [math.nan]).tolist() == pytest.approx([34.5], abs=0.1)
    assert auc(BINARY, np.array([1, 0]), np.array([0.5, math.nan])) is None


def test_one_class_only_has_no_auc() -> None:
    assert auc(BINARY, np.array([1, 1]), np.array([0.9, 0.1])) is None


def test_columns_of_objects_are_scored_like_numbers() -> None:
    labels, chances = np.array([1, 0], dtype=object), np.array([0.75, 0.5], dtype=object)
    assert row_losses("brier", BINARY, labels, [0.75, 0.5]).dtype == np.float64
    assert row_losses("brier", BINARY, labels, chances).tolist() == [0.0625, 0.25]


def test_of_several_classes_the_chance_of_the_one_that_happened_counts() -> None:
    answers = [[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]
    assert row_losses("log_loss", CLASSES, [1, 2], answers).tolist() == pytest.approx([-math.log(0.5), 0.0])
    assert row_losses("brier", CLASSES, [1, 0], answers).tolist() == pytest.approx([0.04 + 0.25 + 0.09, 2.0])


@pytest.mark.parametrize("wrong", [[math.nan, 0.5, 0.5], [0.5, 0.6, 0.7], [-0.1, 0.6, 0.5], [0.0, 0.0, 0.0]])
def test_an_answer_that_is_no_distribution_is_certain_and_wrong(wrong: list[float]) -> None:
    assert broken(CLASSES, [[0.2, 0.3, 0.5], wrong]).tolist() == [False, True]
    assert row_losses("brier", CLASSES, [0], [wrong]).tolist() == [2.0]
    assert row_losses("log_loss", CLASSES, [0], [wrong]).tolist() == pytest.approx([34.54], abs=0.01)


def test_probabilities_of_single_precision_are_a_distribution() -> None:
    thirds = np.full((1, 3), 1 / 3, dtype=np.float32)
    assert broken(CLASSES, thirds).tolist() == [False]


def test_a_value_costs_its_miss_and_none_the_way_to_the_far_end() -> None:
    answers = [40.0, 60.0, math.nan, math.inf]
    truths = [50.0, 50.0, 30.0, 80.0]
    assert row_losses("absolute_error", VALUE, truths, answers).tolist() == [10.0, 10.0, 70.0, 80.0]
    assert row_losses("squared_error", VALUE, truths, answers).tolist() == [100.0, 100.0, 4900.0, 6400.0]
    assert broken(VALUE, answers).tolist() == [False, False, True, True]


def test_the_auc_of_several_classes_is_the_mean_of_each_against_the_rest() -> None:
    sure = np.eye(3)[[0, 1, 2, 2]]
    assert auc(CLASSES, np.array([0, 1, 2, 2]), sure) == 1.0
    muddled = [[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6], [0.1, 0.3, 0.6]]
    # low against the rest 2.5 of 3 pairs, middle all tied, high 4 of 4
    assert auc(CLASSES, np.array([0, 1, 2, 2]), np.array(muddled)) == pytest.approx((2.5 / 3 + 0.5 + 1.0) / 3)
    assert auc(CLASSES, np.array([0, 1, 1]), np.eye(3)[[0, 1, 1]]) is None


def test_two_named_classes_are_ranked_like_a_binary_label() -> None:
    two = CLASSES.model_copy(update={"classes": ["no", "yes"]})
    answers = [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]
    assert auc(two, np.array([0, 0, 1]), np.array(answers)) == 0.5


def test_a_regression_has_no_auc() -> None:
    assert auc(VALUE, np.array([1.0, 3.0]), np.array([2.0, 2.0])) is None


def test_two_models_lie_as_far_apart_as_their_probabilities_differ() -> None:
    assert apart(np.array([0.2, 0.8]), np.array([0.3, 0.5]), [0, 1], BINARY) == pytest.approx(0.2)
    ours, theirs = np.array([[0.2, 0.3, 0.5]]), np.array([[0.5, 0.3, 0.2]])
    assert apart(ours, theirs, [0], CLASSES) == pytest.approx(0.3)
    assert apart(np.empty(0), np.empty(0), [], BINARY) == 0.0


def test_two_regressions_lie_apart_in_standard_deviations_of_the_label() -> None:
    ours, theirs = np.array([10.0, 20.0]), np.array([12.0, 16.0])
    assert apart(ours, theirs, [0.0, 20.0], VALUE) == pytest.approx(3.0 / 10.0)
    assert apart(ours, theirs, [7.0, 7.0], VALUE) == pytest.approx(3.0 / 100.0)
