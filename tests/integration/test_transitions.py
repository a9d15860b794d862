"""A stage transition killed between any two of its writes is finished by `reconcile`."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.support.mlflow_template import empty_mlflow
from trimtab.contracts import BatchRecord, BatchRef, Manifest, Order, Stage, Training
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import Transition
from trimtab.registry import reconcile as reconciling
from trimtab.registry import transitions
from trimtab.registry.mlflow_store import Store

MODEL = "demand"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WRITES = ("intend", "set_stage", "set_alias", "complete")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Ledger, Store]]:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    yield ledger, Store(empty_mlflow(tmp_path / "mlflow.db"))


def register(ledger: Ledger, store: Store, run_key: str) -> str:
    import mlflow

    run = mlflow.MlflowClient(store.uri).create_run(experiment_id="0")
    version = store.register(
        MODEL, run.info.run_id, f"runs:/{run.info.run_id}/model", {"trimtab.run_key": run_key}
    )
    training = Training(
        run_id=run.info.run_id,
        source=f"runs:/{run.info.run_id}/model",
        digest="ab",
        rows=1,
        batches=(BatchRef(batch="W1", revision=1),),
        trained_through=NOON,
        reference_losses={},
        seconds=1.0,
    )
    ledger.record_version(MODEL, version=version, run_key=run_key, training=training, event_time=NOON)
    return version


def to(version: str, stage: Stage, *, step: str = "") -> Transition:
    return Transition(
        model=MODEL,
        key=f"{version}:{stage}:{step}",
        version=version,
        to_stage=stage,
        replaces=None,
        actor="test",
        reason="test",
        evidence_sha256=None,
        event_time=NOON,
    )


def reconcile(ledger: Ledger, store: Store, policy: str = "ask") -> reconciling.Repairs:
    return reconciling.reconcile(ledger, store, MODEL, foreign_change=policy)


def close(ledger: Ledger, version: str, run_key: str) -> None:
    ledger.record_judgement(
        MODEL, run_key=run_key, version=version, state="PROMOTE", reason="better", event_time=NOON
    )


def promote_first(ledger: Ledger, store: Store) -> None:
    version = register(ledger, store, "run-1")
    transitions.move(ledger, store, to(version, "Staging"))
    close(ledger, version, "run-1")
    transitions.move(ledger, store, to(version, "Production"))


def mortal(ledger: Ledger, store: Store, transition: Transition, last_write: str, *, before: bool) -> None:
    """Move, and die at the named write: before it, or right after."""
    for owner in (ledger, store):
        real = getattr(owner, last_write, None)
        if real is None:
            continue

        def deadly(*args: object, _real: object = real, **kwargs: object) -> None:
            if before:
                os.kill(os.getpid(), signal.SIGKILL)
            _real(*args, **kwargs)  # type: ignore[operator]  # a bound method
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, last_write, deadly)
    transitions.move(ledger, store, transition)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_a_promotion_killed_at_a_write_is_finished_or_never_began(
    stores: tuple[Ledger, Store], write: str, before: bool
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    version = register(ledger, store, "run-2")
    transitions.move(ledger, store, to(version, "Staging"))
    promotion = to(version, "Production")
    with ledger.write():
        close(ledger, version, "run-2")
        if write != "intend":
            ledger.intend(promotion)

    child = multiprocessing.get_context("fork").Process(
        target=mortal,
        args=(Ledger(ledger.url), Store(store.uri), promotion, write),
        kwargs={"before": before},
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL

    reconcile(ledger, store)
    transitions.move(ledger, store, promotion)  # what clearing the task does
    assert store.stages(MODEL) == {"1": "Archived", "2": "Production"}
    assert store.aliases(MODEL) == {"champion": "2"}
    assert ledger.unfinished(MODEL) == []
    assert reconcile(ledger, store).foreign is None


def on_signal(url: str, uri: str, transition: Transition, ready: Connection) -> None:
    ledger, store = Ledger(url), Store(uri)
    store.stages(MODEL)
    ledger.transitions(MODEL)
    ready.send(True)
    transitions.move(ledger, store, transition)
    ready.send(True)
    ready.recv()


def test_100_transitions_killed_at_random_leave_one_in_production_and_all_in_agreement(
    stores: tuple[Ledger, Store],
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    close(ledger, register(ledger, store, "run-2"), "run-2")
    began = time.monotonic()
    transitions.move(ledger, store, to("2", "Production"))
    takes, draw, halfway = time.monotonic() - began, random.Random(7), 0
    for number in range(100):
        other = "1" if store.in_stage(MODEL, "Production") == ["2"] else "2"
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(
            target=on_signal,
            args=(ledger.url, store.uri, to(other, "Production", step=str(number)), theirs),
        )
        child.start()
        ours.recv()
        time.sleep(draw.uniform(0, takes))
        child.kill()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL

        halfway += len(reconcile(ledger, store, "restore").finished)
        (serving,) = store.in_stage(MODEL, "Production")
        last = [one.transition.version for one in ledger.transitions(MODEL) if one.phase == "done"][-1]
        assert store.aliases(MODEL) == {"champion": serving}
        assert last == serving
        assert ledger.unfinished(MODEL) == []
    assert halfway > 10, "hardly a kill came between the intent and the end"


def test_a_judgement_is_ended_with_the_stage_or_not_at_all(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store, "run-1")
    transitions.move(ledger, store, to(version, "Staging"))
    transitions.close(ledger, store, to(version, "Archived"), "SUPERSEDED")
    judged = ledger.judgement_of(MODEL, "run-1")
    assert (judged.version, judged.state, judged.reason, judged.event_time) == (
        version,
        "SUPERSEDED",
        "test",
        NOON,
    )
    assert store.stages(MODEL) == {version: "Archived"}
    assert store.aliases(MODEL) == {}
    assert ledger.unfinished(MODEL) == []
    assert [one.phase for one in ledger.transitions(MODEL)] == ["intent", "done"] * 2


def test_what_trimtab_did_not_register_has_no_judgement_to_end(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    store.register(MODEL, "0" * 32, "runs:/x/model", {})
    transitions.close(ledger, store, to("1", "Archived"), "ABANDONED")
    assert store.stages(MODEL) == {"1": "Archived"}
    assert ledger.judgements(MODEL) == []


def test_a_version_in_staging_without_a_judgement_is_archived(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store, "run-1")
    store.set_stage(MODEL, version, "Staging", archive=False)
    close(ledger, version, "run-1")
    assert reconcile(ledger, store).archived == (version,)
    assert store.stages(MODEL) == {version: "Archived"}
    archival = ledger.transitions(MODEL)[-1].transition
    assert (archival.to_stage, archival.actor) == ("Archived", "reconcile")
    assert archival.reason == "it was in Staging without an open judgement"


def test_what_reconcile_does_is_dated_by_the_newest_batch(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    manifest = Manifest(
        model=MODEL,
        batch="W2",
        revision=1,
        start=NOON,
        end=NOON + timedelta(days=7),
        partial=False,
        rows=1,
        labelled=1,
        bad_rows=0,
        unseen={},
        source_sha256="ab",
    )
    ledger.record_batch(BatchRecord(manifest=manifest, commit="c", md5="m"))
    by_hand(ledger, store)
    adopted = reconcile(ledger, store, "adopt").foreign
    assert adopted is not None and adopted.moved is not None
    assert adopted.moved.event_time == manifest.end
    stray = register(ledger, store, "run-3")
    store.set_stage(MODEL, stray, "Staging", archive=False)
    close(ledger, stray, "run-3")
    reconcile(ledger, store)
    assert ledger.transitions(MODEL)[-1].transition.event_time == manifest.end


def test_reconcile_alone_finishes_an_intent(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store, "run-1")
    close(ledger, version, "run-1")
    promotion = to(version, "Production")
    ledger.intend(promotion)
    assert reconcile(ledger, store).finished == (promotion.key,)
    assert store.stages(MODEL) == {version: "Production"}
    assert store.aliases(MODEL) == {"champion": version}
    assert ledger.unfinished(MODEL) == []


def test_a_version_under_judgement_stays_in_staging(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store, "run-1")
    transitions.move(ledger, store, to(version, "Staging"))
    assert reconcile(ledger, store).archived == ()
    assert store.aliases(MODEL) == {"challenger": version}


def by_hand(ledger: Ledger, store: Store) -> str:
    """Promote version 1 properly and 2 in MLflow's page."""
    promote_first(ledger, store)
    other = register(ledger, store, "run-2")
    close(ledger, other, "run-2")
    store.set_stage(MODEL, other, "Production", archive=True)
    return other


def test_a_stage_moved_by_hand_is_named(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    other = by_hand(ledger, store)
    foreign = reconcile(ledger, store).foreign
    assert foreign == reconciling.Foreign(expected="1", found=(other,), moved=None)
    assert store.stages(MODEL) == {"1": "Archived", "2": "Production"}


def test_a_stage_moved_by_hand_is_restored(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    by_hand(ledger, store)
    foreign = reconcile(ledger, store, "restore").foreign
    assert foreign is not None and foreign.moved is not None
    assert (foreign.moved.version, foreign.moved.replaces, foreign.moved.actor) == ("1", "2", "reconcile")
    assert foreign.moved.reason == "by hand, outside trimtab: in Production stood 2"
    assert store.stages(MODEL) == {"1": "Production", "2": "Archived"}
    assert store.aliases(MODEL) == {"champion": "1"}
    assert foreign.moved.key.startswith("restore:1:")
    assert reconcile(ledger, store, "restore").foreign is None
    assert ledger.promoted_at(MODEL, "1") == NOON


def test_production_emptied_by_hand_is_filled_again_but_never_with_what_is_blocked(
    stores: tuple[Ledger, Store],
) -> None:
    ledger, store = stores
    assert reconcile(ledger, store, "restore").foreign is None  # nothing was there, nothing is missing
    promote_first(ledger, store)
    second = register(ledger, store, "run-2")
    close(ledger, second, "run-2")
    transitions.move(ledger, store, to(second, "Production"))
    given = Order(model=MODEL, verb="block", version=second, actor="eve", reason="odd", event_time=None)
    ledger.record_order(given)
    store.set_stage(MODEL, second, "Archived", archive=False)
    foreign = reconcile(ledger, store, "restore").foreign
    assert foreign is not None and foreign.moved is not None
    assert (foreign.found, foreign.moved.version) == ((), "1")
    assert foreign.moved.reason == "by hand, outside trimtab: in Production stood no version"


def test_a_version_that_nobody_promoted_is_named_and_cannot_be_undone(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store, "run-1")
    close(ledger, version, "run-1")
    store.set_stage(MODEL, version, "Production", archive=True)
    assert reconcile(ledger, store, "restore").foreign == reconciling.Foreign(
        expected="none", found=(version,), moved=None
    )
    adopted = reconcile(ledger, store, "adopt").foreign
    assert adopted is not None and adopted.moved is not None
    assert adopted.moved.key.startswith("adopt:1:")


def test_nothing_is_called_foreign_while_a_transition_is_open(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    other = by_hand(ledger, store)
    ledger.intend(to(other, "Archived"))
    assert reconciling._foreign(ledger, store, MODEL, "restore") is None


def test_a_promotion_that_another_process_ends_meanwhile_is_not_called_foreign(
    stores: tuple[Ledger, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store, "run-2")
    close(ledger, other, "run-2")
    promotion = to(other, "Production")
    ledger.intend(promotion)
    stages = store.stages

    def outrun(model: str) -> dict[str, Stage]:
        monkeypatch.setattr(store, "stages", stages)
        before = stages(model)
        transitions.finish(ledger, store, promotion)
        return before

    monkeypatch.setattr(store, "stages", outrun)
    assert reconciling._foreign(ledger, store, MODEL, "restore") is None
    assert store.in_stage(MODEL, "Production") == [other]


def test_only_a_finished_move_to_production_says_who_serves(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store, "run-2")
    transitions.move(ledger, store, to(other, "Staging"))
    close(ledger, other, "run-2")
    transitions.move(ledger, store, to(other, "Archived"))
    assert reconcile(ledger, store).foreign is None
    assert store.stages(MODEL) == {"1": "Production", "2": "Archived"}


def test_a_known_version_moved_by_hand_is_adopted(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    by_hand(ledger, store)
    foreign = reconcile(ledger, store, "adopt").foreign
    assert foreign is not None and foreign.moved is not None and foreign.moved.version == "2"
    assert store.stages(MODEL) == {"1": "Archived", "2": "Production"}
    assert reconcile(ledger, store, "adopt").foreign is None
    assert not foreign.moved.promotes


def test_an_unknown_or_blocked_version_is_never_adopted(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    store.register(MODEL, "0" * 32, "runs:/x/model", {})
    store.set_stage(MODEL, "2", "Production", archive=True)
    assert reconcile(ledger, store, "adopt").foreign is not None
    assert store.in_stage(MODEL, "Production") == ["1"]
    other = register(ledger, store, "run-2")
    close(ledger, other, "run-2")
    given = Order(model=MODEL, verb="block", version=other, actor="eve", reason="odd", event_time=None)
    ledger.record_order(given)
    store.set_stage(MODEL, other, "Production", archive=True)
    reconcile(ledger, store, "adopt")
    assert store.in_stage(MODEL, "Production") == ["1"]


def test_two_in_production_become_the_one_that_the_ledger_put_there(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store, "run-2")
    close(ledger, other, "run-2")
    store.set_stage(MODEL, other, "Production", archive=False)
    foreign = reconcile(ledger, store, "restore").foreign
    assert foreign is not None and foreign.moved is not None
    assert foreign.found == ("1", "2")
    assert foreign.moved.reason == "by hand, outside trimtab: in Production stood 1, 2"
    assert store.in_stage(MODEL, "Production") == ["1"]


def test_a_deleted_champion_gives_way_to_the_one_before_it(stores: tuple[Ledger, Store]) -> None:
    import mlflow

    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store, "run-2")
    close(ledger, second, "run-2")
    transitions.move(ledger, store, to(second, "Production"))
    client = mlflow.MlflowClient(store.uri)
    client.transition_model_version_stage(MODEL, second, "Archived")
    client.delete_model_version(MODEL, second)
    foreign = reconcile(ledger, store, "restore").foreign
    assert (foreign.expected, foreign.found, foreign.moved.version) == ("2", (), "1")
    assert store.in_stage(MODEL, "Production") == ["1"]
    assert reconcile(ledger, store, "restore").foreign is None


def test_a_transition_on_its_way_is_no_foreign_change(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store, "run-2")
    real = store.stages

    def stages(model: str) -> dict[str, Stage]:
        """Another process promotes between our reading the ledger and the stages."""
        store.stages = real
        close(ledger, other, "run-2")
        transitions.move(ledger, store, to(other, "Production"))
        return real(model)

    store.stages = stages
    assert reconciling._foreign(ledger, store, MODEL, "restore") is None
    assert store.in_stage(MODEL, "Production") == [other]


def test_aliases_moved_by_hand_are_repaired(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    store.set_alias(MODEL, "champion", None)
    assert reconcile(ledger, store).aliases == ("champion",)
    assert store.aliases(MODEL) == {"champion": "1"}


def test_the_same_transition_twice_happens_once(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    transitions.move(ledger, store, to("1", "Production"))
    phases = [record.phase for record in ledger.transitions(MODEL)]
    assert phases == ["intent", "done", "intent", "done"]
