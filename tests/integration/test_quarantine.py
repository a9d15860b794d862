"""Corrupt batches through the real loop: refused with a reason, kept, released, dropped; and the loop goes on."""

import pandas as pd
import pytest

from tests.support import playground
from tests.support.commands import trimtab
from trimtab.errors import UnknownQuarantine
from trimtab.ledger import Batch, Erasure, QuarantineAction, state
from trimtab.ledger.tombstones import Tombstones
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
    (name,) = state.open_quarantine(loop.ledger.all(QuarantineAction))
    return name


def test_a_refused_batch_is_kept_with_its_reason_and_others_come_in(loop: Loop) -> None:
    bad, good = land(loop, 0, carrier=None), land(loop, 1)
    assert ingest.ingest(bad)["outcome"] == "quarantined"
    assert ingest.ingest(good)["outcome"] == "ingested"
    assert [record.manifest.batch for record in state.batches_in_force(loop.ledger.all(Batch))] == [good]
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
    (record,) = state.batches_in_force(loop.ledger.all(Batch))
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
    assert state.open_quarantine(open_loop().ledger.all(QuarantineAction)) == {}
    assert [(action.action, action.actor) for action in loop.ledger.all(QuarantineAction)] == [
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
    (record,) = state.batches_in_force(loop.ledger.all(Batch))
    assert record.manifest.revision == 2


def test_an_erased_row_comes_in_neither_with_its_batch_nor_into_quarantine(loop: Loop) -> None:
    stones, week = Tombstones.of(loop.ledger.all(Erasure)), playground.weeks()[0]
    rows = playground.thin(week)["row_id"]
    gone = Erasure(
        key="k",
        salt=stones.salt,
        rows=(stones.digest(rows[0]),),
        batches=(),
        objects=(),
        versions=(),
        actor="ann",
        reason="asked for",
    )
    loop.ledger.append(gone)
    ingest.ingest(land(loop, 0, wind_speed=160.0))
    (held,) = loop.stores.quarantine.glob("*/*.parquet")
    assert pd.read_parquet(held)["row_id"].tolist() == rows[1:].tolist()
    ingest.ingest(land(loop, 0))
    (record,) = state.batches_in_force(loop.ledger.all(Batch))
    stored = loop.origin.fetch_batch(week.batch, md5=record.md5, commit=record.commit)
    assert stored["row_id"].tolist() == rows[1:].tolist()
    assert ingest.ingest(land(loop, 0))["outcome"] == "unchanged"
    assert [(entry.what, entry.text) for entry in history.history()][0] == (
        "erasing",
        "asked for: 1 row(s), in batches none",
    )


def corrected(loop: Loop, batch: str, **changes: object) -> None:
    """Change the manifest of a landed batch."""
    import json

    note = loop.stores.landing / f"{batch}.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"end": "2062-01-01T00:00:00+00:00"}, "expected an end in the past, got 2062-01-01"),
        ({"start": 0, "end": 4e12}, "expected a time in ISO 8601"),
    ],
)
def test_bounds_that_cannot_be_are_refused(loop: Loop, changes: dict[str, object], message: str) -> None:
    batch = land(loop, 0)
    corrected(loop, batch, **changes)
    outcome = ingest.ingest(batch)
    assert outcome["outcome"] == "quarantined"
    assert message in outcome["reason"]
    assert loop.ledger.all(Batch) == []


def test_a_label_that_is_known_in_the_future_is_refused(loop: Loop) -> None:
    week = playground.weeks()[0]
    frame = playground.thin(week)
    labelled = frame.index[frame["label"].notna()][:3]
    frame.loc[labelled, "label_known_at"] = pd.Timestamp("2062-01-01", tz="UTC")
    playground.land(loop.stores.landing, week.batch, frame, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"
    (batch,) = loop.ledger.all(Batch)
    assert batch.manifest.bad_rows == 3
    shown = quarantine.show(the_only_entry(loop))
    assert "label_known_at: 3 rows" in shown


def test_two_overlapping_batches_at_once_are_not_both_ingested(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one is ingested while the first one is between its check and its push."""
    from trimtab.origin.origin import Origin

    first, week = land(loop, 0), playground.weeks()[0]
    playground.land(loop.stores.landing, "copy", playground.thin(week), week)
    write = Origin._write

    def paused(origin: Origin, *arguments: object) -> None:
        write(origin, *arguments)
        monkeypatch.setattr(Origin, "_write", write)
        assert ingest.ingest("copy")["outcome"] == "ingested"

    monkeypatch.setattr(Origin, "_write", paused)
    assert "overlaps with batch copy" in ingest.ingest(first)["reason"]
    assert [batch.manifest.batch for batch in loop.ledger.all(Batch)] == ["copy"]
