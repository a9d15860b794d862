import pytest

from tests.support.scored import record, scored
from trimtab.evaluate.regret import loss_at_stake, regret


def test_regret_is_what_the_champion_lost_more_than_the_fresh_models() -> None:
    seen = record(3, champion=0.52, all=0.5)
    loss = regret(seen, seen, champion="champion", leader="all")
    assert loss.total == pytest.approx(0.06)
    assert loss.share == pytest.approx(0.12)


def test_a_champion_that_is_better_has_a_negative_regret() -> None:
    seen = record(2, champion=0.4, all=0.5)
    assert regret(seen, seen, champion="champion", leader="all").total == pytest.approx(-0.2)


def test_only_batches_since_the_deployment_count() -> None:
    seen = record(4, champion=0.6, all=0.5)
    assert len(regret(seen, seen[3:], champion="champion", leader="all").by_batch) == 1


def test_the_first_batch_after_a_deployment_adds_nothing() -> None:
    seen = record(2, all=0.5)
    assert regret(seen, seen[1:], champion="all-2", leader="all").by_batch == ()


def test_one_batch_does_not_say_what_is_at_stake() -> None:
    seen = record(1, champion=0.6, all=0.5)
    assert regret(seen, seen, champion="champion", leader="all").share == 0.0


def test_only_the_newest_eight_batches_say_what_is_at_stake() -> None:
    assert loss_at_stake([*record(5, all=9.0), *record(8, first=6, all=0.5)], "all") == pytest.approx(0.5)


def test_with_rare_labels_the_gain_over_the_baseline_is_at_stake() -> None:
    assert loss_at_stake(record(3, baseline=0.9, all=0.2), "all") == pytest.approx(0.7)
    assert loss_at_stake(record(3, baseline=0.21, all=0.2), "all") == pytest.approx(0.2)
    assert loss_at_stake(
        [scored(1, {"all": 0.2}), *record(2, first=2, baseline=0.9, all=0.2)], "all"
    ) == pytest.approx(0.7)
