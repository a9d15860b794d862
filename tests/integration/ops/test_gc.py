"""What nothing names goes, and nothing else does."""

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.commands import trimtab
from trimtab.errors import Unfit
from trimtab.ledger import Batch, Ledger
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.gc import Part, collect

DAYS = 86400.0


def plant(path: Path, content: bytes, *, days: float) -> Path:
    """Write a file, or a folder with one, that is so many days old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - days * DAYS
    for entry in (path, path.parent):
        os.utime(entry, (then, then))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def aged(folder: Path) -> None:
    """Let all that is in a folder be old."""
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))


def test_what_nothing_names_goes_and_the_rest_stays_byte_for_byte(
    fed: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remote, cache, work = Path(fed.stores.dvc_remote), fed.stores.dvc_cache, fed.stores.work
    _commit_other_data(fed, tmp_path)
    for folder in (remote, cache):
        aged(folder)
    before = {folder: files(folder) for folder in (remote, cache)}
    orphan, young = "aa/" + "1" * 30, "bb/" + "2" * 30
    for folder in (remote, cache):
        plant(folder / "files/md5" / orphan, b"12345", days=2)
        plant(folder / "files/md5" / young, b"1", days=0.1)
    clone = plant(work / "clone-dead" / "left", b"123", days=2)
    data = plant(work / "flight-delay-9" / "data" / "left", b"12", days=2)
    beside = plant(work / "flight-delay-9" / "build" / "train.log", b"12", days=2)
    alive = plant(work / "clone-alive" / "left", b"1", days=0)
    half = plant(tmp_path / "trimtab-dvc-x" / "left", b"1", days=2)
    draft = plant(fed.stores.quarantine / "W1-rows-1" / ".rows.parquet.1.part", b"1", days=2)

    meant = collect(older_than_hours=24.0, dry_run=True)
    assert (
        all(path.is_file() for path in (clone, data, half, draft))
        and (remote / "files/md5" / orphan).is_file()
    )
    done = collect(older_than_hours=24.0)

    assert replace(done, dry_run=True) == meant
    assert done.remote == done.cache == Part(removed=1, bytes=5, too_young=1)
    assert (done.folders.removed, done.folders.bytes) == (4, 7)
    assert not any(path.exists() for path in (clone.parent, data.parent, half.parent, draft))
    assert alive.is_file() and beside.is_file()
    for folder in (remote, cache):
        assert files(folder) == {**before[folder], f"files/md5/{young}": b"1"}


def _commit_other_data(loop: Loop, folder: Path) -> None:
    """Let a branch of the origin name a file and a folder that are no batches, as a person's `dvc add` does."""
    loop.origin.checkout(folder / "clone", loop.commit, [])
    (folder / "clone" / "notes").mkdir()
    (folder / "clone" / "notes" / "one.csv").write_text("a\n1\n")
    (folder / "clone" / "prices.csv").write_text("a\n2\n")
    script = "dvc add -q notes prices.csv && dvc push -q && git add -f notes.dvc prices.csv.dvc"
    script += (
        " && git -c user.name=a -c user.email=a@b commit -qm x && git push -q origin HEAD:refs/heads/theirs"
    )
    subprocess.run(["bash", "-c", script], cwd=folder / "clone", check=True)


def test_another_model_of_the_ledger_has_its_data_elsewhere_and_loses_none(fed: Loop, tmp_path: Path) -> None:
    mine = fed.ledger.all(Batch)
    Ledger(fed.stores.ledger, "other").append(replace(mine[0], md5="f" * 32))
    taken = backup(tmp_path / "backups")
    assert taken.counts["data"] == {"objects": len({batch.md5 for batch in mine})}
    assert taken.counts["ledger"]["facts"] == len(mine) + 1
    shared = plant(Path(fed.stores.dvc_remote) / "files/md5/ff" / ("f" * 30), b"1", days=2)
    assert collect(older_than_hours=24).remote.removed == 0
    assert shared.is_file()


def test_without_a_grace_nothing_is_collected(loop: Loop) -> None:
    with pytest.raises(Unfit, match="expected more than 0, got 0"):
        collect(older_than_hours=0.0)
    assert trimtab("ops", "gc", "--older-than-hours", "-1") == 1
