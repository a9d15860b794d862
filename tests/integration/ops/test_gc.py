"""What nothing names goes, and nothing else does."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.commands import trimtab
from trimtab.errors import LeaseHeld, Unfit
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.gc import Part, collect
from trimtab.ops.lease import exclusively

DAYS = 86400.0


def plant(path: Path, content: bytes, *, days: float) -> Path:
    """Write a file, or a folder with one, that is so many days old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - days * DAYS
    for one in (path, path.parent):
        os.utime(one, (then, then))
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
    kept = {folder: files(folder) for folder in (remote, cache)}
    orphan, young = "aa/" + "1" * 30, "bb/" + "2" * 30
    for folder in (remote, cache):
        plant(folder / "files/md5" / orphan, b"12345", days=2)
        plant(folder / "files/md5" / young, b"1", days=0.1)
    clone = plant(work / "clone-dead" / "left", b"123", days=2)
    data = plant(work / "flight-delay-9" / "data" / "left", b"12", days=2)
    beside = plant(work / "flight-delay-9" / "build" / "train.log", b"12", days=2)
    alive = plant(work / "clone-alive" / "left", b"1", days=0)
    half = plant(tmp_path / "trimtab-dvc-x" / "left", b"1", days=2)

    meant = collect(older_than_hours=24.0, dry_run=True)
    assert all(path.is_file() for path in (clone, data, half)) and (remote / "files/md5" / orphan).is_file()
    done = collect(older_than_hours=24.0)

    assert replace(done, dry_run=True) == meant
    assert done.remote == done.cache == Part(removed=1, bytes=5, kept_young=1)
    assert (done.folders.removed, done.folders.bytes) == (3, 6)
    assert not any(path.exists() for path in (clone.parent, data.parent, half.parent))
    assert alive.is_file() and beside.is_file()
    for folder in (remote, cache):
        assert files(folder) == {**kept[folder], f"files/md5/{young}": b"1"}


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


def test_of_backup_and_gc_one_runs_at_a_time(loop: Loop, tmp_path: Path) -> None:
    with exclusively(loop):
        again = subprocess.run(
            [sys.executable, "-m", "trimtab", "ops", "gc"], capture_output=True, text=True, check=False
        )
        assert (again.returncode, again.stderr.split(":")[0]) == (1, "LeaseHeld")
    with exclusively(loop, holder="a backup elsewhere"):
        with pytest.raises(LeaseHeld, match="a backup elsewhere"):
            collect(older_than_hours=24.0)
        with pytest.raises(LeaseHeld, match="a backup elsewhere"):
            backup(tmp_path)


def test_another_model_of_the_ledger_has_its_data_elsewhere_and_loses_none(fed: Loop, tmp_path: Path) -> None:
    mine = fed.ledger.batches(fed.model)
    other = replace(mine[0], manifest=replace(mine[0].manifest, model="other"), md5="f" * 32)
    fed.ledger.record_batch(other)
    taken = backup(tmp_path / "backups")
    assert taken.counts["data"] == {"objects": len({one.md5 for one in mine})}
    shared = plant(Path(fed.stores.dvc_remote) / "files/md5/ff" / ("f" * 30), b"1", days=2)
    assert collect(older_than_hours=24).remote.removed == 0
    assert shared.is_file()


def test_without_a_grace_nothing_is_collected(loop: Loop) -> None:
    with pytest.raises(Unfit, match="expected more than 0, got 0"):
        collect(older_than_hours=0.0)
    assert trimtab("ops", "gc", "--older-than-hours", "-1") == 1


def test_a_lease_is_prolonged_while_it_is_held_and_ends_with_its_process(loop: Loop) -> None:
    trigger = loop.params.trigger.model_copy(update={"lease_minutes": 0.03})
    short = replace(loop, params=loop.params.model_copy(update={"trigger": trigger}))
    with exclusively(short):
        time.sleep(2.5)
        assert loop.ledger.lease_holder("keep") is not None
    assert loop.ledger.lease_holder("keep") is None
    short.ledger.hold("keep", holder="a dead process", minutes=0.03)
    time.sleep(2)
    with exclusively(short):
        pass
