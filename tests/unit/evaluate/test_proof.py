from tests.support.builders import shipped
from tests.support.scored import record
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better
from trimtab.evaluate.proof import with_other, worse_than_former
from trimtab.evaluate.record import BASELINE

GATE = shipped().gate


def test_a_fresh_model_is_compared_with_another_on_all_batches() -> None:
    compared = with_other(record(3, baseline=0.6, all=0.5), "all", BASELINE, GATE)
    assert (compared.batches, compared.error) == (3, GATE.error)
    assert 0.09 < compared.gain < 0.11


def test_it_is_better_only_beyond_doubt_and_on_two_batches() -> None:
    def better(count: int, **losses: float) -> bool:
        return is_better(with_other(record(count, **losses), "all", "champion", GATE), GATE)

    assert better(2, champion=0.6, all=0.5)
    assert not better(2, champion=0.5, all=0.5)
    assert not better(1, champion=0.6, all=0.5)
    assert not better(0)


def watched(count: int, champion: float, former: float) -> Comparison | None:
    seen = record(count, champion=champion, former=former)
    return worse_than_former(seen, "champion", "former", GATE, batches=4, error=0.05)


def test_a_new_champion_that_is_worse_beyond_doubt_is_found() -> None:
    worse = watched(4, champion=0.55, former=0.5)
    assert worse is not None and 0.04 < worse.gain < 0.06
    assert watched(4, champion=0.5, former=0.5) is None
    assert watched(4, champion=0.5, former=0.55) is None


def test_the_watch_ends() -> None:
    assert watched(4, champion=0.9, former=0.5) is not None
    assert watched(5, champion=0.9, former=0.5) is None
    assert watched(0, champion=0.9, former=0.5) is None


def test_a_long_watch_proves_nothing_at_its_first_looks() -> None:
    seen = record(1, champion=0.5, former=0.5)
    assert worse_than_former(seen, "champion", "former", GATE, batches=400, error=0.05) is None


def test_the_first_look_spends_little_of_the_error() -> None:
    first, last = watched(1, champion=5.0, former=0.5), watched(4, champion=5.0, former=0.5)
    assert first is not None and last is not None
    assert first.error < 0.001 < 0.02 < last.error


def test_equal_champions_are_rolled_back_no_more_often_than_the_stated_error() -> None:
    rolled_back = sum(any(watched_equal(seed, count) for count in range(1, 5)) for seed in range(200))
    assert rolled_back <= 16  # 97.5 % quantile of a binomial distribution with 200 and .05


def watched_equal(seed: int, count: int) -> Comparison | None:
    seen = record(count, first=1 + 10 * seed, champion=0.5, former=0.5)
    return worse_than_former(seen, "champion", "former", GATE, batches=4, error=0.05)
