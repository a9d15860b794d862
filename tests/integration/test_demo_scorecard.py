"""The demo's scorecard of a real loop: models are loaded from MLflow and scored on what the loop has measured."""

import pytest

from examples.flights.scorecard import _scorer, scorecard
from tests.support.playground import monitored, opened, take_in, weeks
from trimtab.ledger import Measurement
from trimtab.loop.loop import Loop


def test_the_scorecard_of_a_loop_scores_as_the_loop_does(led: Loop) -> None:
    for week in (4, 5):
        take_in(led, [week])
        monitored(f"monitor-{week}")
    loop = opened()
    newest = loop.ledger.all(Measurement)[-1]
    ours, schedule, every, never = scorecard(loop)

    score = _scorer(loop)
    assert {name: score(newest.batch, name) for name in newest.shadows.values()} == {
        name: newest.scores[name] for name in newest.shadows.values()
    }
    assert [each.batch for each in ours.weeks] == [week.batch for week in weeks()[4:6]]
    champion = newest.scores[newest.champion]
    assert (ours.weeks[-1].loss, ours.weeks[-1].auc) == (champion.loss, champion.auc)
    assert every.weeks[-1].loss == newest.scores[newest.shadows["all"]].loss
    # Without a second deployment, the loop and the schedule keep the first model.
    assert ours.weeks == never.weeks == schedule.weeks
    assert ours.row.deployments == 0 and ours.row.difference == pytest.approx(0)
