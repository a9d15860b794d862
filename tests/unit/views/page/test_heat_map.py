"""Scores of any statistic, in thresholds."""

import pytest

from trimtab.contracts import ColumnDrift
from trimtab.views.page.heat_map import in_thresholds


@pytest.mark.parametrize(
    ("statistic", "score", "threshold", "drifted", "ratio"),
    [
        ("Wasserstein distance (normed)", 0.2, 0.1, True, 2.0),
        ("K-S p_value", 0.05, 0.05, False, 1.0),
        ("K-S p_value", 0.0025, 0.05, True, 2.0),
        ("K-S p_value", 1.0, 0.05, False, 0.0),
        ("all null", 1.0, 0.0, True, float("inf")),
    ],
)
def test_a_score_is_given_in_thresholds(
    statistic: str, score: float, threshold: float, drifted: bool, ratio: float
) -> None:
    column = ColumnDrift(column="a", statistic=statistic, score=score, threshold=threshold, drifted=drifted)
    assert in_thresholds(column) == pytest.approx(ratio)
