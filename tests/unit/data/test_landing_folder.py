import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from trimtab.data import landing
from trimtab.errors import BatchRejected

Land = Callable[..., Path]
NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)


def waiting(folder: Path) -> list[str]:
    return landing.waiting(folder, grace_seconds=60, now=NOON)


def age(path: Path, seconds: int) -> None:
    changed = (NOON - timedelta(seconds=seconds)).timestamp()
    os.utime(path, (changed, changed))


def test_a_batch_is_ready_when_its_manifest_is_there(land: Land, week: pd.DataFrame) -> None:
    folder = land(week)
    manifest = folder / "W2.json"
    manifest.rename(folder / ".W2.json.part")
    age(folder / "W2.parquet", 59)
    assert waiting(folder) == []
    (folder / ".W2.json.part").rename(manifest)
    assert waiting(folder) == ["W2"]


@pytest.mark.parametrize("alone", ["W2.parquet", "W2.json"])
def test_a_single_file_is_ingested_after_the_grace_period(land: Land, week: pd.DataFrame, alone: str) -> None:
    folder = land(week)
    for path in folder.iterdir():
        age(path, 61)
        if path.name != alone:
            path.unlink()
    assert waiting(folder) == ["W2"]
    with pytest.raises(BatchRejected, match="got no such file"):
        landing.read(folder, "W2")


def test_batches_are_sorted_by_name(land: Land, week: pd.DataFrame) -> None:
    land(week, batch="W3")
    assert waiting(land(week, batch="W1")) == ["W1", "W3"]


def test_a_missing_folder_has_no_batches(tmp_path: Path) -> None:
    assert waiting(tmp_path / "nowhere") == []


def test_a_batch_is_read_with_its_bounds(land: Land, week: pd.DataFrame) -> None:
    landed = landing.read(land(week, note={"start": "2026-01-05T01:00:00+01:00", "partial": True}), "W2")
    assert landed.start == datetime(2026, 1, 5, tzinfo=UTC)
    assert landed.end == datetime(2026, 1, 12, tzinfo=UTC)
    assert landed.partial
    assert landed.released_by is None
    assert len(landed.frame) == 100


def test_the_digest_is_of_the_data_file(land: Land, week: pd.DataFrame) -> None:
    first = landing.read(land(week), "W2").source_sha256
    assert landing.read(land(week), "W2").source_sha256 == first
    assert landing.read(land(week.head(50)), "W2").source_sha256 != first


@pytest.mark.parametrize("name", ["../W2", "/etc/passwd", "a b", "", ".hidden", "W2\n"])
def test_a_name_that_leads_out_of_the_folder_is_refused(land: Land, week: pd.DataFrame, name: str) -> None:
    with pytest.raises(
        BatchRejected, match="expected a name of letters, digits, dots, dashes and underscores"
    ):
        landing.read(land(week), name)


def test_no_file_outside_the_folder_belongs_to_a_batch(land: Land, week: pd.DataFrame) -> None:
    folder = land(week)
    (folder / "inner").mkdir()
    assert [path.name for path in landing.files(folder, "W2")] == ["W2.parquet", "W2.json"]
    assert landing.files(folder / "inner", "../W2") == []


def test_the_files_of_an_ingested_batch_are_removed(land: Land, week: pd.DataFrame) -> None:
    folder = land(week)
    taken = landing.read(folder, "W2")
    landing.remove(landing.files(folder, "W2"), landed=taken)
    assert list(folder.iterdir()) == []


def test_a_revision_that_landed_meanwhile_stays(land: Land, week: pd.DataFrame) -> None:
    folder = land(week)
    taken = landing.read(folder, "W2")
    land(week.head(50))
    landing.remove(landing.files(folder, "W2"), landed=taken)
    assert len(landing.read(folder, "W2").frame) == 50


def test_a_corrupt_page_is_reported_like_any_unreadable_file(land: Land, week: pd.DataFrame) -> None:
    folder = land(week)
    content = bytearray((folder / "W2.parquet").read_bytes())
    content[4:200] = b"\xff" * 196
    (folder / "W2.parquet").write_bytes(content)
    with pytest.raises(BatchRejected, match="expected a parquet file, got"):
        landing.read(folder, "W2")
