from collections.abc import Sequence

from tests.support.builders import shipped
from tests.support.scored import record, scored
from trimtab.evaluate.record import Record, ScoredBatch
from trimtab.trigger.policy import PolicyDecision, Rules, Tenure, decide

RULES = Rules(gate=shipped().gate)
SERVING = [Tenure(model="champion", since=0)]


def decided(seen: Record, tenures: Sequence[Tenure] = SERVING) -> PolicyDecision:
    return decide(seen, tenures, "all", RULES)


def test_the_first_model_is_deployed_once_it_is_better_than_the_baseline() -> None:
    waiting = decided(record(2, baseline=0.5, all=0.5), [])
    assert (waiting.action, waiting.target) == ("WAIT", None)
    first = decided(record(2, baseline=0.6, all=0.5), [])
    assert (first.action, first.target) == ("DEPLOY", "all-3")
    assert first.reason.startswith("first model: it loses 0.1000 log_loss less per row than the baseline")


def test_a_champion_with_little_regret_stays() -> None:
    stays = decided(record(3, champion=0.501, all=0.5))
    assert (stays.action, stays.age, stays.leader) == ("SKIP", 3, "all")
    assert stays.reason == "regret +0.6% (limit 3.0%), age 3 of 8 batches"


def test_regret_asks_for_a_deployment() -> None:
    due = decided(record(2, champion=0.51, all=0.5))
    assert (due.action, due.target) == ("DEPLOY", "all-3")
    assert (
        "the champion has lost 4.0% of a batch's loss more than a fresh model (+0.0200 over 2 batches)"
        in due.reason
    )


def test_age_asks_for_a_deployment() -> None:
    assert decided(record(7, champion=0.5, all=0.5)).action == "SKIP"
    assert decided(record(8, champion=0.5, all=0.5)).action == "DEPLOY"


def test_after_a_deployment_regret_and_age_start_anew() -> None:
    seen = [*record(8, champion=0.6, all=0.5), *record(1, first=9, all=0.5)]
    renewed = decided(seen, [*SERVING, Tenure(model="all-9", since=8, former="champion")])
    assert (renewed.action, renewed.age) == ("SKIP", 1)
    assert renewed.regret is not None and renewed.regret.total == 0


def test_the_guard_stops_an_old_champion_from_being_replaced_by_a_worse_one() -> None:
    stopped = decided(record(8, champion=0.45, all=0.5))
    assert stopped.action == "SKIP"
    assert "worse beyond doubt" in stopped.reason


def test_a_training_that_failed_waits_for_the_next_one() -> None:
    untrained = ScoredBatch(
        batch="W03", scores=scored(3, {"champion": 0.6, "all": 0.5}).scores, shadows={"all": "all-3"}
    )
    assert decided([*record(2, champion=0.6, all=0.5), untrained]).action == "WAIT"


WATCHED = [Tenure(model="former", since=0), Tenure(model="champion", since=0, former="former")]


def test_a_champion_that_is_worse_than_the_former_one_is_rolled_back() -> None:
    back = decided(record(3, champion=0.6, former=0.5, all=0.6), WATCHED)
    assert (back.action, back.target) == ("ROLLBACK", "former")
    assert "loses 0.1000 log_loss more per row than former before it" in back.reason


def test_after_a_rollback_the_recipe_is_on_proof() -> None:
    restored = [*WATCHED, Tenure(model="former", since=3, kind="rollback")]
    equal = [*record(3, former=0.5, all=0.5), *record(8, first=4, former=0.5, all=0.5)]
    assert decided(equal, restored).action == "WAIT"
    assert "no proof since the rollback" in decided(equal, restored).reason
    better = [*record(3, former=0.5, all=0.5), *record(3, first=4, former=0.6, all=0.5)]
    assert decided(better, restored).action == "DEPLOY"


def test_a_second_rollback_soon_after_the_first_is_left_to_a_person() -> None:
    again = [
        *WATCHED,
        Tenure(model="former", since=3, kind="rollback"),
        Tenure(model="champion", since=5, former="former"),
    ]
    seen = record(8, former=0.5, champion=0.6, all=0.6)
    assert decided(seen, again).action == "ASK"


def test_a_recipe_that_is_always_worse_is_deployed_and_rolled_back_once() -> None:
    tenures = [Tenure(model="good", since=0)]
    seen: list[ScoredBatch] = []
    for number in range(1, 54):
        bad = {f"all-{through}": 0.55 for through in range(1, number)}
        seen.append(scored(number, {"good": 0.5, "all": 0.55, "baseline": 0.7, **bad}))
        outcome = decided(seen, tenures)
        if outcome.action == "DEPLOY":
            tenures.append(Tenure(model=str(outcome.target), since=number, former=tenures[-1].model))
        elif outcome.action == "ROLLBACK":
            tenures.append(Tenure(model=str(outcome.target), since=number, kind="rollback"))
    assert sum(tenure.kind == "deployment" for tenure in tenures[1:]) <= 1
    assert sum(tenure.kind == "rollback" for tenure in tenures) <= 1
