"""A loop on real stores is backed up, wiped and brought back."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import playground
from tests.support.moments import _disconnect
from tests.support.processes import killed
from trimtab.errors import LeaseHeld, Unfit
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.restore import restore
from trimtab.registry.load import load
from trimtab.views import history


def answers(loop: Loop) -> dict[str, object]:
    """What people ask: the champion, what was live, what happened, and each version's checkout with its data."""
    return {
        "stages": loop.registry.stages(loop.model),
        "aliases": loop.registry.aliases(loop.model),
        "history": history.history(),
        "live": [history.live_at(entry.at) for entry in history.history() if entry.at],
        "why": {version: history.why(version) for version in loop.ledger.versions(loop.model)},
    }


def data_of(loop: Loop, folder: Path) -> dict[str, dict[str, bytes]]:
    """The data of every registered version, checked out at its recipe's commit."""
    found, runs = {}, [run for run in loop.ledger.runs(loop.model) if run.plan]
    for version, record in loop.ledger.versions(loop.model).items():
        commit = next(run.plan.commit for run in runs if record.run_key.startswith(run.run_key))
        names = [ref.batch for ref in record.training.batches]
        loop.origin.checkout(folder / version, commit, names)
        files = sorted((folder / version / "data" / "batches").glob("*.parquet"))
        assert [path.stem for path in files] == sorted(names)
        found[version] = {path.name: path.read_bytes() for path in files}
    return found


def wipe(loop: Loop) -> None:
    """Lose the machine: every store, every artifact, every cache."""
    _disconnect()
    place = loop.stores.home.parent
    for path in (loop.stores.home, place / "mlruns", loop.stores.landing):
        shutil.rmtree(path, ignore_errors=True)
    assert not any(path.is_file() for path in place.rglob("*") if "tree" not in path.parts)


def restored(folder: Path) -> dict[str, object]:
    """As on the machine that comes after: a process that has seen none of the stores."""
    command = [sys.executable, "-m", "trimtab", "ops", "restore", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def load_champion(loop: Loop, cache: Path) -> None:
    champion = loop.champion()
    assert champion is not None
    load(champion.source, champion.digest, loop.params.model.trusted_types, cache=cache)


def test_after_a_restore_everything_answers_as_before(led: Loop, tmp_path: Path) -> None:
    before, data = answers(led), data_of(led, tmp_path / "before")
    taken = backup(tmp_path / "backups")
    wipe(led)

    said = restored(taken.folder)

    assert said["agree"] is True and said["production"] == ["2"]
    assert not any(said["mended"].values())
    again = playground.opened()
    assert answers(again) == before
    assert data_of(again, tmp_path / "after") == data
    load_champion(again, tmp_path / "models")
    playground.take_in(again, range(4, 5))  # and it goes on


def test_a_restore_refuses_stores_that_hold_something(led: Loop, tmp_path: Path) -> None:
    taken = backup(tmp_path / "backups")
    with pytest.raises(Unfit, match="Expected empty stores, got content in the origin, the DVC remote"):
        restore(taken.folder)
    assert led.champion() is not None


def test_a_changed_backup_is_not_restored(led: Loop, tmp_path: Path) -> None:
    taken = backup(tmp_path / "backups")
    wipe(led)
    (taken.folder / "ledger" / "versions.jsonl").write_text("")
    with pytest.raises(Unfit, match=r"1 file\(s\) are missing, changed .* ledger/versions.jsonl"):
        restore(taken.folder)
    assert not led.stores.home.exists()


def test_a_killed_backup_is_not_taken_for_a_whole_one(led: Loop, tmp_path: Path) -> None:
    dest = tmp_path / "backups"
    killed(["ops", "backup", str(dest)], lambda: any(dest.glob("*.part/origin.git")))
    (left,) = dest.iterdir()
    with pytest.raises(Unfit, match="is no whole backup"):
        restore(left)
    with pytest.raises(LeaseHeld):
        backup(dest)
    holder = led.ledger.lease_holder("keep")
    assert holder is not None
    led.ledger.release("keep", holder=holder)  # as its end of time does
    taken = backup(dest)
    assert list(dest.iterdir()) == [taken.folder]


def test_a_killed_restore_leaves_no_ledger_and_can_be_run_again(led: Loop, tmp_path: Path) -> None:
    before = answers(led)
    taken = backup(tmp_path / "backups")
    wipe(led)
    killed(["ops", "restore", str(taken.folder)], lambda: (led.stores.home / "origin.git").is_dir())
    with pytest.raises(Unfit, match="The ledger .* is at revision None"):
        playground.opened()
    restored(taken.folder)
    assert answers(playground.opened()) == before


def test_old_backups_go_and_the_newest_stay(
    led: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for second in range(3):
        monkeypatch.setenv("TRIMTAB_NOW", f"2026-01-01T00:00:0{second}+00:00")
        names.append(backup(tmp_path, keep=2).folder.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == names[1:]
