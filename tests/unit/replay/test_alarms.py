import numpy as np
import pytest
from scipy import stats

from benchmarks.replay.alarms import alarm


def test_the_limit_is_that_of_a_prediction_interval() -> None:
    history = [0.5, 0.52, 0.48, 0.51, 0.49, 0.5, 0.53, 0.47]
    sd = np.std(history, ddof=1)
    expected = np.mean(history) + stats.t.isf(0.00135, 7) * np.sqrt(1 + 1 / 8) * sd
    assert alarm(history, 0.6, rate=0.00135).limit == pytest.approx(expected)


def test_a_short_history_raises_no_alarm() -> None:
    assert not alarm([0.5] * 7, 9.0, rate=0.01).raised


def test_a_value_above_the_limit_raises_an_alarm() -> None:
    history = list(np.linspace(0.45, 0.55, 20))
    assert alarm(history, 0.7, rate=0.01).raised
    assert not alarm(history, 0.55, rate=0.01).raised


def test_old_batches_do_not_count() -> None:
    usual = list(np.linspace(0.45, 0.55, 26))
    assert alarm([9.0, *usual], 0.7, rate=0.01) == alarm(usual, 0.7, rate=0.01)


@pytest.mark.parametrize("count", [8, 20])
def test_false_alarms_are_as_rare_as_stated(count: int) -> None:
    draw = np.random.default_rng(1).normal(size=(20_000, count + 1))
    raised = sum(alarm(row[:-1].tolist(), row[-1], rate=0.01).raised for row in draw)
    assert 160 <= raised <= 240  # 200 expected, standard deviation 14
