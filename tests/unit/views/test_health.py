"""What the Model health page shows of a year in a real ledger."""

from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.ledger.ledger import Ledger
from trimtab.views.health import read
from trimtab.views.page.view import Health


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return year.written(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def seen(ledger: Ledger) -> Health:
    return read(ledger, shipped(), 53)


def of(seen: Health, week: int):
    return next(one for one in seen.batches if one.batch == year.name(week))


def test_an_empty_ledger_is_an_empty_page(tmp_path: Path) -> None:
    seen = read(year.written(tmp_path, 0), shipped(), 53)
    assert (seen.batches, seen.champion, seen.challenger, seen.event_now) == ((), None, None, None)
    assert (seen.answers, seen.waiting, seen.reigns, seen.orders, dict(seen.quarantine)) == (
        (),
        (),
        (),
        (),
        {},
    )


def test_the_champion_comes_with_all_that_it_was_made_of(seen: Health) -> None:
    champion = seen.champion
    assert champion is not None
    assert (champion.version, champion.refit_of, champion.rows) == ("13", "12", 282_000)
    assert (champion.batches[0], champion.batches[-1]) == ("2025-W01", "2025-W47")
    assert champion.commit == year.digest("commit 46")[:40]
    assert champion.digest == year.digest("model 13")
    assert champion.trained_through == year.end(46)
    assert (champion.state, champion.evidence) == ("PROMOTE", seen.reigns[-1].evidence)


def test_the_challenger_is_the_version_with_looks_left(seen: Health) -> None:
    assert seen.challenger is not None
    assert (seen.challenger.version, seen.challenger.state) == ("14", "HOLD")


def test_every_stay_in_production_is_told_from_the_others(seen: Health) -> None:
    assert [(one.version, one.moved) for one in seen.reigns] == [
        ("2", "promoted"),
        ("4", "promoted"),
        ("7", "promoted"),
        ("9", "promoted"),
        ("11", "promoted"),
        ("9", "rolled back"),
        ("13", "promoted"),
    ]
    assert [one.end for one in seen.reigns] == [*(one.begin for one in seen.reigns[1:]), None]


def test_a_rollback_can_go_to_what_was_live_and_is_not_blocked(seen: Health) -> None:
    assert seen.former == ("9", "7", "4", "2")
    assert list(seen.standing.blocked) == ["11"]


def test_the_batches_of_the_first_training_are_not_measured(seen: Health) -> None:
    assert [one.measured for one in seen.batches[: year.START]] == [None] * year.START
    assert all(one.measured for one in seen.batches[year.START :])


def test_a_loss_comes_with_bounds_the_reference_and_the_alarm(seen: Health) -> None:
    one = of(seen, 20).measured
    assert one.lower < one.loss < one.upper
    assert one.alarm == pytest.approx(one.mean + 3 * 0.011)
    assert one.concept_drift is (one.loss > one.alarm)


def test_without_labels_a_batch_abstains_and_has_no_loss(seen: Health) -> None:
    batch = of(seen, 40)
    assert (batch.labelled, batch.measured.loss, batch.measured.concept_drift) == (0, None, False)
    assert batch.measured.abstained == "0 labelled rows, drift.concept.min_labels is 500"


def test_late_labels_show_the_newest_revision_and_keep_the_one_before(seen: Health) -> None:
    batch = of(seen, 38)
    assert (batch.revision, batch.measured.revision) == (2, 2)
    assert batch.measured.loss is not None
    both = [one for one in seen.measured if one.batch == batch.batch]
    assert [(one.revision, one.loss is None) for one in both] == [(1, True), (2, False)]


def test_a_decision_comes_with_what_became_of_its_run(seen: Health, ledger: Ledger) -> None:
    assert [(one.action, one.judged.state if one.judged else None) for one in seen.answers] == [
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "PROMOTE"),
        ("SKIP", None),
        ("RETRAIN", "REJECT"),
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "PROMOTE"),
        ("ROLLBACK", None),
        ("RETRAIN", "PROMOTE"),
        ("RETRAIN", "HOLD"),
        ("WAIT", None),
    ]
    judged = seen.answers[-2].judged
    assert (judged.version, judged.run_id) == ("14", year.digest("run 14")[:32])
    assert ledger.evidence(seen.model, judged.evidence).kind == "HOLD"
    assert ledger.evidence(seen.model, "0" * 64) is None


def test_a_request_waits_with_a_reason(seen: Health) -> None:
    (one,) = seen.waiting
    assert (one.source, one.why) == ("age", "paused by eve: the holidays are no time to move models")


def test_orders_in_force_and_quarantine_are_there(seen: Health) -> None:
    assert [(one.order.verb, one.order.version) for one in seen.orders] == [("pause", None), ("block", "11")]
    assert list(seen.quarantine) == ["2025-W53-1"]


def test_fewer_batches_leave_older_decisions_out_and_keep_what_is_open(ledger: Ledger) -> None:
    few = read(ledger, shipped(), 4)
    assert [one.batch for one in few.batches] == [year.name(week) for week in (48, 49, 50, 51)]
    assert [one.action for one in few.answers] == ["RETRAIN", "WAIT"]
    assert [one.version for one in few.reigns] == ["13"]
    assert few.former == ("9", "7", "4", "2")
    assert len(few.waiting) == len(few.quarantine) == 1
