from tests.support.builders import shipped
from tests.support.scored import record
from trimtab.evaluate.proof import better, worse_than_former
from trimtab.evaluate.record import BASELINE

GATE = shipped().gate


def test_a_first_model_needs_two_batches_and_a_gain_beyond_doubt() -> None:
    assert better(record(1, baseline=0.6, all=0.5), "all", BASELINE, GATE) is None
    assert better(record(2, baseline=0.5, all=0.5), "all", BASELINE, GATE) is None
    assert better(record(2, baseline=0.6, all=0.5), "all", BASELINE, GATE) is not None


def test_a_fresh_model_is_better_than_a_champion_only_with_proof() -> None:
    assert better(record(3, champion=0.6, all=0.5), "all", "champion", GATE) is not None
    assert better(record(3, champion=0.5, all=0.5), "all", "champion", GATE) is None


def watched(count: int, **losses: float) -> bool:
    worse = worse_than_former(record(count, **losses), "champion", "former", GATE, batches=4, error=0.05)
    return worse is not None


def test_a_new_champion_that_is_worse_beyond_doubt_is_found() -> None:
    assert watched(4, champion=0.55, former=0.5)
    assert not watched(4, champion=0.5, former=0.5)
    assert not watched(4, champion=0.5, former=0.55)


def test_the_watch_ends() -> None:
    assert not watched(5, champion=0.9, former=0.5)
    assert not watched(0, champion=0.9, former=0.5)


def test_the_first_look_spends_little_of_the_error() -> None:
    first, all_four = record(1, champion=0.6, former=0.5), record(4, champion=0.6, former=0.5)
    errors = [
        compared.error
        for seen in (first, all_four)
        if (compared := worse_than_former(seen, "champion", "former", GATE, batches=4, error=0.05))
    ]
    assert errors[-1] > 0.02
    assert len(errors) == 1 or errors[0] < 0.001
