import pytest

from tests.support.builders import shipped
from tests.support.scored import record, score, scored
from trimtab.evaluate.guard import Guarded, guard
from trimtab.evaluate.record import Record

GATE = shipped().gate


def judged(since: Record) -> Guarded:
    return guard(since, champion="champion", leader="all", gate=GATE)


def test_a_refit_that_is_no_worse_needs_no_proof() -> None:
    assert judged(record(4, champion=0.5, all=0.5)).kind == "DEPLOY"
    assert judged(record(4, champion=0.5, all=0.501)).kind == "DEPLOY"


def test_a_refit_that_is_worse_beyond_doubt_is_stopped_however_little_worse() -> None:
    guarded = judged(record(6, champion=0.5, all=0.52))
    assert guarded.kind == "REJECT"
    assert guarded.reason.startswith("the fresh models are worse beyond doubt: they lose at least 0.01")


@pytest.mark.parametrize(
    ("loss", "difference"), [(0.49, "0.0100 log_loss less"), (0.501, "0.0010 log_loss more")]
)
def test_the_reason_says_how_much_the_fresh_models_gain_or_lose(loss: float, difference: str) -> None:
    reason = judged(record(4, champion=0.5, all=loss)).reason
    assert reason == f"the fresh models lose {difference} per row (28 blocks)"


def test_a_refit_with_the_same_losses_is_deployed() -> None:
    same = [scored(number, {"champion": score(0.5), "all": score(0.5)}) for number in (1, 2)]
    assert judged(same).reason == "the fresh models lose 0.0000 log_loss less per row (14 blocks)"


def test_only_the_newest_batches_are_evidence() -> None:
    since = [*record(9, champion=0.5, all=0.6), *record(6, first=10, champion=0.5, all=0.49)]
    assert judged(since).kind == "DEPLOY"


def test_without_evidence_it_waits() -> None:
    assert judged([]).kind == "WAIT"
    assert judged([scored(1, {"champion": score(0.5, blocks=3), "all": score(0.5, blocks=3)})]).kind == "WAIT"


def test_a_model_far_from_the_one_before_waits_for_exactly_one_batch() -> None:
    usual = record(4, champion=0.5, all=0.5)
    far = [*usual, scored(5, {"champion": 0.5, "all": 0.5}, distance=0.3)]
    assert judged(far).kind == "WAIT"
    assert "0.30 away" in judged(far).reason
    assert judged([*far, *record(1, first=6, champion=0.5, all=0.5)]).kind == "DEPLOY"
    assert judged([*far, scored(6, {"champion": 0.5, "all": 0.5}, distance=0.3)]).kind == "DEPLOY"


def test_after_a_jump_only_what_came_after_it_is_evidence() -> None:
    usual = record(5, champion=0.5, all=0.45)
    jump = scored(6, {"champion": 0.5, "all": 0.45}, distance=0.3)
    bad = scored(7, {"champion": 0.5, "all": 0.55})
    assert judged([*usual, bad]).kind == "DEPLOY"
    assert judged([*usual, jump, bad]).kind == "REJECT"


def test_the_usual_distance_is_that_of_the_batches_before_the_deployment_too() -> None:
    wide = [scored(number, {"champion": 0.5, "all": 0.5}, distance=0.2) for number in range(1, 5)]
    since = [scored(5, {"champion": 0.5, "all": 0.5}, distance=0.3)]
    assert guard(since, champion="champion", leader="all", gate=GATE, earlier=wide).kind == "DEPLOY"
    narrow = record(4, champion=0.5, all=0.5)
    assert guard(since, champion="champion", leader="all", gate=GATE, earlier=narrow).kind == "WAIT"


def test_models_that_always_move_far_are_not_held_up() -> None:
    far = [scored(number, {"champion": 0.5, "all": 0.5}, distance=0.3) for number in range(1, 6)]
    assert judged(far).kind == "DEPLOY"


def test_a_model_that_fails_a_check_is_stopped_and_the_reason_is_its_sentence() -> None:
    since = [
        scored(number, {"champion": 0.5, "all": score(0.5, invalid=1)}, fault="it fails") for number in (1, 2)
    ]
    stopped = judged(since)
    assert stopped.kind == "REJECT"
    assert stopped.reason == "2 of 1400 predictions are no probability or no finite number; it fails"


def test_only_the_newest_model_is_examined() -> None:
    broken = scored(1, {"champion": 0.5, "all": 0.5}, fault="it fails")
    assert judged([broken, *record(2, first=2, champion=0.5, all=0.5)]).kind == "DEPLOY"


def test_a_model_worse_than_a_constant_may_replace_a_champion_that_is_worse_still() -> None:
    assert judged(record(3, champion=0.9, all=0.8, baseline=0.7)).kind == "DEPLOY"
