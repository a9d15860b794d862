"""`trimtab ops doctor` on real stores, each hurt for real."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn
import yaml

from tests.support.commands import trimtab
from trimtab.errors import Unfit
from trimtab.loop.loop import Loop
from trimtab.ops.doctor import Finding, examine, models
from trimtab.ops.doctor.finding import Doubt
from trimtab.ops.doctor.store_checks import Places

OTHER = "1.8.0"
"""A scikit-learn that is not the pinned one."""


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
    assert trimtab("ops", "doctor", "--json") == 1
    said = {one["check"]: Finding(**one) for one in json.loads(capsys.readouterr().out)}
    print(*said.values(), sep="\n")
    assert states(said, "fail") == {"ledger", "DVC remote", "model service", "Prometheus"}
    assert "trimtab init" in said["ledger"].found
    assert "TRIMTAB_DVC_REMOTE_URL" in said["DVC remote"].found
    assert "TRIMTAB_PROMETHEUS_URL" in said["Prometheus"].found
    assert states(said, "warn") == {"secret files"}
    assert f"chmod go-rwx {led.stores.home}/alerts.token" in said["secret files"].found


def trusted(loop: Loop, kind: str) -> None:
    """Let `params.yaml` in the origin trust one more type."""
    clone = loop.stores.home / "elsewhere"
    subprocess.run(["git", "clone", "-q", loop.stores.origin, str(clone)], check=True)
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["model"]["trusted_types"].append(kind)
    (clone / "params.yaml").write_text(yaml.safe_dump(params))
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, "commit", "-qam", "Trust one more"], cwd=clone, check=True)
    subprocess.run(["git", "push", "-q"], cwd=clone, check=True)


def test_another_scikit_learn_is_refused_by_name(
    led: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path),
        f"scikit-learn=={OTHER}",
    ]
    subprocess.run([*words, "--python", sys.executable], check=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Unfit) as refused:
        models.production(Places(led.stores, 60))
    print(refused.value)
    saved = f"version 2 of {led.model}, saved with scikit-learn {sklearn.__version__}, cannot be used with"
    assert str(refused.value).startswith(f"{saved} scikit-learn {OTHER}: ")
    assert f"Keep scikit-learn {sklearn.__version__}, or retrain before upgrading." in str(refused.value)

    trusted(led, "sklearn._loss._loss.CyHalfBinomialLoss")
    found = models.production(Places(led.stores, 60))
    print(found)
    assert isinstance(found, Doubt)
    assert f"version 2 (scikit-learn {sklearn.__version__}) of {led.model} loads and answers" in found.found


def test_a_loading_that_takes_the_process_down_is_told(led: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    (led.stores.home / "sklearn").mkdir()
    (led.stores.home / "sklearn" / "__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(led.stores.home))
    with pytest.raises(Unfit, match="version 2 of .* cannot be used with scikit-learn .*: no answer"):
        models.production(Places(led.stores, 60))
