from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import shipped
from tests.support.scored import record, score, scored
from trimtab.contracts import Source
from trimtab.evaluate.record import Record, ScoredBatch
from trimtab.trigger.policy import PolicyDecision, Tenure, challenge, decide, never_decide

PARAMS = shipped()
SERVING = [Tenure(model="champion", since=0)]


def decided(seen: Record, tenures: Sequence[Tenure] = SERVING, source: Source = "schedule") -> PolicyDecision:
    return decide(seen, tenures, "all", PARAMS, source)


def test_the_first_model_is_deployed_once_it_is_better_than_the_baseline() -> None:
    first = decided(record(2, baseline=0.6, all=0.5), [])
    assert (first.action, first.due, first.evidence.target) == ("DEPLOY", "first", "all-3")
    assert first.reason.startswith("first model: it loses 0.1000 log_loss less per row than the baseline")


def test_a_first_model_that_is_no_better_waits_and_says_what_can_change_that() -> None:
    waiting = decided(record(2, baseline=0.5, all=0.5), [])
    assert (waiting.action, waiting.due) == ("WAIT", "first")
    assert waiting.evidence.comparison is not None
    assert waiting.reason.endswith(
        "more labelled batches, better features or another estimator can change that"
    )


def test_without_evidence_the_first_model_waits_and_no_bound_is_named() -> None:
    waiting = decided([], [])
    assert waiting.action == "WAIT"
    assert "at most unknown (0 of at least 7 blocks)" in waiting.reason


def test_a_champion_with_little_regret_stays() -> None:
    stays = decided(record(3, champion=0.501, all=0.5))
    assert (stays.action, stays.due, stays.evidence.age, stays.evidence.leader) == ("SKIP", None, 3, "all")
    assert stays.reason == "regret +0.6% (limit 3.0%), age 3 of 8 batches"


def test_regret_asks_for_a_deployment() -> None:
    due = decided(record(2, champion=0.51, all=0.5))
    assert (due.action, due.due, due.evidence.target) == ("DEPLOY", "regret", "all-3")
    assert due.evidence.comparison is not None and due.evidence.checks
    assert (
        "the champion has lost 4.0% of a batch's loss more than a fresh model (+0.0200 over 2 batches)"
        in due.reason
    )


def test_age_asks_for_a_deployment() -> None:
    assert decided(record(7, champion=0.5, all=0.5)).action == "SKIP"
    old = decided(record(8, champion=0.5, all=0.5))
    assert (old.action, old.due) == ("DEPLOY", "age")


@pytest.mark.parametrize(
    ("champion", "source", "action"),
    [
        (0.501, "schedule", "SKIP"),
        (0.501, "alert", "DEPLOY"),
        (0.501, "drift", "DEPLOY"),
        (0.4999, "alert", "SKIP"),
        (0.4999, "ui", "DEPLOY"),
        (0.4, "ui", "SKIP"),
    ],
    ids=[
        "a batch needs regret",
        "an alert needs any",
        "drift too",
        "but some",
        "a person none",
        "but the guard holds",
    ],
)
def test_what_is_enough_depends_on_who_asks(champion: float, source: Source, action: str) -> None:
    decision = decided(record(3, champion=champion, all=0.5), source=source)
    assert (decision.action, decision.due) == (action, None)


def test_after_a_deployment_regret_age_and_evidence_start_again() -> None:
    seen = [*record(8, champion=0.6, all=0.5), *record(1, first=9, all=0.5)]
    renewed = decided(seen, [*SERVING, Tenure(model="all-9", since=8, former="champion")])
    assert (renewed.action, renewed.evidence.age) == ("SKIP", 1)
    assert renewed.evidence.regret is not None and renewed.evidence.regret.by_batch == ()


def test_the_guard_stops_an_old_champion_from_being_replaced_by_a_worse_one() -> None:
    stopped = decided(record(8, champion=0.45, all=0.5))
    assert (stopped.action, stopped.due) == ("SKIP", "age")
    assert "worse beyond doubt" in stopped.reason


def test_the_guard_waits_for_evidence() -> None:
    few = scored(1, {"champion": score(0.6, blocks=3), "all": score(0.5, blocks=3)})
    waiting = decided([few], source="ui")
    assert waiting.action == "WAIT"
    assert "3 blocks of evidence since the last deployment, gate.min_blocks is 7" in waiting.reason


@pytest.mark.parametrize("newest", [{}, {"all": "champion"}], ids=["failed training", "the champion itself"])
def test_without_a_newer_model_it_waits(newest: dict[str, str]) -> None:
    last = replace(scored(3, {"champion": 0.6, "all": 0.5}), newest=newest)
    waiting = decided([*record(2, champion=0.6, all=0.5), last])
    assert (waiting.action, waiting.reason.rpartition("; ")[2]) == ("WAIT", "no newer model of all is there")


WATCHED = [Tenure(model="former", since=0), Tenure(model="champion", since=0, former="former")]


def test_a_champion_that_is_worse_than_the_former_one_is_rolled_back() -> None:
    back = decided(record(3, champion=0.6, former=0.5, all=0.6), WATCHED)
    assert (back.action, back.due, back.evidence.target) == ("ROLLBACK", "watch", "former")
    assert "the new champion loses 0.1000 log_loss more per row than the one before it" in back.reason


def test_after_a_rollback_a_deployment_needs_proof_even_if_a_person_asks() -> None:
    restored = [*WATCHED, Tenure(model="former", since=3, kind="rollback")]
    equal = [*record(3, former=0.5, all=0.5), *record(8, first=4, former=0.5, all=0.5)]
    assert decided(equal, restored).action == "WAIT"
    assert decided(equal, restored, "ui").action == "WAIT"
    assert "no proof since the rollback that a fresh model is better" in decided(equal, restored).reason
    better = [*record(3, former=0.5, all=0.5), *record(3, first=4, former=0.6, all=0.5)]
    assert decided(better, restored).action == "DEPLOY"


def test_a_proof_from_before_the_rollback_does_not_count() -> None:
    restored = [*WATCHED, Tenure(model="former", since=8, kind="rollback")]
    seen = [*record(8, former=0.9, all=0.5), *record(8, first=9, former=0.5, all=0.5)]
    assert decided(seen, restored).action == "WAIT"


@pytest.mark.parametrize(("batches", "action"), [(8, "ASK"), (13, "ROLLBACK")])
def test_a_second_rollback_soon_after_the_first_is_left_to_a_person(batches: int, action: str) -> None:
    again = [
        *WATCHED,
        Tenure(model="former", since=3, kind="rollback"),
        Tenure(model="champion", since=batches - 3, former="former"),
    ]
    decision = decided(record(batches, former=0.5, champion=0.6, all=0.6), again)
    assert (decision.action, decision.evidence.target) == (action, "former")


BOTH = ("all", "newest 3")


def raced(count: int, chosen: float) -> list[ScoredBatch]:
    losses = {"champion": 0.5, "all": 0.5, "newest 3": chosen}
    return [scored(number, losses, candidates=BOTH) for number in range(1, count + 1)]


def test_a_chosen_candidate_is_deployed_only_with_proof_that_it_is_better_than_the_leader() -> None:
    better = challenge(raced(3, 0.4), SERVING, "newest 3", "all", PARAMS)
    assert (better.action, better.evidence.target) == ("DEPLOY", "newest 3-4")
    equal = challenge(raced(3, 0.5), SERVING, "newest 3", "all", PARAMS)
    assert equal.action == "SKIP"
    assert equal.reason.startswith("no proof that newest 3 is better than all, which leads: its log_loss ")
    unscored = challenge(record(3, champion=0.5, all=0.5), SERVING, "newest 3", "all", PARAMS)
    assert "at most unknown" in unscored.reason


def test_a_chosen_candidate_that_leads_needs_the_guard_only() -> None:
    assert challenge(raced(3, 0.5), SERVING, "all", "all", PARAMS).action == "DEPLOY"
    assert challenge(record(3, champion=0.4, all=0.5), SERVING, "all", "all", PARAMS).action == "SKIP"


@given(
    gaps=st.lists(st.floats(0.02, 1.0), min_size=1, max_size=12),
    source=st.sampled_from(["schedule", "alert", "ui"]),
    kind=st.sampled_from(["deployment", "rollback"]),
)
def test_no_one_gets_a_model_deployed_that_is_worse_beyond_doubt(gaps, source, kind) -> None:
    seen = [scored(number, {"champion": 0.5, "all": 0.5 + gap}) for number, gap in enumerate(gaps, 1)]
    assert decided(seen, [Tenure(model="champion", since=0, kind=kind)], source).action != "DEPLOY"


@settings(max_examples=5)
@given(gap=st.floats(0.01, 0.3), seed=st.integers(0, 9))
def test_a_recipe_that_is_always_worse_is_deployed_and_rolled_back_once(gap: float, seed: int) -> None:
    """In a year of weekly batches; its models tie with the good one in the first weeks, so that one is deployed."""
    tenures = [Tenure(model="good", since=0)]
    seen: list[ScoredBatch] = []
    for number in range(1, 54):
        worse = 0.5 + (gap if number > 8 else 0.0)
        bad = {f"all-{through}": worse for through in range(1, number)}
        losses = {"good": 0.5, "all": worse, "baseline": 0.9, **bad}
        seen.append(
            scored(
                number,
                {
                    name: score(loss, seed=10000 * seed + 100 * number + place)
                    for place, (name, loss) in enumerate(losses.items())
                },
            )
        )
        outcome = decided(seen, tenures)
        target = str(outcome.evidence.target)
        if outcome.action == "DEPLOY":
            tenures.append(Tenure(model=target, since=number, former=tenures[-1].model))
        elif outcome.action == "ROLLBACK":
            tenures.append(Tenure(model=target, since=number, kind="rollback"))
    assert [tenure.kind for tenure in tenures[1:]] == ["deployment", "rollback"]


def test_batches_with_too_few_blocks_never_decide() -> None:
    def batches(*blocks: int) -> Record:
        return [scored(number, {"all": score(0.5, blocks=each)}) for number, each in enumerate(blocks)]

    assert never_decide([], shipped()) is None
    assert never_decide(batches(1, 2, 1), shipped()) is None
    assert never_decide(batches(1, 1), shipped()) == (
        "the batches have at most 1 block of time each, so these never have the 7 of gate.min_blocks: the guard (6 batches), "
        "race.batches (6 batches), watch.batches (4 batches). Lower gate.min_blocks or gate.block_hours, or cut longer batches"
    )
    tenures = [Tenure(model="champion", since=0)]
    losses = {name: score(loss, blocks=1) for name, loss in {"champion": 0.6, "all": 0.5}.items()}
    seen = [scored(number, losses) for number in range(1, 30)]
    assert decided(seen, tenures).action == "WAIT"
