"""Corrupt batches through the real loop: refused with a reason, kept, released, dropped; and the loop goes on."""

import pandas as pd
import pytest

from tests.support import playground
from tests.support.commands import trimtab
from trimtab.errors import UnknownQuarantine
from trimtab.ledger.records import Erasure
from trimtab.loop import ingest, quarantine
from trimtab.loop.loop import Loop, open_loop
from trimtab.views import history


def land(loop: Loop, number: int, **changes: object) -> str:
    week = playground.weeks()[number]
    frame = playground.thin(week)
    for column, value in changes.items():
        frame[column] = value
    playground.land(loop.stores.landing, week.batch, frame, week)
    return week.batch


def the_only_entry(loop: Loop) -> str:
    (name,) = loop.ledger.open_quarantine(loop.model)
    return name


def test_a_refused_batch_is_kept_with_its_reason_and_others_come_in(loop: Loop) -> None:
    bad, good = land(loop, 0, carrier=None), land(loop, 1)
    assert ingest.ingest(bad)["outcome"] == "quarantined"
    assert ingest.ingest(good)["outcome"] == "ingested"
    assert [record.manifest.batch for record in loop.ledger.batches(loop.model)] == [good]
    assert "nothing but nulls in carrier" in quarantine.table()
    assert "original: " in quarantine.show(the_only_entry(loop))
    assert list(loop.stores.landing.glob("[!.]*")) == []
    assert ingest.list_landed() == []


def test_some_bad_rows_go_and_the_rest_comes_in(loop: Loop) -> None:
    week = playground.weeks()[0]
    frame = playground.thin(week)
    frame.loc[:4, "wind_speed"] = 1048.0
    playground.land(loop.stores.landing, week.batch, frame, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"
    (record,) = loop.ledger.batches(loop.model)
    assert (record.manifest.rows, record.manifest.bad_rows) == (len(frame) - 5, 5)
    assert "1048" in quarantine.show(the_only_entry(loop))


def test_released_rows_make_a_new_revision(loop: Loop) -> None:
    week = playground.weeks()[0]
    frame = playground.thin(week)
    frame.loc[:4, "wind_speed"] = 160.0
    playground.land(loop.stores.landing, week.batch, frame, week)
    ingest.ingest(week.batch)
    said = quarantine.release(the_only_entry(loop), actor="ann", reason="a real storm")
    assert said.startswith(f"{week.batch}: ingested, revision 2, {len(frame)} rows")
    assert open_loop().ledger.open_quarantine(loop.model) == {}
    assert [(one.action, one.actor) for one in loop.ledger.quarantine_log(loop.model)] == [
        ("quarantined", "ingest"),
        ("released", "ann"),
    ]


def test_a_released_batch_comes_in_although_its_shares_are_over_the_limit(loop: Loop) -> None:
    batch = land(loop, 0, wind_speed=160.0)
    assert ingest.ingest(batch)["outcome"] == "quarantined"
    said = quarantine.release(the_only_entry(loop), actor="ann", reason="a real storm")
    assert said.startswith(f"{batch}: ingested, revision 1")


def test_a_release_that_nobody_made_is_refused(loop: Loop) -> None:
    import json

    batch = land(loop, 0, wind_speed=160.0)
    note = loop.stores.landing / f"{batch}.json"
    note.write_text(
        json.dumps({**json.loads(note.read_text()), "released_by": "me", "released_reason": "so"})
    )
    outcome = ingest.ingest(batch)
    assert outcome["outcome"] == "quarantined"
    assert "which nobody released" in outcome["reason"]


def test_a_dropped_entry_is_closed_by_name_and_reason(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    ingest.ingest(land(loop, 0, carrier=None))
    name = the_only_entry(loop)
    assert (
        trimtab("batch", "quarantine", "drop", name, "--reason", "the export was broken", "--by", "bob") == 0
    )
    assert trimtab("batch", "quarantine", "list") == 0
    assert "Nothing is in quarantine." in capsys.readouterr().out
    with pytest.raises(UnknownQuarantine, match="No open quarantine entry is called"):
        quarantine.release(name, actor="bob", reason="after all")


def test_a_batch_that_overlaps_with_another_is_refused(loop: Loop) -> None:
    ingest.ingest(land(loop, 0))
    week = playground.weeks()[0]
    playground.land(loop.stores.landing, "copy", playground.thin(week), week)
    assert "overlaps with batch 2013-W25" in ingest.ingest("copy")["reason"]


def test_a_corrected_batch_is_a_new_revision(loop: Loop) -> None:
    ingest.ingest(land(loop, 0))
    ingest.ingest(land(loop, 0, visib=9.0))
    (record,) = loop.ledger.batches(loop.model)
    assert record.manifest.revision == 2


def test_a_forgotten_row_comes_in_neither_with_its_batch_nor_into_quarantine(loop: Loop) -> None:
    stones, week = loop.ledger.tombstones(loop.model), playground.weeks()[0]
    rows = playground.thin(week)["row_id"]
    gone = Erasure(
        model=loop.model,
        key="k",
        salt=stones.salt,
        rows=(stones.digest(rows[0]),),
        batches=(),
        objects=(),
        versions=(),
        actor="ann",
        reason="asked for",
    )
    loop.ledger.record_erasure(gone, "intent")
    ingest.ingest(land(loop, 0, wind_speed=160.0))
    (held,) = loop.stores.quarantine.glob("*/*.parquet")
    assert pd.read_parquet(held)["row_id"].tolist() == rows[1:].tolist()
    ingest.ingest(land(loop, 0))
    (record,) = loop.ledger.batches(loop.model)
    kept = loop.origin.fetch_batch(week.batch, md5=record.md5, commit=record.commit)
    assert kept["row_id"].tolist() == rows[1:].tolist()
    assert ingest.ingest(land(loop, 0))["outcome"] == "unchanged"
    assert [(one.what, one.text) for one in history.history()][0] == (
        "forgetting",
        "asked for: 1 row(s), in batches none",
    )
