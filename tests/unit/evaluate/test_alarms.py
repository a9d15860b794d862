"""The alarms for people: how often they are false, and what they compare."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from statistics import fmean

import numpy as np
import pytest

from tests.support.scored import record, score, scored
from trimtab.evaluate.alarms import NEWEST, Alarms, alarms, prediction_limit
from trimtab.evaluate.record import ScoredBatch

RATE = 0.02
LOSSES = [0.50, 0.52, 0.49, 0.51, 0.50, 0.53, 0.48, 0.51]
EXCESS = [0.001, 0.003, -0.001, 0.002, 0.000, 0.004, 0.001, 0.002]


def normal(count: int, draws: int) -> np.ndarray:
    """Independent normal values: in each row so many earlier ones, and the newest."""
    return np.random.default_rng(7).normal(loc=9, size=(draws, count + 1))


def false_alarms(count: int, rate: float, draws: int) -> float:
    """The share of rows whose newest value is above the limit of the earlier ones."""
    rows = normal(count, draws).tolist()
    return fmean(newest > prediction_limit(earlier, rate) for *earlier, newest in rows)


def three_errors(rate: float, draws: int) -> float:
    """Three standard errors of a share."""
    return 3 * sqrt(rate * (1 - rate) / draws)


def batches(losses: Sequence[float], excess: Sequence[float] = ()) -> list[ScoredBatch]:
    """Batches on which a fresh model has these losses, and the champion so much more; every fourth one brings another."""
    return [
        replace(
            scored(number, {"all": loss, f"v{number // 4}": loss + more}, candidates=["all"]),
            champion=f"v{number // 4}",
        )
        for number, (loss, more) in enumerate(zip(losses, excess or [0.0] * len(losses), strict=True))
    ]


def on(seen: Sequence[ScoredBatch], rate: float = RATE) -> Alarms:
    return alarms(seen, leader="all", rate=rate)


@pytest.mark.parametrize("count", [8, 12, 26])
def test_the_share_of_false_alarms_is_the_stated_rate(count: int) -> None:
    assert abs(false_alarms(count, RATE, 5_000) - RATE) < three_errors(RATE, 5_000)


def test_eight_batches_hold_the_rate_that_three_standard_deviations_exceed_tenfold() -> None:
    draws, rate = 10_000, 0.00135
    assert abs(false_alarms(8, rate, draws) - rate) < three_errors(rate, draws)
    for count, share in ((6, 0.0195), (8, 0.013)):
        values = normal(count, draws)
        earlier, newest = values[:, :-1], values[:, -1]
        false = (newest > earlier.mean(axis=1) + 3 * earlier.std(axis=1, ddof=1)).mean()
        assert abs(false - share) < three_errors(share, draws)


def test_a_batch_is_hard_when_even_a_fresh_model_loses_unusually_much() -> None:
    limit = prediction_limit(LOSSES, RATE)
    assert limit == pytest.approx(0.505 + 2.517 * sqrt(9 / 8) * 0.0160, abs=1e-3)
    for loss, fires in ((limit - 1e-6, False), (limit + 1e-6, True)):
        hard = on(batches([*LOSSES, loss])).hard
        assert hard is not None
        assert (hard.limit, hard.fires) == (pytest.approx(limit), fires)


def test_a_champion_is_stale_when_it_loses_unusually_much_more_than_a_fresh_model() -> None:
    limit = prediction_limit(EXCESS, RATE)
    for excess, fires in ((limit - 1e-6, False), (limit + 1e-6, True)):
        seen = on(batches([*LOSSES, 0.7], [*EXCESS, excess]))
        assert seen.stale is not None and seen.hard is not None
        assert (seen.stale.limit, seen.stale.fires, seen.hard.fires) == (pytest.approx(limit), fires, True)
        assert list(seen.firing) == ["hard batch", *["stale model"] * fires]


def test_a_champion_that_is_better_than_a_fresh_model_is_not_stale() -> None:
    stale = on(batches([0.5] * 9, [-0.02, -0.021] * 4 + [-0.001])).stale
    assert stale is not None
    assert (stale.limit, stale.fires) == (0.0, False)


def test_few_batches_say_how_many_there_are() -> None:
    hard = on(batches(LOSSES)).hard
    assert hard is not None
    assert (hard.limit, hard.fires) == (None, False)
    assert hard.sentence == "loss of a fresh model 0.51000 (not enough history yet, 7 of 8 batches)"


def test_a_champion_that_is_the_fresh_model_says_nothing() -> None:
    seen = batches([*LOSSES, 0.5], [*EXCESS, 0.0])
    same = replace(seen[-1], champion=seen[-1].shadows["all"])
    assert on([*seen[:-1], same]).stale is None
    stale = on([*seen[:3], replace(seen[3], champion=seen[3].shadows["all"]), *seen[4:]]).stale
    assert stale is not None and stale.earlier == 7


def test_without_a_score_on_the_newest_batch_there_is_no_alarm() -> None:
    assert on([]) == on(record(9, champion=0.5)) == on([*batches(LOSSES), scored(9, {"v2": 0.9})]) == Alarms()


def test_another_metric_begins_the_history_anew() -> None:
    brier = score(0.2, metric="brier")
    assert on([*batches(LOSSES), *(scored(number, {"all": brier}) for number in (8, 9))]).hard.earlier == 1


def test_only_the_newest_batches_count() -> None:
    seen = batches([9.0, 1.0, *[0.5, 0.51] * (NEWEST // 2), 0.6])
    hard = on(seen).hard
    assert hard is not None
    assert (hard.earlier, hard.fires) == (NEWEST, True)
