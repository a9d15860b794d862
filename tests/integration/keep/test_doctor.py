"""`trimtab doctor` on real stores, each hurt for real."""

import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from trimtab.__main__ import main
from trimtab.keep.doctor import Finding, examine
from trimtab.steps.loop import Loop


def found(*, seconds: float = 60) -> dict[str, Finding]:
    return {one.check: one for one in examine(seconds=seconds)}


def states(findings: dict[str, Finding], state: str) -> set[str]:
    return {name for name, one in findings.items() if one.state == state}


def files(loop: Loop) -> list[Path]:
    return sorted(path for path in Path(loop.stores.dvc_remote).rglob("*") if path.is_file())


def test_doctor_finds_nothing_on_a_sound_loop_and_names_what_is_hurt(
    led: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(led)
    sound = found()
    print(*sound.values(), sep="\n")
    assert states(sound, "ok") == set(sound)
    assert sound["Production versions"].found.startswith("2 load and answer as before with scikit-learn")
    assert sound["DVC remote"].found == "a probe was pushed and pulled, and is gone again"
    assert files(led) == before

    with sqlite3.connect(led.stores.home / "ledger.db") as ledger:
        ledger.execute("update alembic_version set version_num = '0000'")
    shutil.rmtree(led.stores.dvc_remote)
    Path(led.stores.dvc_remote).write_text("no folder")
    monkeypatch.setenv("TRIMTAB_SERVICE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TRIMTAB_PROMETHEUS_URL", "http://127.0.0.1:9")
    (led.stores.home / "alerts.token").write_text("secret")
    (led.stores.home / "alerts.token").chmod(0o644)
    capsys.readouterr()
    assert main(["doctor", "--json"]) == 1
    said = {one["check"]: Finding(**one) for one in json.loads(capsys.readouterr().out)}
    print(*said.values(), sep="\n")
    assert states(said, "fail") == {"ledger", "DVC remote", "model service", "Prometheus"}
    assert "trimtab init" in said["ledger"].found
    assert "TRIMTAB_DVC_REMOTE_URL" in said["DVC remote"].found
    assert "TRIMTAB_PROMETHEUS_URL" in said["Prometheus"].found
    assert states(said, "warn") == {"secret files"}
    assert f"chmod go-rwx {led.stores.home}/alerts.token" in said["secret files"].found
