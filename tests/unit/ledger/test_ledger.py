"""The ledger on a real SQLite file; tests/integration/test_ledger_servers.py repeats what matters on PostgreSQL."""

import gc
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from math import nan
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from tests.support.ledger import MONDAY, batch, request
from trimtab.errors import Conflict, LeaseLost, StoreUnreachable, Unfit, Unknown
from trimtab.ledger import Ledger, Snapshot
from trimtab.ledger.facts import KINDS, Batch, Erasure, Notice, Order, Request, Version, kind_of
from trimtab.ledger.tombstones import Tombstones


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "demand")
    ledger.migrate()
    return ledger


def notice(key: str, words: str = "look") -> Notice:
    return Notice(key=key, kind="ask", text=words)


def order(verb: str = "pin", version: str | None = "2") -> Order:
    return Order(verb=verb, version=version, actor="ann", reason="because", event_time=None)


def test_a_fact_written_twice_is_one_fact(ledger):
    assert ledger.append(batch(1)) is True
    assert ledger.append(batch(1)) is False
    assert ledger.all(Batch) == [batch(1)]


def test_the_first_fact_of_a_key_stands(ledger):
    ledger.append(notice("k", "first"))
    ledger.append(notice("k", "second"), notice("other"))
    assert [each.text for each in ledger.all(Notice)] == ["first", "look"]


def test_a_fact_comes_back_with_its_number_and_its_time(ledger):
    ledger.append(notice("a"), notice("b"))
    first, second = ledger.all(Notice)
    assert first.id < second.id
    assert first.at == second.at <= ledger.now()


def test_facts_are_read_by_key_by_prefix_by_time_and_by_field(ledger):
    ledger.append(batch(1), batch(2), batch(2, revision=2), order("pin", "2"), order("pin", "3"))
    assert ledger.get(Batch, "W02:r1") == batch(2)
    assert ledger.get(Batch, "W09:r1") is None
    assert ledger.last(Batch) == batch(2, revision=2)
    assert ledger.last(Batch, prefix="W01") == batch(1)
    assert ledger.last(Request) is None
    assert ledger.keys(Batch) == ["W01:r1", "W02:r1", "W02:r2"]
    assert ledger.all(Batch, prefix="W02:") == [batch(2), batch(2, revision=2)]
    assert ledger.all(Batch, since=MONDAY + timedelta(weeks=3)) == [batch(2), batch(2, revision=2)]
    assert [each.version for each in ledger.all(Order, version="3")] == ["3"]


def test_a_prefix_is_taken_to_the_letter(ledger):
    ledger.append(notice("a_b"), notice("a%b"), notice("axb"))
    assert ledger.keys(Notice, prefix="a_") == ["a_b"]
    assert ledger.keys(Notice, prefix="a%") == ["a%b"]


def test_a_fact_that_must_be_there_is_asked_for_by_name(ledger):
    with pytest.raises(Unknown, match="a version of demand that the ledger holds, got '7'"):
        ledger.require(Version, "7")


def test_models_do_not_see_each_other(ledger):
    other = Ledger(ledger.url, "supply")
    ledger.append(batch(1))
    assert other.append(batch(1)) is True
    assert len(other.all(Batch)) == len(ledger.all(Batch)) == 1


def test_a_transaction_that_fails_leaves_nothing(ledger):
    with pytest.raises(StatementError):
        ledger.append(
            notice("a"), replace(batch(1), manifest=replace(batch(1).manifest, label_age_hours=nan))
        )
    assert ledger.all(Notice) == []


@pytest.mark.parametrize("fact", [notice("k" * 501), notice("a\0b"), notice("k", "a\0b")])
def test_what_postgresql_refuses_is_refused_everywhere(ledger, fact):
    with pytest.raises(ValueError, match="at most 500 characters and texts without NUL, got the notice"):
        ledger.append(fact)


def test_one_key_from_many_threads_is_one_fact(ledger):
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: ledger.append(request("W01")), range(40)))
    assert added.count(True) == 1
    assert len(ledger.all(Request)) == 1


def test_a_decision_on_facts_that_are_no_longer_the_newest_is_refused(ledger):
    ledger.append(order("pin", "1"))
    snapshot = Snapshot(ledger)
    assert len(snapshot.all(Order)) == 1
    ledger.append(order("pin", "2"))
    with pytest.raises(Conflict, match="a newer fact of kind 'order' while this was being decided"):
        snapshot.append(notice("k"))
    assert ledger.all(Notice) == []


def test_a_fact_of_a_kind_that_the_decision_did_not_read_is_no_conflict(ledger):
    snapshot = Snapshot(ledger)
    assert snapshot.all(Order) == []
    ledger.append(request("W01"))
    assert snapshot.append(notice("k"))


def test_a_decision_depends_on_the_keys_that_it_asked_for(ledger):
    snapshot = Snapshot(ledger)
    assert snapshot.get(Request, "drift:W01") is None
    assert snapshot.keys(Notice, prefix="a:") == []
    ledger.append(request("W02"), notice("b:1"))
    assert snapshot.append(notice("k"))
    ledger.append(request("W01"))
    with pytest.raises(Conflict):
        snapshot.append(notice("l"))


def test_a_filter_by_field_still_depends_on_the_whole_kind(ledger):
    snapshot = Snapshot(ledger)
    assert snapshot.all(Order, version="1") == []
    ledger.append(order("pin", "2"))
    with pytest.raises(Conflict):
        snapshot.append(notice("k"))


def test_a_decision_is_made_again_until_nobody_is_quicker(ledger):
    seen = []

    def decide(facts):
        seen.append(len(facts.all(Order)))
        if len(seen) < 4:
            ledger.append(order())
        return facts.append(notice("decided"))

    assert ledger.decide(decide) is True
    assert seen == [0, 1, 2, 3]


def test_a_decision_that_is_always_too_late_gives_up(ledger):
    tries = []

    def decide(facts):
        facts.all(Order)
        tries.append(ledger.append(order()))
        facts.append(notice("decided"))

    with pytest.raises(Conflict):
        ledger.decide(decide)
    assert len(tries) == 5


def test_people_read_the_facts_through_sql_views(ledger):
    ledger.append(order("pin", "2"), batch(1))
    with ledger.read() as connection:
        rows = connection.execute(text("select model, verb, version, actor from all_order")).all()
        views = set(connection.execute(text("select name from sqlite_master where type = 'view'")).scalars())
    assert rows == [("demand", "pin", "2", "ann")]
    assert views == {f"all_{kind_of(kind)}" for kind in KINDS}


def test_a_ledger_without_tables_is_refused(tmp_path):
    with pytest.raises(Unfit, match="has schema revision None, this code needs 0001. Run `trimtab init`"):
        Ledger(f"sqlite:///{tmp_path / 'new.db'}", "demand").check()


def test_a_ledger_of_another_schema_is_refused(ledger):
    ledger.check()
    with ledger.transaction("test") as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(Unfit, match="has schema revision 9999"):
        ledger.check()


def test_migrating_twice_changes_nothing(ledger):
    ledger.append(batch(1))
    ledger.migrate()
    assert ledger.all(Batch) == [batch(1)]


def test_an_unreachable_ledger_names_the_variable_to_check(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((StoreUnreachable, OSError)):
        Ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}", "demand").migrate()


def test_a_ledger_that_is_no_longer_used_leaves_no_file_open(ledger, tmp_path):
    gc.disable()
    try:
        another = Ledger(ledger.url, "demand")
        another.all(Batch)
        assert _open_files(tmp_path)
        ledger._engine.dispose()
        del another
        assert _open_files(tmp_path) == []
    finally:
        gc.enable()


def _open_files(folder: Path) -> list[str]:
    return [file.path for file in psutil.Process().open_files() if file.path.startswith(str(folder))]


def test_an_erased_row_is_recognised_from_the_intent_on_and_its_id_is_nowhere(ledger):
    stones = Tombstones.of(ledger.all(Erasure))
    erasure = Erasure(
        key="k",
        salt=stones.salt,
        rows=(stones.digest("row-7"),),
        batches=("W01",),
        objects=("ab",),
        versions=("1",),
        actor="ann",
        reason="asked for",
    )
    ledger.append(erasure)
    assert Tombstones.of(ledger.all(Erasure)).among(["row-6", "row-7"]) == [False, True]
    with ledger.read() as connection:
        assert "row-7" not in str(connection.execute(text("select * from facts")).all())


def test_nobody_adds_a_fact_while_the_ledger_is_frozen(ledger, tmp_path):
    ledger.append(notice("before"))
    with ledger.frozen() as connection, closing(sqlite3.connect(tmp_path / "ledger.db", timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        assert connection.exec_driver_sql("SELECT key FROM facts").scalars().all() == ["before"]
    assert ledger.append(notice("after"))


def test_a_redacted_fact_keeps_its_number_its_time_and_the_rest(ledger):
    ledger.append(notice("a", "row-1 is twice there"), notice("b"))
    before, other = ledger.all(Notice)
    with ledger.leases.held("maintenance", holder="me", minutes=1) as lease:
        ledger.redact(replace(before, text="a row is twice there"), lease)
    after, unchanged = ledger.all(Notice)
    assert (after.id, after.at, after.key, after.text) == (before.id, before.at, "a", "a row is twice there")
    assert unchanged == other


def test_a_fact_is_not_redacted_under_a_lease_that_was_lost(ledger):
    ledger.append(notice("a"))
    (fact,) = ledger.all(Notice)
    lease = ledger.leases.take("maintenance", holder="me", minutes=0)
    ledger.leases.take("maintenance", holder="somebody else", minutes=1)
    with pytest.raises(LeaseLost):
        ledger.redact(replace(fact, text=""), lease)
    assert ledger.all(Notice) == [fact]
