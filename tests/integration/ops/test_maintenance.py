"""Backup, gc and erasure exclude each other, and stop when they have lost their lease."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import playground
from trimtab.errors import LeaseHeld
from trimtab.ledger import ErasureEnd, Ledger
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.erasure.erase import erase_rows
from trimtab.ops.gc import collect
from trimtab.ops.maintenance import LEASE, exclusively

COMMANDS: dict[str, Callable[[Path], object]] = {
    "backup": backup,
    "gc": lambda _: collect(older_than_hours=24.0),
    "erase": lambda _: erase_rows(["a"], actor="ann", reason="article 17"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_backup_gc_and_erasure_exclude_each_other_across_models(
    name: str, loop: Loop, tmp_path: Path
) -> None:
    other = replace(loop, ledger=Ledger(loop.stores.ledger, "other"))
    with exclusively(other, holder="somebody else"):
        with pytest.raises(LeaseHeld, match="somebody else"):
            COMMANDS[name](tmp_path)


def test_no_row_is_erased_while_a_model_is_trained(loop: Loop) -> None:
    loop.take_lease("a retraining")
    with pytest.raises(LeaseHeld, match="a retraining"):
        erase_rows(["a"], actor="ann", reason="article 17")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_process_whose_lease_was_taken_over_changes_nothing(name: str, fed: Loop, tmp_path: Path) -> None:
    orphan = Path(fed.stores.dvc_remote) / "files/md5/aa" / ("1" * 30)
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"12345")
    row = playground.thin(playground.weeks()[0])["row_id"][0]
    words = {
        "backup": ["backup", str(tmp_path)],
        "gc": ["gc", "--older-than-hours", "1e-9"],
        "erase": ["erase", row, "--reason", "article 17"],
    }
    files = data_files(fed)
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", "ops", *words[name]], stderr=subprocess.PIPE, text=True
    )
    while fed.ledger.leases.current(LEASE) is None:
        assert process.poll() is None
        time.sleep(0.002)
    with closing(sqlite3.connect(fed.stores.home / "ledger.db", timeout=60)) as ledger, ledger:
        ledger.execute("UPDATE leases SET holder = 'somebody else', epoch = epoch + 1")
    _, error = process.communicate()
    assert "LeaseLost" in error and "now held by somebody else" in error
    assert data_files(fed) == files
    assert fed.ledger.keys(ErasureEnd) == []
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".part"]


def data_files(loop: Loop) -> set[Path]:
    folders = (Path(loop.stores.dvc_remote), loop.stores.dvc_cache)
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_a_lease_is_kept_alive_and_ends_with_its_process(loop: Loop) -> None:
    trigger = loop.params.trigger.model_copy(update={"lease_minutes": 0.03})
    short = replace(loop, params=loop.params.model_copy(update={"trigger": trigger}))
    with exclusively(short):
        time.sleep(2.5)
        assert loop.ledger.leases.current(LEASE) is not None
    assert loop.ledger.leases.current(LEASE) is None
    loop.ledger.leases.take(LEASE, holder="a dead process", minutes=0.03)
    time.sleep(2)
    with exclusively(short):
        pass
