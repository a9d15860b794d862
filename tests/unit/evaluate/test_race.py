from collections.abc import Sequence

from tests.support.builders import shipped
from tests.support.scored import scored
from trimtab.evaluate.race import Race, lead, leaders, next_leader
from trimtab.evaluate.record import ScoredBatch

GATE = shipped().gate
BOTH = ("all", "newest 8")


def race(*losses: tuple[float, float], first: int = 1) -> list[ScoredBatch]:
    return [
        scored(number, dict(zip(BOTH, pair, strict=True)), candidates=BOTH)
        for number, pair in enumerate(losses, start=first)
    ]


def leader(record: Sequence[ScoredBatch], candidates: Sequence[str] = BOTH, batches: int = 6) -> str:
    return [candidates[0], *leaders(record, Race(candidates=candidates, batches=batches), GATE)][-1]


def test_the_first_candidate_leads_until_another_is_better_beyond_doubt() -> None:
    assert leader([]) == "all"
    assert leader(race((0.5, 0.5), (0.5, 0.5))) == "all"
    assert leader(race((0.5, 0.4), (0.5, 0.4))) == "newest 8"


def test_one_batch_decides_nothing() -> None:
    assert leader(race((0.5, 0.1))) == "all"
    assert lead(race((0.5, 0.1)), "newest 8", "all", Race(candidates=BOTH), GATE).lower > 0


def test_a_candidate_that_takes_part_no_longer_gives_the_lead_back_to_the_first() -> None:
    only_new = Race(candidates=("newest 4", "all"))
    assert next_leader(race((0.5, 0.5)), "newest 8", only_new, GATE) == "newest 4"


def test_the_lead_stays_until_another_proves_to_be_better() -> None:
    then_equal = race(*[(0.5, 0.4)] * 3, *[(0.5, 0.5)] * 9)
    assert leader(then_equal) == "newest 8"
    assert leader([*then_equal, *race(*[(0.4, 0.5)] * 6, first=13)]) == "all"


def test_only_the_newest_batches_count() -> None:
    old_loss_then_gain = race(*[(0.3, 0.6)] * 9, *[(0.5, 0.4)] * 6)
    assert leader(old_loss_then_gain) == "newest 8"
    assert leader(old_loss_then_gain, batches=15) == "all"


def test_the_best_of_several_leads() -> None:
    three = (*BOTH, "newest 4")
    losses = dict(zip(three, (0.5, 0.4, 0.3), strict=True))
    seen = [scored(number, losses, candidates=three) for number in (1, 2, 3)]
    assert leader(seen, three) == "newest 4"
