from collections.abc import Sequence

from tests.support.builders import shipped
from tests.support.scored import scored
from trimtab.evaluate.race import lead, leaders, next_leader
from trimtab.evaluate.record import ScoredBatch
from trimtab.params import Params

BOTH = ("all", "newest 8")


def race(*losses: tuple[float, float], first: int = 1) -> list[ScoredBatch]:
    return [
        scored(number, dict(zip(BOTH, pair, strict=True)), candidates=BOTH)
        for number, pair in enumerate(losses, start=first)
    ]


def racing(*windows: int | str, batches: int = 6) -> Params:
    race = shipped().race.model_copy(update={"batches": batches})
    train = shipped().train.model_copy(update={"windows": list(windows)})
    return shipped().model_copy(update={"race": race, "train": train})


TWO = racing("all", 8)


def leader(record: Sequence[ScoredBatch], params: Params = TWO) -> str:
    return ["all", *leaders(record, params)][-1]


def test_the_first_candidate_leads_until_another_is_better_beyond_doubt() -> None:
    assert leader([]) == "all"
    assert leader(race((0.5, 0.5), (0.5, 0.5))) == "all"
    assert leader(race((0.5, 0.4), (0.5, 0.4))) == "newest 8"


def test_one_batch_decides_nothing() -> None:
    assert leader(race((0.5, 0.1))) == "all"
    assert lead(race((0.5, 0.1)), "newest 8", "all", TWO).lower > 0


def test_a_candidate_that_takes_part_no_longer_gives_the_lead_back_to_the_first() -> None:
    assert next_leader(race((0.5, 0.5)), "newest 8", racing(4, "all")) == "newest 4"


def test_the_lead_stays_until_another_proves_to_be_better() -> None:
    then_equal = race(*[(0.5, 0.4)] * 3, *[(0.5, 0.5)] * 9)
    assert leader(then_equal) == "newest 8"
    assert leader([*then_equal, *race(*[(0.4, 0.5)] * 6, first=13)]) == "all"


def test_only_the_newest_batches_count() -> None:
    old_loss_then_gain = race(*[(0.3, 0.6)] * 9, *[(0.5, 0.494)] * 6)
    assert leader(old_loss_then_gain) == "newest 8"
    assert leader(old_loss_then_gain, racing("all", 8, batches=15)) == "all"


def test_the_newest_two_batches_alone_may_change_the_lead() -> None:
    turned = race(*[(0.4, 0.6)] * 4, *[(0.6, 0.4)] * 2)
    assert leader(turned[:-1]) == "all"
    assert leader(turned) == "newest 8"


def test_a_small_difference_is_proven_by_all_batches_that_count() -> None:
    assert leader(race(*[(0.5, 0.49)] * 2)) == "all"
    assert leader(race(*[(0.5, 0.49)] * 6)) == "newest 8"


def test_the_best_of_several_leads() -> None:
    three = (*BOTH, "newest 4")
    losses = dict(zip(three, (0.5, 0.4, 0.3), strict=True))
    seen = [scored(number, losses, candidates=three) for number in (1, 2, 3)]
    assert leader(seen, racing("all", 8, 4)) == "newest 4"
