from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from trimtab import params
from trimtab.data import landing
from trimtab.data.ingest import check
from trimtab.data.quarantine import Quarantine
from trimtab.errors import BatchRejected, Unfit, UnknownQuarantine

Land = Callable[..., Path]
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    return Quarantine(tmp_path / "quarantine")


def put(quarantine: Quarantine, folder: Path, reason: str = "too windy") -> str:
    files = landing.files(folder, "W2")
    entry = quarantine.copy_batch("W2", reason=reason, files=files, row_ids=["row-7"])
    landing.remove(files)
    return entry.name


def test_a_refused_batch_moves_with_its_reason(
    land: Land, week: pd.DataFrame, quarantine: Quarantine
) -> None:
    folder = land(week)
    original = (folder / "W2.parquet").read_bytes()
    entry = quarantine.show(put(quarantine, folder))
    assert (entry.batch, entry.kind, entry.reason) == ("W2", "batch", "too windy")
    assert entry.row_ids == ("row-7",)
    assert entry.name.startswith("W2-batch-")
    assert (Path(entry.path) / "W2.parquet").read_bytes() == original
    assert list(folder.iterdir()) == []


def test_the_same_batch_twice_is_one_entry(land: Land, week: pd.DataFrame, quarantine: Quarantine) -> None:
    first = put(quarantine, land(week))
    assert put(quarantine, land(week)) == first
    assert [entry.name for entry in quarantine.entries()] == [first]


def test_another_content_is_another_entry(land: Land, week: pd.DataFrame, quarantine: Quarantine) -> None:
    put(quarantine, land(week))
    put(quarantine, land(week.head(50)))
    assert len(quarantine.entries()) == 2


@pytest.mark.parametrize("gone", ["W2.json", "W2.parquet"])
def test_what_a_killed_run_left_belongs_to_its_entry(
    land: Land, week: pd.DataFrame, quarantine: Quarantine, gone: str
) -> None:
    folder = land(week)
    entry = quarantine.copy_batch("W2", reason="too windy", files=landing.files(folder, "W2"))
    (folder / gone).unlink()
    assert put(quarantine, folder, reason="a file is missing") == entry.name
    assert quarantine.show(entry.name).reason == "too windy"
    assert list(folder.iterdir()) == []


def test_a_batch_with_an_odd_name_is_stored_under_a_safe_name(tmp_path: Path, quarantine: Quarantine) -> None:
    path = tmp_path / "a b.parquet"
    path.write_bytes(b"x")
    entry = quarantine.copy_batch("a b", reason="expected a name", files=[path])
    assert entry.name.startswith("a_b-batch-")
    assert entry.batch == "a b"


def test_refused_rows_are_stored_with_their_faults(week: pd.DataFrame, quarantine: Quarantine) -> None:
    bad = week.head(2).assign(fault="wind: expected 0 to 150, got 1048.4")
    entry = quarantine.put_rows("W2", bad, reason="2 of 100 rows", details={"wind": 2})
    assert (entry.kind, entry.rows, entry.details) == ("rows", 2, {"wind": 2})
    assert quarantine.put_rows("W2", bad, reason="2 of 100 rows", details={"wind": 2}) == entry
    assert list(quarantine.rows(entry.name)["row_id"]) == ["row-0", "row-1"]
    assert list(quarantine.rows(entry.name)["fault"]) == list(bad["fault"])


def test_a_released_batch_is_ingested_as_a_new_revision(
    land: Land, week: pd.DataFrame, data: params.Data, quarantine: Quarantine
) -> None:
    week["wind"] += 1000
    folder = land(week)
    refused = landing.read(folder, "W2")
    with pytest.raises(BatchRejected, match="got 100.0%, 100 of 100"):
        check(refused, data, now=NOW)
    name = put(quarantine, folder)

    quarantine.release(name, folder, reason="the sensor is new")
    landed = landing.read(folder, "W2")
    assert landed.released_by == name
    assert landed.source_sha256 != refused.source_sha256
    assert len(check(landed, data, now=NOW).valid) == 100


def test_releasing_twice_changes_nothing(land: Land, week: pd.DataFrame, quarantine: Quarantine) -> None:
    folder = land(week)
    name = put(quarantine, folder)
    quarantine.release(name, folder, reason="fine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    quarantine.release(name, folder, reason="fine")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_release_does_not_overwrite_a_landed_revision(
    land: Land, week: pd.DataFrame, quarantine: Quarantine
) -> None:
    folder = land(week)
    name = put(quarantine, folder)
    land(week.head(50))
    with pytest.raises(Unfit, match="Another W2.parquet waits in .*landing. Ingest it first"):
        quarantine.release(name, folder, reason="fine")
    assert len(landing.read(folder, "W2").frame) == 50


def test_an_invalid_manifest_is_released_unchanged(
    land: Land, week: pd.DataFrame, quarantine: Quarantine
) -> None:
    folder = land(week, note="not json")
    quarantine.release(put(quarantine, folder), folder, reason="fine")
    with pytest.raises(BatchRejected, match="Invalid JSON"):
        landing.read(folder, "W2")


def test_released_rows_land_with_the_valid_rows(
    land: Land, week: pd.DataFrame, data: params.Data, quarantine: Quarantine
) -> None:
    week.loc[1, "wind"] = 1048.4
    folder = land(week)
    checked = check(landing.read(folder, "W2"), data, now=NOW)
    name = quarantine.put_rows("W2", checked.bad, reason="1 of 100 rows", details={}).name
    landing.remove(landing.files(folder, "W2"))

    refused = quarantine.rows(name).drop(columns="fault").astype(checked.valid.dtypes.to_dict())
    again = pd.concat([checked.valid, refused], ignore_index=True)
    manifest = landing.LandingManifest(
        batch="W2",
        start=datetime(2026, 1, 5, tzinfo=UTC),
        end=datetime(2026, 1, 12, tzinfo=UTC),
        partial=False,
        released_by=name,
        released_reason="a storm",
    )
    landing.land(folder, manifest, again)
    released = check(landing.read(folder, "W2"), data, now=NOW)
    assert len(released.valid) == 100
    assert released.valid["wind"].max() == 1048.4


def test_a_dropped_entry_keeps_its_reason(week: pd.DataFrame, quarantine: Quarantine) -> None:
    name = quarantine.put_rows("W2", week, reason="all of them", details={}).name
    quarantine.drop(name)
    assert quarantine.show(name).reason == "all of them"
    with pytest.raises(UnknownQuarantine):
        quarantine.rows(name)


@pytest.mark.parametrize("name", ["nothing", "../landing", ""])
def test_an_unknown_name_lists_the_entries(
    land: Land, week: pd.DataFrame, quarantine: Quarantine, name: str
) -> None:
    entry = put(quarantine, land(week))
    for ask in (quarantine.show, quarantine.rows, quarantine.drop):
        with pytest.raises(UnknownQuarantine, match=f"is called '{name}'; open now: {entry}"):
            ask(name)
