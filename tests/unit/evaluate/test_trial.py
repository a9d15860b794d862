import numpy as np

from tests.support.builders import shipped
from tests.support.scored import score, scored
from trimtab.evaluate.record import ScoredBatch
from trimtab.evaluate.trial import Trial, trial

GATE = shipped().gate
BOTH = ("old", "new")


def tried(count: int, *, gain: float, noise: float = 0.0, seed: int = 0, error: float = 0.1) -> Trial:
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
    return trial(seen, candidate="new", leader="old", gate=GATE, length=10, first=6, error=error)


def test_a_better_recipe_is_proven_at_the_first_look() -> None:
    outcome = tried(6, gain=0.1, noise=0.01)
    assert (outcome.kind, outcome.batches) == ("PROVEN", 6)


def test_before_the_first_look_nothing_is_decided() -> None:
    assert tried(5, gain=0.1, noise=0.01) == Trial(kind="RUNNING", batches=5, comparison=None)


def test_a_recipe_that_is_no_better_leaves_after_the_last_look() -> None:
    assert tried(9, gain=0.0).kind == "RUNNING"
    assert tried(10, gain=0.0).kind == "OVER"


def test_what_comes_after_the_last_look_changes_nothing() -> None:
    assert tried(30, gain=-0.01).kind == "OVER"


def test_equal_recipes_are_proven_no_more_often_than_the_stated_error() -> None:
    proven = sum(tried(10, gain=0.0, noise=0.05, seed=seed).kind == "PROVEN" for seed in range(300))
    assert proven <= 39  # 97.5 % quantile of a binomial distribution with 300 and .1 is 40
