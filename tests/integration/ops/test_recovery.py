"""Back up a loop on real stores, lose it, and restore it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from tests.support import playground
from tests.support.moments import _disconnect
from tests.support.processes import killed
from trimtab.errors import LeaseHeld, Unfit
from trimtab.ledger.facts import KINDS, Batch, Version
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.maintenance import LEASE
from trimtab.ops.restore import restore
from trimtab.registry.load import load


def memory(loop: Loop) -> dict[str, object]:
    """Return the stages and aliases, and all facts but the batches, which another process may be adding."""
    facts = [fact for kind in KINDS if kind is not Batch for fact in loop.ledger.all(kind)]
    return {
        "stages": loop.registry.stages(loop.model),
        "aliases": loop.registry.aliases(loop.model),
        "facts": [(fact.id, fact.at, fact) for fact in facts],
    }


def data_of(loop: Loop, folder: Path) -> dict[str, dict[str, bytes]]:
    """Return the data of every registered version, checked out at the commit of its run."""
    contents = {}
    for version in loop.ledger.all(Version):
        commit = MlflowClient(loop.registry.uri).get_run(version.training.run_id).data.tags["trimtab.commit"]
        names = [ref.batch for ref in version.training.batches]
        loop.origin.checkout(folder / version.version, commit, names)
        files = sorted((folder / version.version / "data" / "batches").glob("*.parquet"))
        assert [path.stem for path in files] == sorted(names)
        contents[version.version] = {path.name: path.read_bytes() for path in files}
    return contents


def wipe(loop: Loop) -> None:
    """Lose the machine: every store, every artifact, every cache."""
    _disconnect()
    place = loop.stores.home.parent
    for path in (loop.stores.home, place / "mlruns", loop.stores.landing):
        shutil.rmtree(path, ignore_errors=True)
    assert not any(path.is_file() for path in place.rglob("*") if "tree" not in path.parts)


def restored(folder: Path) -> dict[str, Any]:
    """Restore in a process that has seen none of the stores, as on a new machine."""
    command = [sys.executable, "-m", "trimtab", "ops", "restore", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def load_champion(loop: Loop, cache: Path) -> None:
    champion = loop.champion()
    assert champion is not None
    load(champion.source, champion.digest, loop.params.model.trusted_types, cache=cache)


def test_a_restore_brings_everything_back_and_the_loop_goes_on(led: Loop, tmp_path: Path) -> None:
    before, data, batches = memory(led), data_of(led, tmp_path / "before"), led.ledger.all(Batch)
    taken = backup(tmp_path / "backups")
    assert taken.deleted_versions == ()
    wipe(led)

    outcome = restored(taken.folder)

    assert outcome["agree"] is True and outcome["production"] == ["1"]
    assert not any(outcome["repaired"].values())
    again = playground.opened()
    assert memory(again) == before and again.ledger.all(Batch) == batches
    assert data_of(again, tmp_path / "after") == data
    load_champion(again, tmp_path / "models")
    with again.ledger.read() as connection:
        assert connection.exec_driver_sql("select count(*) from all_version").scalar_one() == 1
    playground.take_in(again, range(4, 5))


@pytest.mark.parametrize(("deleted", "production"), [("2", ["1"]), ("1", [])])
def test_a_version_that_was_deleted_in_mlflow_stops_no_backup_and_no_restore(
    deleted: str, production: list[str], due: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    MlflowClient(due.registry.uri).delete_model_version(due.model, deleted)
    taken = backup(tmp_path / "backups")
    assert taken.deleted_versions == (deleted,)
    assert f"Version {deleted} of {due.model} was deleted in MLflow" in caplog.text
    wipe(due)
    outcome = restored(taken.folder)
    assert outcome["deleted_versions"] == [deleted]
    assert outcome["production"] == production
    playground.take_in(playground.opened(), range(7, 8))


def test_a_restore_refuses_stores_that_hold_something(led: Loop, tmp_path: Path) -> None:
    taken = backup(tmp_path / "backups")
    with pytest.raises(Unfit, match="Expected empty stores, got content in the origin, the DVC remote"):
        restore(taken.folder)
    assert led.champion() is not None


def test_a_changed_backup_is_not_restored(led: Loop, tmp_path: Path) -> None:
    taken = backup(tmp_path / "backups")
    wipe(led)
    (taken.folder / "ledger" / "facts.jsonl").write_text("")
    with pytest.raises(Unfit, match="files are missing, changed .* ledger/facts.jsonl"):
        restore(taken.folder)
    assert not led.stores.home.exists()


def test_a_killed_backup_is_not_taken_for_a_whole_one(led: Loop, tmp_path: Path) -> None:
    dest = tmp_path / "backups"
    commands = killed(["ops", "backup", str(dest)], lambda: any(dest.glob("*.part/origin.git")))
    (left,) = dest.iterdir()
    with pytest.raises(Unfit, match="is not a complete backup"):
        restore(left)
    with pytest.raises(LeaseHeld):
        backup(dest)
    lease = led.ledger.leases.current(LEASE)
    assert lease is not None
    assert psutil.wait_procs(commands, timeout=60)[1] == []  # git writes to its folder until then
    led.ledger.leases.release(lease)  # as if it had expired
    taken = backup(dest)
    assert list(dest.iterdir()) == [taken.folder]


def test_a_killed_restore_leaves_no_ledger_and_can_be_run_again(led: Loop, tmp_path: Path) -> None:
    before = memory(led)
    taken = backup(tmp_path / "backups")
    wipe(led)
    killed(["ops", "restore", str(taken.folder)], lambda: (led.stores.home / "origin.git").is_dir())
    with pytest.raises(Unfit, match="The ledger .* has schema revision None"):
        playground.opened()
    restored(taken.folder)
    assert memory(playground.opened()) == before


def test_old_backups_go_and_the_newest_stay(
    led: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for second in range(3):
        monkeypatch.setenv("TRIMTAB_NOW", f"2026-01-01T00:00:0{second}+00:00")
        names.append(backup(tmp_path, keep=2).folder.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == names[1:]
