"""The record, the tenures, the leader and the shadows, from the facts of an in-memory ledger."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.builders import MONDAY, shipped
from tests.support.ledger import batch
from tests.support.scored import score
from trimtab.contracts import BatchRef, Evaluation, Examined, Fit, Fitted, Score, Training
from trimtab.evaluate.alarms import NEWEST
from trimtab.ledger import (
    Ledger,
    Measurement,
    Shadow,
    Snapshot,
    Transition,
    TransitionEnd,
    TransitionKind,
    Version,
)
from trimtab.trigger.policy import Tenure
from trimtab.trigger.standing import Standing, leader_after, newest_shadows, record_of, standing

PARAMS = shipped()
EXAMINED = Examined(milliseconds_per_row=0.1, megabytes=1.0)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger("sqlite://", "demand")
    ledger.migrate()
    return ledger


def end(week: int):
    return MONDAY + timedelta(weeks=week + 1)


def measurement(
    week: int,
    losses: Mapping[str, float | Score],
    *,
    revision: int = 1,
    shadows: Mapping[str, str] | None = None,
    leader: str = "all",
    decision: str | None = None,
) -> Measurement:
    return Measurement(
        batch=f"W{week:02}",
        revision=revision,
        scores={
            model: loss if isinstance(loss, Score) else score(loss, seed=100 * week + place)
            for place, (model, loss) in enumerate(losses.items())
        },
        champion=None,
        shadows=shadows or {},
        leader=leader,
        decision=decision,
        event_time=end(week),
    )


def shadow(
    week: int, *, candidate: str = "all", attempt: int = 1, revision: int = 1, fails: bool = False
) -> Shadow:
    """The model `all-3` is that of candidate `all` through the batch of week 3."""
    return Shadow(
        candidate=candidate,
        batch=f"W{week:02}",
        revision=revision,
        training=(
            None if fails else training(f"{candidate}-{week}{'' if revision == 1 else f'r{revision}'}", week)
        ),
        examined=None if fails else EXAMINED,
        error="out of memory" if fails else None,
        attempt=attempt,
        event_time=end(week),
    )


def training(run_id: str, week: int) -> Training:
    return Training(
        run_id=run_id, source="s", digest="d", trained_through=end(week), rows=10, batches=(), seconds=1.0
    )


def moves(
    ledger: Ledger, version: str, kind: TransitionKind, week: int, *, replaces: str | None = None
) -> None:
    """Move a version to Production after a batch; its model is `model-VERSION`."""
    transition = Transition(
        key=f"{kind}:{version}:{week}",
        kind=kind,
        version=version,
        to_stage="Production",
        replaces=replaces,
        actor="test",
        reason="test",
        evidence_sha256=None,
        event_time=end(week),
    )
    ledger.append(
        Version(version=version, candidate="all", training=training(f"model-{version}", week)),
        transition,
        TransitionEnd(key=transition.key, outcome="done"),
    )


def measured(ledger: Ledger, *weeks: int) -> None:
    for week in weeks:
        ledger.append(batch(week), measurement(week, {"baseline": 0.6}))


def now(ledger: Ledger) -> Standing:
    return standing(ledger, PARAMS)


def test_an_empty_ledger_has_no_record_and_the_first_candidate_leads(ledger: Ledger) -> None:
    assert now(ledger) == Standing(record=[], tenures=[], leading="all", shadows={})


def test_a_scored_batch_has_its_scores_shadows_and_newest_models(ledger: Ledger) -> None:
    fact = measurement(3, {"all-2": 0.5, "baseline": 0.6}, shadows={"all": "all-2"})
    fact = replace(fact, champion="all-0")
    ledger.append(batch(3), shadow(3), shadow(3, candidate="newest 8", fails=True), fact)
    (scored,) = now(ledger).record
    assert (scored.batch, scored.shadows, scored.newest) == ("W03", {"all": "all-2"}, {"all": "all-3"})
    assert (scored.scores, scored.examined, scored.champion) == (fact.scores, {"all": EXAMINED}, "all-0")


def test_batches_stand_in_the_order_of_their_time_and_not_of_their_measurement(ledger: Ledger) -> None:
    measured(ledger, 1, 3, 2)
    assert [each.batch for each in now(ledger).record] == ["W01", "W02", "W03"]


def test_a_newer_revision_replaces_the_scores_of_the_older_one(ledger: Ledger) -> None:
    ledger.append(
        batch(1),
        batch(1, revision=2),
        measurement(1, {"old": 0.5, "both": 0.5}),
        measurement(1, {"both": 0.4}, revision=2),
    )
    (scored,) = now(ledger).record
    assert list(scored.scores) == ["both"]
    assert scored.scores["both"].loss == pytest.approx(0.4)


def test_a_revision_that_was_not_measured_yet_changes_nothing(ledger: Ledger) -> None:
    ledger.append(batch(1), measurement(1, {"model": 0.5}), batch(1, revision=2))
    assert list(now(ledger).record[0].scores) == ["model"]


def test_what_a_person_had_measured_is_added_to_the_batch(ledger: Ledger) -> None:
    ledger.append(
        batch(1),
        measurement(1, {"all-0": 0.5}, shadows={"all": "all-0"}),
        measurement(1, {"newest 3-0": 0.4}, shadows={"newest 3": "newest 3-0"}, decision="demand-1"),
    )
    (scored,) = now(ledger).record
    assert scored.shadows == {"all": "all-0", "newest 3": "newest 3-0"}
    assert list(scored.scores) == ["all-0", "newest 3-0"]


@pytest.mark.parametrize("kind", ["promote", "force"])
def test_only_a_promotion_has_a_former_champion(ledger: Ledger, kind: TransitionKind) -> None:
    measured(ledger, 0, 1)
    moves(ledger, "1", "promote", 1)
    measured(ledger, 2, 3)
    moves(ledger, "2", kind, 3, replaces="1")
    measured(ledger, 4)
    moves(ledger, "1", "rollback", 4, replaces="2")
    assert now(ledger).tenures == [
        Tenure(model="model-1", since=2),
        Tenure(model="model-2", since=4, former="model-1"),
        Tenure(model="model-1", since=5, kind="rollback"),
    ]


def test_what_was_restored_by_hand_never_left(ledger: Ledger) -> None:
    measured(ledger, 0, 1)
    moves(ledger, "1", "promote", 1)
    measured(ledger, 2)
    moves(ledger, "1", "restore", 2)
    assert now(ledger).tenures == [Tenure(model="model-1", since=2)]
    moves(ledger, "2", "adopt", 2, replaces="1")
    assert now(ledger).tenures[1:] == [Tenure(model="model-2", since=3)]


def test_late_labels_of_an_older_batch_are_no_evidence_since_the_deployment(ledger: Ledger) -> None:
    measured(ledger, 1, 2)
    moves(ledger, "1", "promote", 2)
    measured(ledger, 3, 0)
    (tenure,) = now(ledger).tenures
    assert [each.batch for each in now(ledger).record[tenure.since :]] == ["W03"]


def test_a_later_revision_of_a_batch_does_not_make_it_younger_than_the_deployment(ledger: Ledger) -> None:
    measured(ledger, 0, 1)
    moves(ledger, "1", "promote", 1)
    ledger.append(batch(1, revision=2), measurement(1, {"baseline": 0.5}, revision=2))
    assert now(ledger).tenures == [Tenure(model="model-1", since=2)]


def test_a_failed_attempt_that_a_success_followed_leaves_the_model(ledger: Ledger) -> None:
    ledger.append(batch(1), measurement(1, {}), shadow(1, fails=True))
    assert (now(ledger).shadows, now(ledger).record[0].newest) == ({}, {})
    ledger.append(shadow(1, attempt=2))
    assert now(ledger).shadows == {"all": shadow(1, attempt=2)}
    assert now(ledger).record[0].newest == {"all": "all-1"}


def test_the_newest_model_is_that_of_the_latest_batch_and_its_newest_revision(ledger: Ledger) -> None:
    ledger.append(*map(batch, (1, 2)), shadow(2), shadow(1), shadow(1, candidate="newest 8"))
    assert {name: each.batch for name, each in now(ledger).shadows.items()} == {
        "all": "W02",
        "newest 8": "W01",
    }
    ledger.append(shadow(2, revision=2))
    assert now(ledger).shadows["all"].revision == 2
    assert newest_shadows(ledger, [batch(1)])["all"].batch == "W01"


def test_the_newest_measurement_says_who_leads(ledger: Ledger) -> None:
    ledger.append(batch(1), batch(2), measurement(2, {}, leader="newest 8"))
    assert now(ledger).leading == "newest 8"
    ledger.append(measurement(1, {}, leader="all"))  # late labels
    assert now(ledger).leading == "all"


def raced(week: int, all_: float, newest: float, leader: str = "all") -> Measurement:
    shadows = {"all": f"all-{week - 1}", "newest 8": f"newest 8-{week - 1}"}
    losses = {shadows["all"]: all_, shadows["newest 8"]: newest}
    return measurement(week, losses, shadows=shadows, leader=leader)


def test_the_lead_changes_with_the_measurement_that_proves_it_and_then_stays(ledger: Ledger) -> None:
    ledger.append(*map(batch, range(1, 4)), raced(1, 0.5, 0.4))
    assert leader_after(ledger, raced(2, 0.5, 0.5), PARAMS) == "all"
    assert leader_after(ledger, raced(2, 0.5, 0.4), PARAMS) == "newest 8"
    ledger.append(raced(2, 0.5, 0.4, leader="newest 8"))
    assert leader_after(ledger, raced(3, 0.5, 0.5), PARAMS) == "newest 8"


def test_of_a_long_history_only_what_the_policy_and_the_alarms_look_at_is_read(ledger: Ledger) -> None:
    measured(ledger, *range(60))
    assert len(now(ledger).record) == NEWEST + 1
    moves(ledger, "1", "promote", 59)
    measured(ledger, 60, 61, 62)
    late = now(ledger)
    assert (len(late.record), late.record[-1].batch) == (NEWEST + 1, "W62")
    assert len(late.record) - late.tenures[0].since == 3
    measured(ledger, *range(63, 75))
    assert len(now(ledger).record) == 34


def test_late_revisions_of_old_batches_push_no_new_batch_out_of_the_record(ledger: Ledger) -> None:
    measured(ledger, *range(20))
    before = now(ledger).record
    for week in range(20):
        ledger.append(
            batch(0, revision=week + 2),
            measurement(0, {"baseline": 0.6}, revision=week + 2, leader="newest 8"),
        )
    assert (now(ledger).record, now(ledger).leading) == (before, "newest 8")


def test_late_revisions_of_old_batches_push_no_new_batch_out_of_the_race(ledger: Ledger) -> None:
    ledger.append(*map(batch, range(4)), raced(1, 0.5, 0.4), raced(2, 0.5, 0.4))
    for revision in range(2, 20):
        ledger.append(batch(0, revision=revision), measurement(0, {"baseline": 0.6}, revision=revision))
    assert leader_after(ledger, raced(3, 0.5, 0.4), PARAMS) == "newest 8"


def test_a_snapshot_sees_the_same_as_the_ledger(ledger: Ledger) -> None:
    ledger.append(batch(1), measurement(1, {"all-0": 0.5}, shadows={"all": "all-0"}), shadow(1))
    moves(ledger, "1", "promote", 1)
    assert standing(Snapshot(ledger), PARAMS) == now(ledger)


REFS = [BatchRef(batch=name, revision=1) for name in ("a", "b", "c")]


def fitted(through: str, *, fails: bool = False) -> Fitted:
    fit = Fit(candidate="all", through=through, window=None)
    return Fitted(fit=fit, training=None if fails else training(f"all-{through}", 1))


def test_a_model_is_the_shadow_on_the_batch_after_the_one_that_it_was_fitted_through() -> None:
    evaluation = Evaluation(
        scores={"b": {"all-a": score(0.5)}, "c": {"all-b": score(0.5)}}, examined={"all-c": EXAMINED}
    )
    earlier, last = record_of(
        evaluation, [fitted("a"), fitted("b"), fitted("c")], [ref.batch for ref in REFS]
    )
    assert (earlier.shadows, earlier.newest, earlier.examined) == ({"all": "all-a"}, {"all": "all-b"}, {})
    assert (last.shadows, last.newest, last.examined) == (
        {"all": "all-b"},
        {"all": "all-c"},
        {"all": EXAMINED},
    )


def test_a_fit_that_failed_is_no_shadow() -> None:
    evaluation = Evaluation(scores={"c": {"baseline": score(0.5)}}, examined={})
    (last,) = record_of(evaluation, [fitted("b", fails=True), fitted("c")], [ref.batch for ref in REFS])
    assert (last.shadows, last.newest) == ({}, {"all": "all-c"})


def test_before_the_first_scores_the_newest_batch_has_its_models_only() -> None:
    (only,) = record_of(Evaluation(scores={}, examined={}), [fitted("c")], [ref.batch for ref in REFS])
    assert (only.batch, only.scores, only.shadows, only.newest) == ("c", {}, {}, {"all": "all-c"})
