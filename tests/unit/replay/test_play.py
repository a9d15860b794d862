import numpy as np
import pytest

from tests.support.builders import shipped
from tests.support.scored import scored
from trimtab.evaluate.record import ScoredBatch
from trimtab.replay.play import Played, play
from trimtab.replay.policies import age_only, equally_often, every, never, trimtab
from trimtab.replay.scorecard import difference_to, newey_west, row

PARAMS = shipped()
ONE = ["all"] * 20
BEGIN = 2


def world(count: int, *, drift: int) -> list[ScoredBatch]:
    """From batch `drift` on, a model loses .5 if it was fitted on a batch of the new world, else .7."""

    def loss(through: int, number: int) -> float:
        return 0.5 if number < drift or through >= drift else 0.7

    return [
        scored(
            number,
            {
                "baseline": 0.69,
                **{f"all-{through + 1}": loss(through, number) for through in range(number - 1)},
                "all": loss(number - 1, number),
            },
        )
        for number in range(1, count + 1)
    ]


RECORD = world(20, drift=7)


def played(name: str = "trimtab") -> Played:
    policies = {
        "trimtab": trimtab(PARAMS, ONE),
        "never": never(ONE),
        "every batch": every(ONE, 1),
        "age only": age_only(PARAMS, ONE),
    }
    return play(name, policies[name], RECORD, begin=BEGIN)


def test_the_policy_deploys_after_the_drift_and_not_before() -> None:
    tenures = played().tenures
    assert [tenure.since for tenure in tenures] == [2, 8, 16]
    assert tenures[1].model == "all-9"


def test_a_deployed_model_serves_from_the_next_batch_on() -> None:
    assert [played().served(number) for number in (1, 2, 7, 8)] == ["baseline", "all-3", "all-3", "all-9"]


def test_late_labels_delay_what_serves() -> None:
    late = play("late", trimtab(PARAMS, ONE), RECORD, begin=BEGIN, delay=2)
    assert late.served(BEGIN + 1) == "baseline"
    assert late.served(BEGIN + 2) == "all-3"
    assert len(late.decisions) == len(played().decisions) - 2


def test_the_first_model_serves_for_ever_without_retraining() -> None:
    assert {played("never").served(number) for number in range(BEGIN, 20)} == {"all-3"}
    assert played("never").deployments == 0


def test_every_batch_deploys_after_every_batch() -> None:
    assert played("every batch").deployments == 20 - BEGIN


def test_age_alone_deploys_late() -> None:
    assert [tenure.since for tenure in played("age only").tenures] == [2, 10, 18]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_equal_schedule_deploys_as_often(count: int) -> None:
    schedule = play("schedule", equally_often(ONE, count, begin=BEGIN, end=20), RECORD, begin=BEGIN)
    assert schedule.deployments == count


def test_the_scorecard_counts_what_was_lost_deployed_and_wrong() -> None:
    figures = row(
        played(), never=played("never"), always=played("every batch"), schedule=played("age only"), drifts=[6]
    )
    assert (figures.deployments, figures.wrong, figures.rollbacks, figures.reaction) == (2, 0, 0, 2)
    assert figures.gain_kept == pytest.approx(12 / 13)
    assert figures.difference == pytest.approx(-2 * 0.2 / 18)


def test_a_difference_has_the_sign_of_the_loss() -> None:
    worse, error = difference_to(played("never"), played())
    assert worse > 0 and error > 0


def test_a_deployment_is_wrong_if_the_old_model_would_have_lost_less() -> None:
    losses = {
        "baseline": 0.9,
        "all": 0.5,
        "all-3": 0.5,
        **{f"all-{number}": 0.6 - number / 1000 for number in range(4, 12)},
    }
    worse = [scored(number, losses) for number in range(1, 12)]
    assert play("every 3rd", every(ONE, 3), worse, begin=BEGIN).wrong == 1


def test_correlated_values_have_a_larger_standard_error() -> None:
    draw = np.random.default_rng(0)
    steps = draw.normal(size=400)
    correlated = np.convolve(steps, np.ones(4) / 4, mode="valid")
    assert newey_west(correlated) > 1.5 * correlated.std() / len(correlated) ** 0.5
    assert newey_west(steps) == pytest.approx(steps.std() / 20, rel=0.25)
