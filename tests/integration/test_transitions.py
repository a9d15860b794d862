"""A stage transition killed between any two of its writes is finished by `reconcile`."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.integration.predictions.servers import Postgres, running
from tests.support.ledger import batch
from tests.support.mlflow_template import empty_mlflow
from trimtab.contracts import BatchRef, Stage, Training
from trimtab.errors import Conflict, LeaseLost
from trimtab.ledger import (
    Ledger,
    Order,
    Snapshot,
    Transition,
    TransitionEnd,
    TransitionKind,
    Version,
    state,
)
from trimtab.ledger.queries import completed
from trimtab.registry import reconcile as reconciling
from trimtab.registry import transitions
from trimtab.registry.mlflow_store import Store

MODEL = "demand"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WRITES = ("intent", "set_stage", "set_tag", "set_alias", "end")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running(Postgres) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Ledger, Store]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.schema(tmp_path.name).replace("postgresql://", "postgresql+psycopg://")
    ledger = Ledger(url, MODEL)
    ledger.migrate()
    return ledger, Store(empty_mlflow(tmp_path / "mlflow.db"))


def register(ledger: Ledger, store: Store) -> str:
    import mlflow

    run = mlflow.MlflowClient(store.uri).create_run(experiment_id="0")
    version = store.register(MODEL, run.info.run_id, f"runs:/{run.info.run_id}/model", {})
    training = Training(
        run_id=run.info.run_id,
        source=f"runs:/{run.info.run_id}/model",
        digest="ab",
        rows=1,
        batches=(BatchRef(batch="W1", revision=1),),
        trained_through=NOON,
        seconds=1.0,
    )
    ledger.append(Version(version=version, candidate="all", training=training))
    return version


def to(version: str, stage: Stage, *, step: str = "", reason: str = "test") -> Transition:
    kinds: dict[Stage, TransitionKind] = {"Production": "promote", "Staging": "stage"}
    return Transition(
        key=f"{version}:{stage}:{step}",
        kind=kinds.get(stage, "archive"),
        version=version,
        to_stage=stage,
        replaces=None,
        actor="test",
        reason=reason,
        evidence_sha256=None,
        event_time=NOON,
    )


def move(ledger: Ledger, store: Store, transition: Transition) -> None:
    transitions.move(ledger, ledger, store, transition)


def reconcile(ledger: Ledger, store: Store, policy: str = "ask") -> reconciling.Repairs:
    return reconciling.reconcile(ledger, store, foreign_change=policy)


def order(verb: str, version: str) -> Order:
    return Order(verb=verb, version=version, actor="eve", reason="odd", event_time=None)


def unfinished(ledger: Ledger) -> list[Transition]:
    return state.unfinished(ledger.all(Transition), ledger.keys(TransitionEnd))


def foreign(ledger: Ledger, store: Store, policy: str = "restore") -> reconciling.Foreign | None:
    return ledger.decide(lambda facts: reconciling._foreign(facts, ledger, store, policy, unsettled=()))


def promote_first(ledger: Ledger, store: Store) -> None:
    version = register(ledger, store)
    move(ledger, store, to(version, "Staging"))
    move(ledger, store, to(version, "Production"))


def mortal(ledger: Ledger, store: Store, transition: Transition, last_write: str, *, before: bool) -> None:
    """Move, and die at the named write: before it, or right after."""
    owner, name = (store, last_write) if hasattr(store, last_write) else (ledger, "append")
    kinds = {"intent": Transition, "end": TransitionEnd}
    real = getattr(owner, name)

    def deadly(*args: object, **kwargs: object) -> object:
        if owner is ledger and not isinstance(args[0], kinds[last_write]):
            return real(*args, **kwargs)
        if before:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)
    move(ledger, store, transition)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_a_promotion_killed_at_a_write_is_finished_or_never_began(
    stores: tuple[Ledger, Store], write: str, before: bool
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    version = register(ledger, store)
    move(ledger, store, to(version, "Staging"))
    promotion = to(version, "Production", reason="DEPLOY: it is better")
    if write != "intent":
        ledger.append(promotion)

    child = multiprocessing.get_context("fork").Process(
        target=mortal,
        args=(Ledger(ledger.url, MODEL), Store(store.uri), promotion, write),
        kwargs={"before": before},
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL

    reconcile(ledger, store)
    move(ledger, store, promotion)  # what clearing the task does
    assert store.stages(MODEL) == {"1": "Archived", "2": "Production"}
    assert store.aliases(MODEL) == {"champion": "2"}
    assert store.find_by_tag(MODEL, transitions.REASON_TAG, promotion.reason) == ["2"]
    assert unfinished(ledger) == []
    assert reconcile(ledger, store).foreign is None


def on_signal(url: str, uri: str, transition: Transition, ready: Connection) -> None:
    ledger, store = Ledger(url, MODEL), Store(uri)
    store.stages(MODEL)
    ledger.all(Transition)
    ready.send(True)
    move(ledger, store, transition)
    ready.send(True)
    ready.recv()


def test_100_transitions_killed_at_random_leave_one_in_production_and_all_in_agreement(
    stores: tuple[Ledger, Store],
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    register(ledger, store)
    began = time.monotonic()
    move(ledger, store, to("2", "Production"))
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
        last = completed(ledger)[-1].version
        assert store.aliases(MODEL) == {"champion": serving}
        assert last == serving
        assert unfinished(ledger) == []
    assert halfway > 10, "hardly a kill came between the intent and the end"


def test_a_version_that_somebody_moved_to_staging_is_archived(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store)
    store.set_stage(MODEL, version, "Staging", archive=False)
    assert reconcile(ledger, store).archived == (version,)
    assert store.stages(MODEL) == {version: "Archived"}
    archival = ledger.last(Transition)
    assert (archival.to_stage, archival.actor) == ("Archived", "reconcile")
    assert archival.reason == "somebody moved it to Staging outside trimtab"


def test_what_reconcile_does_is_dated_by_the_newest_batch(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    ledger.append(batch(2))
    end = batch(2).manifest.end
    by_hand(ledger, store)
    adopted = reconcile(ledger, store, "adopt").foreign
    assert adopted is not None and adopted.moved is not None
    assert adopted.moved.event_time == end
    stray = register(ledger, store)
    store.set_stage(MODEL, stray, "Staging", archive=False)
    reconcile(ledger, store)
    assert ledger.last(Transition).event_time == end


def test_reconcile_alone_finishes_an_intent(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store)
    promotion = to(version, "Production")
    ledger.append(promotion)
    assert reconcile(ledger, store).finished == (promotion.key,)
    assert store.stages(MODEL) == {version: "Production"}
    assert store.aliases(MODEL) == {"champion": version}
    assert unfinished(ledger) == []


def test_a_version_that_the_ledger_moved_to_staging_stays_there(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store)
    move(ledger, store, to(version, "Staging"))
    assert reconcile(ledger, store).archived == ()
    assert store.aliases(MODEL) == {"challenger": version}


def by_hand(ledger: Ledger, store: Store) -> str:
    """Promote version 1 properly and 2 in MLflow's page."""
    promote_first(ledger, store)
    other = register(ledger, store)
    store.set_stage(MODEL, other, "Production", archive=True)
    return other


def test_a_stage_moved_by_hand_is_named(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    other = by_hand(ledger, store)
    change = reconcile(ledger, store).foreign
    assert change == reconciling.Foreign(expected="1", present=(other,), moved=None)
    assert store.stages(MODEL) == {"1": "Archived", "2": "Production"}


def test_a_stage_moved_by_hand_is_restored(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    by_hand(ledger, store)
    change = reconcile(ledger, store, "restore").foreign
    assert change is not None and change.moved is not None
    assert (change.moved.version, change.moved.replaces, change.moved.actor) == ("1", "2", "reconcile")
    assert change.moved.reason == "changed by hand, outside trimtab: 2 was in Production"
    assert store.stages(MODEL) == {"1": "Production", "2": "Archived"}
    assert store.aliases(MODEL) == {"champion": "1"}
    assert change.moved.key.startswith("restore:1:")
    assert reconcile(ledger, store, "restore").foreign is None
    assert state.promoted_at(completed(ledger), "1") == NOON


def test_production_emptied_by_hand_is_filled_again_but_never_with_what_is_blocked(
    stores: tuple[Ledger, Store],
) -> None:
    ledger, store = stores
    assert reconcile(ledger, store, "restore").foreign is None  # nothing was there, nothing is missing
    promote_first(ledger, store)
    second = register(ledger, store)
    move(ledger, store, to(second, "Production"))
    ledger.append(order("block", second))
    store.set_stage(MODEL, second, "Archived", archive=False)
    change = reconcile(ledger, store, "restore").foreign
    assert change is not None and change.moved is not None
    assert (change.present, change.moved.version) == ((), "1")
    assert change.moved.reason == "changed by hand, outside trimtab: no version was in Production"


def test_a_version_that_nobody_promoted_is_named_and_cannot_be_undone(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store)
    store.set_stage(MODEL, version, "Production", archive=True)
    assert reconcile(ledger, store, "restore").foreign == reconciling.Foreign(
        expected="none", present=(version,), moved=None
    )
    adopted = reconcile(ledger, store, "adopt").foreign
    assert adopted is not None and adopted.moved is not None
    assert adopted.moved.key.startswith("adopt:1:")


def test_nothing_is_called_foreign_while_a_transition_is_open(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    other = by_hand(ledger, store)
    ledger.append(to(other, "Archived"))
    assert foreign(ledger, store) is None


def test_only_a_finished_move_to_production_says_who_serves(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store)
    move(ledger, store, to(other, "Staging"))
    move(ledger, store, to(other, "Archived"))
    assert reconcile(ledger, store).foreign is None
    assert store.stages(MODEL) == {"1": "Production", "2": "Archived"}


def test_a_known_version_moved_by_hand_is_adopted(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    by_hand(ledger, store)
    change = reconcile(ledger, store, "adopt").foreign
    assert change is not None and change.moved is not None and change.moved.version == "2"
    assert store.stages(MODEL) == {"1": "Archived", "2": "Production"}
    assert reconcile(ledger, store, "adopt").foreign is None
    assert change.moved.kind == "adopt"


def test_an_unknown_or_blocked_version_is_never_adopted(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    store.register(MODEL, "0" * 32, "runs:/x/model", {})
    store.set_stage(MODEL, "2", "Production", archive=True)
    assert reconcile(ledger, store, "adopt").foreign is not None
    assert store.in_stage(MODEL, "Production") == ["1"]
    other = register(ledger, store)
    ledger.append(order("block", other))
    store.set_stage(MODEL, other, "Production", archive=True)
    reconcile(ledger, store, "adopt")
    assert store.in_stage(MODEL, "Production") == ["1"]


def test_two_in_production_become_the_one_that_the_ledger_put_there(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store)
    store.set_stage(MODEL, other, "Production", archive=False)
    change = reconcile(ledger, store, "restore").foreign
    assert change is not None and change.moved is not None
    assert change.present == ("1", "2")
    assert change.moved.reason == "changed by hand, outside trimtab: 1, 2 was in Production"
    assert store.in_stage(MODEL, "Production") == ["1"]


def test_a_deleted_champion_gives_way_to_the_one_before_it(stores: tuple[Ledger, Store]) -> None:
    import mlflow

    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store)
    move(ledger, store, to(second, "Production"))
    client = mlflow.MlflowClient(store.uri)
    client.transition_model_version_stage(MODEL, second, "Archived")
    client.delete_model_version(MODEL, second)
    change = reconcile(ledger, store, "restore").foreign
    assert (change.expected, change.present, change.moved.version) == ("2", (), "1")
    assert store.in_stage(MODEL, "Production") == ["1"]
    assert reconcile(ledger, store, "restore").foreign is None


def test_production_is_restored_to_what_the_ledger_put_there_last(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    transitions.restore_production(ledger, store)
    assert store.in_stage(MODEL, "Production") == []
    promote_first(ledger, store)
    other = register(ledger, store)
    store.set_stage(MODEL, other, "Production", archive=True)
    store.set_alias(MODEL, "champion", other)
    transitions.restore_production(ledger, store)
    assert store.in_stage(MODEL, "Production") == ["1"]
    assert store.aliases(MODEL)["champion"] == "1"


def test_a_deleted_champion_is_not_restored(stores: tuple[Ledger, Store]) -> None:
    import mlflow

    ledger, store = stores
    promote_first(ledger, store)
    store.set_stage(MODEL, "1", "Archived", archive=False)
    mlflow.MlflowClient(store.uri).delete_model_version(MODEL, "1")
    transitions.restore_production(ledger, store)
    assert store.in_stage(MODEL, "Production") == []


@pytest.mark.parametrize("policy", ["restore", "ask"])
def test_a_transition_that_another_process_makes_meanwhile_is_no_foreign_change(
    stores: tuple[Ledger, Store], policy: str
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    other = register(ledger, store)
    real = store.stages

    def stages(model: str) -> dict[str, Stage]:
        """Another process promotes between our reading the ledger and the stages."""
        store.stages = real
        move(ledger, store, to(other, "Production"))
        return real(model)

    store.stages = stages
    assert foreign(ledger, store, policy) is None
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
    move(ledger, store, to("1", "Production"))
    assert len(ledger.all(Transition)) == 2
    assert [(end.outcome, end.reason) for end in ledger.all(TransitionEnd)] == [("done", "")] * 2


def test_a_version_deleted_in_mlflow_does_not_block_the_others(stores: tuple[Ledger, Store]) -> None:
    import mlflow

    ledger, store = stores
    promote_first(ledger, store)
    deleted, other = register(ledger, store), register(ledger, store)
    for version in (deleted, other):
        ledger.append(to(version, "Staging"))
    mlflow.MlflowClient(store.uri).delete_model_version(MODEL, deleted)

    repairs = reconcile(ledger, store, "restore")

    assert repairs.void == (f"{deleted}:Staging:",)
    assert repairs.finished == (f"{other}:Staging:",)
    assert (
        ledger.get(TransitionEnd, f"{deleted}:Staging:").reason == f"version {deleted} was deleted in MLflow"
    )
    assert unfinished(ledger) == []
    assert store.stages(MODEL) == {"1": "Production", other: "Staging"}


def test_a_transition_that_mlflow_refuses_stays_open_and_does_not_block_the_others(
    stores: tuple[Ledger, Store], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    refused, other = register(ledger, store), register(ledger, store)
    for version in (refused, other):
        ledger.append(to(version, "Staging"))
    real = store.set_stage

    def set_stage(model: str, version: str, stage: Stage, *, archive: bool) -> None:
        real(model, "99" if version == refused else version, stage, archive=archive)

    monkeypatch.setattr(store, "set_stage", set_stage)
    repairs = reconcile(ledger, store)
    assert list(repairs.unsettled) == [f"{refused}:Staging:"]
    assert "99" in repairs.unsettled[f"{refused}:Staging:"]
    assert caplog.messages[-1] == f"The transition {refused}:Staging: cannot be settled"
    assert repairs.finished == (f"{other}:Staging:",)
    monkeypatch.setattr(store, "set_stage", real)
    assert reconcile(ledger, store).finished == (f"{refused}:Staging:",)


def paused_before(store: Store, call: str, meanwhile: object) -> None:
    """Let something else happen right before a call of this store, as if this process had been paused there."""
    real = getattr(store, call)

    def late(*args: object, **kwargs: object) -> object:
        setattr(store, call, real)
        meanwhile()  # type: ignore[operator]  # a function without arguments
        return real(*args, **kwargs)

    setattr(store, call, late)


def test_a_promotion_that_was_paused_does_not_put_a_blocked_version_live_again(
    stores: tuple[Ledger, Store],
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store)

    def meanwhile() -> None:
        """Another process finishes the promotion, and a person rolls it back."""
        other = Store(store.uri)
        reconcile(ledger, other)
        assert other.in_stage(MODEL, "Production") == [second]
        ledger.append(order("block", second))
        move(ledger, other, to("1", "Production", step="rollback"))

    paused_before(store, "set_stage", meanwhile)
    move(ledger, store, to(second, "Production"))
    assert store.in_stage(MODEL, "Production") == ["1"]
    assert completed(ledger)[-1].version == "1"
    assert reconcile(ledger, store, "restore").foreign is None


def test_a_promotion_that_was_paused_gives_way_to_a_later_one(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second, third = register(ledger, store), register(ledger, store)
    paused_before(
        store, "set_stage", lambda: move(ledger, Store(store.uri), to(third, "Production", step="later"))
    )
    move(ledger, store, to(second, "Production"))
    assert store.in_stage(MODEL, "Production") == [third]
    assert unfinished(ledger) == []


def test_a_promotion_that_was_void_before_its_late_write_is_undone(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store)
    promotion = to(second, "Production")
    ledger.append(promotion)

    def meanwhile() -> None:
        """A person blocks the version, and another process voids its promotion."""
        ledger.append(order("block", second))
        assert reconcile(ledger, Store(store.uri)).void == (promotion.key,)

    paused_before(store, "set_stage", meanwhile)
    assert transitions.finish(ledger, store, promotion).outcome == "void"
    assert store.in_stage(MODEL, "Production") == ["1"]


@pytest.mark.parametrize(("first", "later"), [("Production", "3:Production:"), ("Staging", "2:Archived:")])
def test_a_transition_that_a_later_one_overtook_is_void(
    stores: tuple[Ledger, Store], first: Stage, later: str
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    for _ in range(2):
        register(ledger, store)
    ledger.append(to("2", first))
    version, stage, _ = later.split(":")
    move(ledger, store, to(version, stage))
    before = store.stages(MODEL)
    assert reconcile(ledger, store).void == (f"2:{first}:",)
    reason = f"overtaken by the transition {later} of version {version}"
    assert ledger.get(TransitionEnd, f"2:{first}:").reason == reason
    assert store.stages(MODEL) == before


def test_a_transition_to_staging_is_not_overtaken_by_one_of_another_version(
    stores: tuple[Ledger, Store],
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second, third = register(ledger, store), register(ledger, store)
    ledger.append(to(second, "Staging"))
    move(ledger, store, to(third, "Staging"))
    assert reconcile(ledger, store).finished == (f"{second}:Staging:",)


def test_a_pin_does_not_keep_production_from_being_restored(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store)
    ledger.append(order("pin", "1"))
    move(ledger, store, replace(to(second, "Production"), kind="restore"))
    assert store.in_stage(MODEL, "Production") == [second]


@pytest.mark.parametrize(("verb", "version"), [("block", "2"), ("pin", "1")])
def test_a_promotion_that_an_order_forbids_meanwhile_is_void(
    stores: tuple[Ledger, Store], verb: str, version: str
) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store)
    ledger.append(to(second, "Production"))
    ledger.append(order(verb, version))
    (void,) = reconcile(ledger, store, "restore").void
    assert ledger.get(TransitionEnd, void).reason.endswith("by eve: odd")
    assert store.in_stage(MODEL, "Production") == ["1"]


def test_a_run_that_lost_its_lease_moves_nothing(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    promote_first(ledger, store)
    second = register(ledger, store)
    lost = ledger.leases.take("retrain", holder="a", minutes=-1)
    ledger.leases.take("retrain", holder="b", minutes=30)
    with pytest.raises(LeaseLost):
        transitions.move(ledger, ledger, store, to(second, "Staging"), lost)
    assert unfinished(ledger) == []

    lease = ledger.leases.take("other", holder="a", minutes=-1)
    ledger.append(to(second, "Staging"), lease=lease)
    ledger.leases.take("other", holder="b", minutes=30)
    with pytest.raises(LeaseLost):
        transitions.finish(ledger, store, to(second, "Staging"), lease)
    assert store.stages(MODEL)[second] == "None"


def test_a_run_that_loses_its_lease_after_the_intent_moves_nothing(stores: tuple[Ledger, Store]) -> None:
    ledger, store = stores
    version = register(ledger, store)
    lease = ledger.leases.take("retrain", holder="a", minutes=-1)
    paused_before(store, "stages", lambda: ledger.leases.take("retrain", holder="b", minutes=30))
    with pytest.raises(LeaseLost):
        transitions.move(ledger, ledger, store, to(version, "Staging"), lease)
    assert store.stages(MODEL) == {version: "None"}
    assert [intent.version for intent in unfinished(ledger)] == [version]


def decide_and_pause(url: str, version: str, ready: Connection) -> None:
    """Decide to promote a version while nothing is pinned, and be paused right before the commit."""
    ledger = Ledger(url, MODEL)
    snapshot = Snapshot(ledger)
    assert state.orders_in_force(snapshot.all(Order)).pinned is None
    ready.send("read")
    ready.recv()
    try:
        snapshot.append(to(version, "Production"), order("pin", version))
    except Conflict:
        ready.send("conflict")
    else:
        ready.send("won")


def test_of_two_processes_that_decide_at_once_one_wins(stores: tuple[Ledger, Store]) -> None:
    ledger, _ = stores
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _ in range(2)]
    children = [
        fork.Process(target=decide_and_pause, args=(ledger.url, version, theirs))
        for version, (_, theirs) in zip(("1", "2"), pipes, strict=True)
    ]
    for child in children:
        child.start()
    ours = [pipe for pipe, _ in pipes]
    assert [pipe.recv() for pipe in ours] == ["read", "read"]
    os.kill(children[0].pid, signal.SIGSTOP)
    for pipe in ours:
        pipe.send("go on")
    second = ours[1].recv()
    os.kill(children[0].pid, signal.SIGCONT)
    assert [ours[0].recv(), second] == ["conflict", "won"]
    for child in children:
        child.join(60)
    assert [each.version for each in ledger.all(Order)] == ["2"]
