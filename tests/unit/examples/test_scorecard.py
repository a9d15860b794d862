"""What the loop served beside never, a schedule and every batch."""

import pytest

from examples.flights.records import Line
from examples.flights.scorecard import _Scores, compare
from tests.support.scored import score
from trimtab.evaluate.record import ScoredBatch
from trimtab.trigger.policy import Tenure

BEGIN = 2


def world(count: int, *, turn: int) -> list[ScoredBatch]:
    """A model loses .5, and from batch `turn` on .7 unless it was fitted through such a batch; it is named after its batch."""

    def scored(number: int) -> ScoredBatch:
        def loss(model: str) -> float:
            return 0.7 if number >= turn and int(model) < turn else 0.5

        return ScoredBatch(
            batch=f"W{number:02}",
            scores=_Scores({}, lambda model: score(loss(model))),
            shadows={},
            newest={"all": str(number), "newest 8": "no such model"},
        )

    return [scored(number) for number in range(count)]


def played(*since: int, turn: int = 6, count: int = 12) -> dict[str, Line]:
    """The lines of a loop that deployed the newest model after these numbers of batches."""
    tenures = [Tenure(model=str(number - 1), since=number) for number in (BEGIN, *since)]
    lines = compare(world(count, turn=turn), tenures, "all", lambda _: None)
    return dict(zip(("ours", "schedule", "every", "never"), lines, strict=True))


def test_each_policy_is_scored_on_every_batch_since_the_first_deployment() -> None:
    lines = played(8)
    assert {tuple(each.batch for each in line.weeks) for line in lines.values()} == {
        tuple(f"W{number:02}" for number in range(BEGIN, 12))
    }


def test_what_the_loop_served_is_what_it_lost() -> None:
    ours = played(8)["ours"]
    assert [round(each.loss, 6) for each in ours.weeks] == [0.5] * 4 + [0.7] * 2 + [0.5] * 4
    assert ours.row.loss == pytest.approx(0.54)


def test_never_keeps_the_first_model_and_every_batch_lags_by_one() -> None:
    lines = played(8)
    assert [round(each.loss, 6) for each in lines["never"].weeks] == [0.5] * 4 + [0.7] * 6
    assert [round(each.loss, 6) for each in lines["every"].weeks] == [0.5] * 4 + [0.7] + [0.5] * 5


def test_the_schedule_deploys_as_often_at_equal_distances() -> None:
    schedule = played(8)["schedule"]
    assert schedule.row.deployments == 1
    # The only deployment comes in the middle, after batch 7, the second of the new world.
    assert [round(each.loss, 6) for each in schedule.weeks] == [0.5] * 4 + [0.7] + [0.5] * 5


def test_a_later_deployment_than_the_schedule_loses_more_and_has_an_error() -> None:
    row = played(8)["ours"].row
    assert row.difference == pytest.approx(0.2 / 10)
    assert row.error > 0


def test_a_model_is_scored_only_once_and_only_when_it_was_not_measured() -> None:
    asked = []

    def compute(model: str):
        asked.append(model)
        return score(0.6)

    scores = _Scores({"measured": score(0.5)}, compute)
    assert [round(scores[name].loss, 6) for name in ("measured", "other", "other")] == [0.5, 0.6, 0.6]
    assert asked == ["other"]
