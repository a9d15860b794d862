from collections.abc import Sequence

import numpy as np

from tests.support.builders import shipped
from tests.support.scored import score, scored
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better
from trimtab.evaluate.proof import looks_of_trial
from trimtab.evaluate.record import ScoredBatch

GATE = shipped().gate
BOTH = ("old", "new")


def proof(seen: Sequence[ScoredBatch], *, length: int = 10, error: float = 0.1) -> Comparison | None:
    looks = looks_of_trial(seen, "new", "old", GATE, length=length, first=6, error=error)
    return next((each for each in looks if is_better(each, GATE)), None)


def tried(
    count: int, *, gain: float, noise: float = 0.0, seed: int = 0, error: float = 0.1
) -> Comparison | None:
    draw = np.random.default_rng(seed).normal(scale=noise, size=count)
    seen: list[ScoredBatch] = [
        scored(
            number,
            {
                "old": score(0.5 + gain + float(draw[number - 1]), seed=seed * 100 + number, noise=noise),
                "new": score(0.5, seed=seed * 100 + 50 + number, noise=noise),
            },
            candidates=BOTH,
        )
        for number in range(1, count + 1)
    ]
    return proof(seen, error=error)


def test_a_better_recipe_is_proven_at_the_first_look_and_stays_proven() -> None:
    first = tried(6, gain=0.1, noise=0.01)
    assert first is not None and first.batches == 6
    assert tried(7, gain=0.1, noise=0.01) == first


def test_before_the_first_look_nothing_is_decided() -> None:
    assert tried(5, gain=0.1, noise=0.01) is None


def test_a_recipe_that_is_no_better_is_not_proven() -> None:
    assert tried(10, gain=0.0) is None


def test_what_comes_after_the_last_look_changes_nothing() -> None:
    late = [
        scored(each, {"old": 0.8 if each > 10 else 0.5, "new": 0.5}, candidates=BOTH) for each in range(1, 31)
    ]
    assert proof(late) is None
    assert proof(late, length=30) is not None


def test_equal_recipes_are_proven_no_more_often_than_the_stated_error() -> None:
    proven = sum(tried(10, gain=0.0, noise=0.05, seed=seed) is not None for seed in range(300))
    assert proven <= 39  # 97.5 % quantile of a binomial distribution with 300 and .1 is 40
