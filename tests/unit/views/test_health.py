"""What the Model health page shows of a year in a real ledger."""

from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.contracts import sha256
from trimtab.evaluate.alarms import Alarms
from trimtab.ledger import Answer, Ledger
from trimtab.ledger.state import action_of
from trimtab.views.health import read
from trimtab.views.page.view import Health, MeasuredBatch, Quality


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return year.written(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def health(ledger: Ledger) -> Health:
    return read(ledger, shipped(), 53)


def batch_of(health: Health, week: int) -> MeasuredBatch:
    (batch,) = [each for each in health.batches if each.manifest.batch == year.name(week)]
    return batch


def quality_of(health: Health, week: int) -> Quality:
    quality = batch_of(health, week).quality
    assert quality is not None
    return quality


def test_an_empty_ledger_is_an_empty_page(tmp_path: Path) -> None:
    health = read(year.written(tmp_path, 0), shipped(), 53)
    assert (health.batches, health.champion, health.challenger, health.event_now) == ((), None, None, None)
    assert (health.decisions, health.waiting, health.questions, health.tenures) == ((), (), (), ())
    assert (health.race.candidates, health.all_orders, health.quarantine) == ((), [], {})


def test_the_champion_comes_with_its_training_and_the_answer_that_deployed_it(health: Health) -> None:
    champion = health.champion
    assert champion is not None and champion.answer is not None
    version, training = champion.version, champion.version.training
    assert (version.candidate, training.rows, training.trained_through) == ("newest 8", 48_000, year.end(44))
    assert (champion.answer.version, champion.answer.action) == (version.version, "DEPLOY")
    assert champion.answer.evidence.target == training.run_id


def test_every_tenure_in_production_says_how_it_began_and_leads_to_its_evidence(health: Health) -> None:
    hows = [tenure.how for tenure in health.tenures]
    assert hows == [*["deployed"] * 5, "rolled back", *["deployed"] * 2]
    before, bad, back = [tenure.version for tenure in health.tenures[3:6]]
    assert back == before != bad
    begins = [tenure.begin for tenure in health.tenures]
    assert [tenure.end for tenure in health.tenures] == [*begins[1:], None]
    for tenure in health.tenures:
        assert sha256(tenure.answer.evidence) == tenure.transition.evidence_sha256


def test_a_rollback_can_go_to_a_version_that_was_live_and_is_not_blocked(health: Health) -> None:
    served = list(dict.fromkeys(tenure.version for tenure in reversed(health.tenures)))
    (blocked,) = health.orders.blocked
    assert blocked == health.tenures[4].version
    assert list(health.former) == [each for each in served[1:] if each != blocked]


def test_the_challenger_is_the_version_in_staging(health: Health) -> None:
    assert health.challenger is not None
    assert health.challenger.version.training.trained_through == year.end(year.LAST)


def test_each_candidate_has_its_newest_model_its_loss_and_why_the_latest_fit_failed(health: Health) -> None:
    every, short = health.race.candidates
    assert [(each.name, each.leads) for each in health.race.candidates] == [
        ("all", False),
        ("newest 8", True),
    ]
    assert (every.shadow.batch, short.shadow.batch) == (year.name(year.LAST - 1), year.name(year.LAST))
    assert every.error.startswith("MemoryError")
    assert short.error is None
    newest = quality_of(health, year.LAST)
    assert short.score == newest.fresh
    assert every.score.loss > short.score.loss


def test_a_fit_that_was_made_up_for_is_no_error(tmp_path: Path) -> None:
    health = read(year.written(tmp_path, year.FAILED_FIT + 2), shipped(), 53)
    assert [each.error for each in health.race.candidates] == [None, None]


def test_the_batches_before_the_first_models_have_no_quality(health: Health) -> None:
    assert [batch.quality for batch in health.batches[: year.FIRST]] == [None] * year.FIRST
    assert quality_of(health, year.FIRST).measurement.scores == {}
    first = quality_of(health, year.FIRST + 1)
    assert (first.version, first.score, first.fresh is not None) == (None, None, True)


def test_the_loss_of_the_champion_is_beside_that_of_a_fresh_model(health: Health) -> None:
    quality = quality_of(health, 22)
    low, high = quality.bounds
    assert low < quality.score.loss < high
    assert quality.version == health.tenures[1].version
    assert quality.fresh.loss > quality.score.loss  # in the weeks in which fresh models are worse


def test_the_regret_is_the_one_that_the_policy_decided_by(ledger: Ledger, health: Health) -> None:
    answers = [each for each in ledger.all(Answer) if each.evidence and each.evidence.regret]
    assert len(answers) >= 5
    for answer in answers:
        week = int((answer.event_time - year.BEGIN) / year.WEEK) - 1
        regret = quality_of(health, week).regret
        assert regret.by_batch == answer.evidence.regret.by_batch
        assert regret.share == pytest.approx(answer.evidence.regret.share)


def test_regret_begins_anew_with_each_champion(health: Health) -> None:
    for tenure in health.tenures:
        first = next(each for each in health.qualities if each.measurement.event_time > tenure.begin)
        assert first.version == tenure.version
        assert len(first.regret.by_batch) <= 1


def test_a_champion_is_stale_in_the_weeks_in_which_models_age_fast(health: Health) -> None:
    firing = {each.measurement.batch: each.alarms.firing for each in health.qualities if each.alarms.firing}
    assert {batch: list(alarms) for batch, alarms in firing.items()} == {year.name(29): ["stale model"]}
    quality = quality_of(health, 29)
    stale = quality.alarms.stale
    assert stale.value == pytest.approx(quality.score.loss - quality.fresh.loss)
    assert stale.value > stale.limit
    assert (
        stale.earlier == 18
    )  # of the 24 batches before it, three were the first of a champion, and three before the first


def test_the_limit_of_a_batch_does_not_depend_on_how_many_are_shown(ledger: Ledger, health: Health) -> None:
    short = read(ledger, shipped(), 13)
    assert short.qualities[-1].alarms.hard.earlier == 25  # of 26 batches, on one the fresh model has no score
    assert short.qualities[-1].alarms == health.qualities[-1].alarms


def test_a_champion_that_was_replaced_is_stale_no_more(tmp_path: Path) -> None:
    written = year.played(tmp_path, 29)
    written.ingest(29)
    written.measure(29)
    assert list(read(written.ledger, shipped(), 53).firing) == ["stale model"]
    written.assess(29)
    replaced = read(written.ledger, shipped(), 53)
    assert list(replaced.qualities[-1].alarms.firing) == ["stale model"]
    assert replaced.firing == {}


def test_a_batch_without_enough_labels_says_so(health: Health) -> None:
    batch = batch_of(health, 40)
    assert batch.quality is None
    assert batch.unmeasured.endswith("rows have a label, data.min_label_coverage is 0.5")
    assert batch.observation is not None


def test_late_labels_show_the_newest_revision(health: Health) -> None:
    assert quality_of(health, 38).measurement.revision == 2
    assert batch_of(health, 38).manifest.revision == 2


def test_a_revision_that_was_superseded_has_no_regret(tmp_path: Path) -> None:
    written = year.played(tmp_path, 12)
    written.ingest(10, revision=2)
    written.measure(10, revision=2)
    health = read(written.ledger, shipped(), 53)
    old, new = [each for each in health.qualities if each.measurement.batch == year.name(10)]
    assert (old.measurement.revision, old.regret, old.alarms) == (1, None, Alarms())
    assert (new.measurement.revision, len(new.regret.by_batch)) == (2, 2)
    assert quality_of(health, 10) == new


def test_a_model_without_a_score_says_why(health: Health) -> None:
    quality = quality_of(health, year.NOT_SCORED)
    assert quality.failed == {"the shadow of newest 8": "ValueError: the predictions hold 3 NaN"}
    assert quality.fresh is None


def test_each_decision_is_there_once_with_its_request(health: Health) -> None:
    assert [
        (each.request.source, "FAILED" if each.failed else action_of(each.decision))
        for each in health.decisions
    ] == [
        ("first", "WAIT"),
        ("first", "WAIT"),
        ("first", "DEPLOY"),
        ("ui", "SKIP"),
        ("age", "FAILED"),
        ("age", "DEPLOY"),
        ("age", "SKIP"),
        ("age", "DEPLOY"),
        ("regret", "DEPLOY"),
        ("regret", "DEPLOY"),
        ("watch", "ROLLBACK"),
        ("regret", "WAIT"),
        ("regret", "DEPLOY"),
        ("age", "DEPLOY"),
        ("ui", "DEPLOY"),
        ("alert", "WAIT"),
    ]
    stopped = health.decisions[6].decision
    assert "the fresh models are worse beyond doubt" in stopped.reason


def test_a_question_waits_for_a_person(health: Health) -> None:
    (asking,) = health.questions
    assert asking.run == health.decisions[-2].decision
    assert asking.question == health.decisions[-2].question
    assert asking.run.request not in [each.request.key for each in health.waiting]


@pytest.mark.parametrize(("outcome", "said"), [("failed", "has failed"), ("lost", "was lost")])
def test_a_run_that_came_to_no_conclusion_says_so_and_its_request_waits_again(
    tmp_path: Path, outcome: str, said: str
) -> None:
    written = year.played(tmp_path, 13)
    request = written.ask(12, "ui", "a new feature")
    run = written.start_run(12, request)
    assert not read(written.ledger, shipped(), 53).decisions[-1].failed
    other = written.ask(12, "alert", "the loss is high")
    written.wait(12, other, f"a run is in flight, held by {run.holder}")
    written.end_run(12, run, outcome, "No module named 'lightgbm'")
    health = read(written.ledger, shipped(), 53)
    decided = next(each for each in health.decisions if each.request == request)
    assert (decided.failed, decided.waits, decided.why) == (True, True, "No module named 'lightgbm'")
    assert [(each.request.key, each.why) for each in health.waiting] == [
        (request.key, f"run {run.key} {said}: No module named 'lightgbm'"),
        (other.key, f"a run is in flight, held by {run.holder}. Since then, run {run.key} {said}"),
    ]


def test_a_request_that_the_arbiter_has_not_looked_at_waits_without_a_reason(tmp_path: Path) -> None:
    written = year.played(tmp_path, 10)
    written.ask(9, "alert", "the loss is high")
    assert [each.why for each in read(written.ledger, shipped(), 53).waiting] == [None]


def test_a_request_waits_with_a_reason(health: Health) -> None:
    (waiting,) = health.waiting
    assert (waiting.request.source, waiting.why) == (
        "alert",
        "paused by eve: the holidays are no time to move models",
    )


def test_orders_in_force_and_quarantine_are_there(health: Health) -> None:
    assert [order.verb for order in health.all_orders] == ["pause", "block"]
    assert list(health.quarantine) == ["2025-W53-1"]


def test_fewer_batches_leave_older_decisions_out_and_show_all_open_matters(
    ledger: Ledger, health: Health
) -> None:
    few = read(ledger, shipped(), 4)
    assert [batch.manifest.batch for batch in few.batches] == [year.name(week) for week in (48, 49, 50, 51)]
    assert few.qualities == health.qualities[-4:]
    assert [action_of(each.decision) for each in few.decisions] == ["DEPLOY", "WAIT"]
    assert few.tenures == health.tenures[-1:]
    assert (few.champion, few.former) == (health.champion, health.former)
    assert len(few.waiting) == len(few.questions) == len(few.quarantine) == 1
