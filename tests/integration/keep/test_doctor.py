"""`trimtab doctor` on real stores, each hurt for real."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from trimtab.__main__ import main
from trimtab.keep.doctor import examine
from trimtab.steps.loop import Loop


def failed() -> dict[str, str]:
    return {one.check: one.found for one in examine() if one.state == "fail"}


def test_doctor_finds_nothing_on_a_sound_loop_and_names_what_is_hurt(
    led: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failed() == {}
    with sqlite3.connect(led.stores.home / "ledger.db") as ledger:
        ledger.execute("update alembic_version set version_num = '0000'")
    shutil.rmtree(led.stores.dvc_remote)
    Path(led.stores.dvc_remote).write_text("no folder")
    monkeypatch.setenv("TRIMTAB_SERVICE_URL", "http://127.0.0.1:9")
    found = failed()
    assert set(found) == {"ledger", "DVC remote", "model service"}
    assert "trimtab init" in found["ledger"]
    assert "TRIMTAB_DVC_REMOTE_URL" in found["DVC remote"]
    assert main(["doctor", "--json"]) == 1


def test_a_version_of_other_types_is_refused_by_name(led: Loop) -> None:
    params = (
        "sed -i '/sklearn.ensemble._hist/d' params.yaml && git -c user.name=a -c user.email=a@b commit -qam x"
    )
    clone = led.stores.home / "elsewhere"
    subprocess.run(["git", "clone", "-q", led.stores.origin, str(clone)], check=True)
    subprocess.run(["bash", "-c", f"{params} && git push -q"], cwd=clone, check=True)
    assert "Version 2 cannot be loaded with scikit-learn" in failed()["Production versions"]
