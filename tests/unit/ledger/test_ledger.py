"""The ledger on a real SQLite file."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from trimtab.contracts import BatchRecord, BatchRef, Decision, Manifest, Quarantined, Request
from trimtab.errors import LeaseHeld, StoreUnreachable, Unfit
from trimtab.ledger import engine
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import Erasure, LeaseRecord, QuarantineRecord

MODEL = "demand"
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


class Watch:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.time = MONDAY

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def ledger(tmp_path: Path, watch: Watch) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", watch)
    ledger.migrate()
    yield ledger


def batch(week: int, revision: int = 1) -> BatchRecord:
    start = MONDAY + timedelta(weeks=week)
    manifest = Manifest(
        model=MODEL,
        batch=f"W{week:02d}",
        revision=revision,
        start=start,
        end=start + timedelta(weeks=1),
        partial=False,
        rows=10,
        labelled=9,
        bad_rows=1,
        unseen={"dest": 2},
        source_sha256=f"{week}-{revision}",
    )
    return BatchRecord(manifest=manifest, commit="c0ffee", md5="ab")


def asked(episode: str, source: str = "drift") -> Request:
    return Request(model=MODEL, source=source, episode=episode, reason="loss is high", event_time=MONDAY)


def test_a_batch_written_twice_is_one_row(ledger: Ledger) -> None:
    assert ledger.record_batch(batch(1)) is True
    assert ledger.record_batch(batch(1)) is False
    assert ledger.batches(MODEL) == [batch(1)]


def test_the_newest_revision_is_in_force(ledger: Ledger) -> None:
    for record in (batch(2), batch(1), batch(1, revision=2)):
        ledger.record_batch(record)
    assert ledger.batches(MODEL) == [batch(1, revision=2), batch(2)]


def test_the_last_batches_are_the_newest_in_time(ledger: Ledger) -> None:
    for record in (batch(3), batch(1), batch(2), batch(1, revision=2)):
        ledger.record_batch(record)
    assert ledger.batches(MODEL, last=2) == [batch(2), batch(3)]
    assert ledger.batches(MODEL, last=9) == [batch(1, revision=2), batch(2), batch(3)]


def test_answers_can_be_had_by_request_and_since_an_event_time(ledger: Ledger) -> None:
    first, second = (ledger.add_request(asked(episode)) for episode in ("one", "two"))
    for number, week in ((first, 0), (second, 2)):
        decision = Decision(request_id=number, action="SKIP", reason="moot")
        ledger.decide(MODEL, decision, holder="run", event_time=MONDAY + timedelta(weeks=week))
    since = ledger.decisions(MODEL, since=MONDAY + timedelta(weeks=1))
    assert [one.request_id for one in since] == [second]
    assert [one.request_id for one in ledger.decisions(MODEL, requests=[first])] == [first]
    assert [one.id for one in ledger.requests(MODEL, ids={second})] == [second]
    assert ledger.requests(MODEL, ids=[]) == []


def test_the_event_clock_is_the_end_of_the_newest_batch(ledger: Ledger) -> None:
    assert ledger.event_now(MODEL) is None
    ledger.record_batch(batch(3))
    ledger.record_batch(batch(1))
    assert ledger.event_now(MODEL) == MONDAY + timedelta(weeks=4)


def test_models_do_not_see_each_other(ledger: Ledger) -> None:
    ledger.record_batch(batch(1))
    ledger.add_request(asked("W01"))
    assert ledger.batches("other") == []
    assert ledger.waiting("other") == []


def test_every_batch_from_the_promotion_on_waits_for_the_monitor(ledger: Ledger) -> None:
    for week in (1, 2, 3):
        ledger.record_batch(batch(week))
    since = MONDAY + timedelta(weeks=2)
    assert ledger.unmonitored(MODEL, "1", since) == [
        BatchRef(batch="W02", revision=1),
        BatchRef(batch="W03", revision=1),
    ]


def test_a_batch_of_which_every_row_was_forgotten_does_not_wait_for_the_monitor(ledger: Ledger) -> None:
    emptied = batch(2, revision=2)
    ledger.record_batch(batch(2))
    ledger.record_batch(replace(emptied, manifest=replace(emptied.manifest, rows=0, labelled=0)))
    assert ledger.unmonitored(MODEL, "1", MONDAY) == []


def test_one_key_is_one_request(ledger: Ledger) -> None:
    first = ledger.add_request(asked("W01"))
    assert ledger.add_request(asked("W01")) == first
    assert ledger.add_request(asked("W02")) != first
    assert ledger.add_request(asked("W01", source="ui")) != first


def test_one_key_from_many_threads_is_one_request(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: ledger.add_request(asked("W01")), range(40)))
    assert len(ids) == 1
    assert len(ledger.requests(MODEL)) == 1


def test_a_wait_is_asked_again_and_a_skip_is_not(ledger: Ledger) -> None:
    first, second = ledger.add_request(asked("W01")), ledger.add_request(asked("W02"))
    for request, action in ((first, "WAIT"), (second, "SKIP")):
        decision = Decision(request_id=request, action=action, reason="because")
        ledger.decide(MODEL, decision, holder="run", event_time=MONDAY)
    assert [record.id for record in ledger.waiting(MODEL)] == [first]


def test_the_same_wait_is_written_once(ledger: Ledger) -> None:
    request = ledger.add_request(asked("W01"))
    wait = Decision(request_id=request, action="WAIT", reason="cooldown")
    assert ledger.decide(MODEL, wait, holder="run", event_time=MONDAY) is not None
    assert ledger.decide(MODEL, wait, holder="run", event_time=MONDAY) is None
    assert len(ledger.decisions(MODEL)) == 1


def test_a_lease_keeps_others_out_until_it_expires(ledger: Ledger, watch: Watch) -> None:
    ledger.hold("retrain", holder="a", minutes=30)
    with pytest.raises(LeaseHeld, match="held by 'a'"):
        ledger.hold("retrain", holder="b", minutes=30)
    watch.time += timedelta(minutes=31)
    assert ledger.lease_holder("retrain") is None
    ledger.hold("retrain", holder="b", minutes=30)
    assert ledger.lease_holder("retrain") == "b"


def test_a_heartbeat_prolongs_a_lease(ledger: Ledger, watch: Watch) -> None:
    ledger.hold("retrain", holder="a", minutes=30)
    watch.time += timedelta(minutes=20)
    ledger.hold("retrain", holder="a", minutes=30)
    watch.time += timedelta(minutes=20)
    assert ledger.lease_holder("retrain") == "a"


def test_only_the_holder_gives_a_lease_back(ledger: Ledger) -> None:
    ledger.hold("retrain", holder="a", minutes=30)
    ledger.release("retrain", holder="b")
    assert ledger.lease_holder("retrain") == "a"
    ledger.release("retrain", holder="a")
    assert ledger.lease_holder("retrain") is None


def test_a_lease_tells_since_when_it_is_held_and_when_its_run_last_lived(
    ledger: Ledger, watch: Watch
) -> None:
    ledger.hold("retrain", holder="a", minutes=30)
    watch.time = later = MONDAY + timedelta(minutes=20)
    ledger.hold("retrain", holder="a", minutes=30)
    assert ledger.lease("retrain") == LeaseRecord(holder="a", acquired_at=MONDAY, heartbeat_at=later)
    watch.time = later + timedelta(minutes=30)
    assert ledger.lease("retrain") is None


def test_notices_come_back_in_the_order_in_which_people_were_told(ledger: Ledger) -> None:
    for kind in ("ask", "gate_dead", "ask"):
        ledger.record_notice(MODEL, key=kind, kind=kind, text="look")
    assert [record.kind for record in ledger.notices(MODEL)] == ["ask", "gate_dead"]


def test_a_released_quarantine_entry_is_no_longer_open(ledger: Ledger) -> None:
    entry = Quarantined(name="W01-batch-1", batch="W01", kind="batch", reason="empty", rows=0, path="q")
    for action in ("quarantined", "quarantined", "released"):
        record = QuarantineRecord(entry=entry, action=action, actor="ann", reason="checked", at=MONDAY)
        ledger.record_quarantine(MODEL, record)
    assert ledger.open_quarantine(MODEL) == {}
    assert [record.action for record in ledger.quarantine_log(MODEL)] == ["quarantined", "released"]


def test_a_write_that_fails_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.write():
        ledger.record_batch(batch(1))
        raise RuntimeError("power cut")
    assert ledger.batches(MODEL) == []


def test_a_ledger_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="at revision None, this code needs 0004. Run `trimtab init`"):
        Ledger(f"sqlite:///{tmp_path / 'new.db'}").check()


def test_a_ledger_of_another_revision_is_refused(ledger: Ledger) -> None:
    ledger.check()
    with ledger.write() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(Unfit, match="at revision 9999"):
        ledger.check()


def test_migrating_twice_changes_nothing(ledger: Ledger) -> None:
    ledger.record_batch(batch(1))
    ledger.migrate()
    assert ledger.batches(MODEL) == [batch(1)]


def test_a_ledger_of_an_older_revision_is_migrated_and_kept(tmp_path: Path) -> None:
    from alembic import command

    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger._connect() as connection, connection.begin():
        config = engine._alembic(Path(engine.__file__).parent / "migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    ledger.record_batch(batch(1))
    with pytest.raises(Unfit, match="at revision 0001"):
        ledger.check()
    ledger.migrate()
    ledger.check()
    assert ledger.batches(MODEL) == [batch(1)]
    kept = Ledger(f"sqlite:///{tmp_path / 'ledger.db.before-0001'}")
    assert kept.batches(MODEL) == [batch(1)]
    with pytest.raises(Unfit, match="at revision 0001"):
        kept.check()
    ledger.migrate()
    assert sorted(path.name for path in tmp_path.glob("*before-0001")) == ["ledger.db.before-0001"]


def test_an_unreachable_ledger_names_the_variable_to_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((StoreUnreachable, OSError)):
        Ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}").migrate()


def test_a_ledger_that_nobody_holds_any_more_leaves_no_file_open(ledger, tmp_path):
    gc.disable()
    try:
        another = Ledger(ledger.url)
        another.batches(MODEL)
        assert _open_files(tmp_path)
        ledger._engine.dispose()
        del another
        assert _open_files(tmp_path) == []
    finally:
        gc.enable()


def _open_files(folder: Path) -> list[str]:
    return [one.path for one in psutil.Process().open_files() if one.path.startswith(str(folder))]


def erasure(ledger: Ledger, *row_ids: str) -> Erasure:
    stones = ledger.tombstones(MODEL)
    return Erasure(
        model=MODEL,
        key="k",
        salt=stones.salt,
        rows=tuple(stones.digest(row_id) for row_id in row_ids),
        batches=("W01",),
        objects=("ab",),
        versions=("1",),
        actor="ann",
        reason="asked for",
    )


def test_a_forgotten_row_is_known_from_the_intent_on_and_its_id_stands_nowhere(ledger: Ledger) -> None:
    meant = erasure(ledger, "row-7")
    assert ledger.record_erasure(meant, "intent") is True
    assert ledger.record_erasure(meant, "intent") is False
    assert ledger.tombstones(MODEL).among(["row-6", "row-7"]) == [False, True]
    assert ledger.tombstones("supply").among(["row-7"]) == [False]
    ledger.record_erasure(meant, "done")
    assert [(one.erasure, one.phase) for one in ledger.erasures(MODEL)] == [
        (meant, "intent"),
        (meant, "done"),
    ]
    with ledger.read() as connection:
        assert "row-7" not in str(connection.execute(text("select * from erasures")).all())
