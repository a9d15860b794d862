"""The doctor on real stores, sound and damaged."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn
import yaml
from mlflow import MlflowClient

from tests.support.commands import trimtab
from trimtab.errors import Unfit
from trimtab.ledger import Transition, TransitionEnd, Version
from trimtab.loop.loop import Loop
from trimtab.ops.doctor import Finding, examine, models
from trimtab.ops.doctor.finding import Warn, within
from trimtab.ops.doctor.store_checks import Places

OTHER = "1.8.0"
"""A scikit-learn that is not the pinned one."""


def findings() -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(seconds=60)}


def checks(findings: dict[str, Finding], state: str) -> set[str]:
    return {name for name, finding in findings.items() if finding.state == state}


def files(loop: Loop) -> list[Path]:
    return sorted(path for path in Path(loop.stores.dvc_remote).rglob("*") if path.is_file())


def test_doctor_reports_no_problem_of_a_sound_loop_and_each_damage(
    led: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(led)
    sound = findings()
    print(*sound.values(), sep="\n")
    assert checks(sound, "ok") == set(sound)
    assert sound["Production versions"].message.startswith(
        "1 can be loaded and predict as before with scikit-learn"
    )
    assert sound["DVC remote"].message == "a probe was pushed and pulled, and deleted again"
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
    said = {each["check"]: Finding(**each) for each in json.loads(capsys.readouterr().out)}
    print(*said.values(), sep="\n")
    assert checks(said, "fail") == {"ledger", "DVC remote", "model service", "Prometheus"}
    assert "trimtab init" in said["ledger"].message
    assert "TRIMTAB_DVC_REMOTE_URL" in said["DVC remote"].message
    assert "TRIMTAB_PROMETHEUS_URL" in said["Prometheus"].message
    assert checks(said, "warn") == {"secret files"}
    assert f"chmod go-rwx {led.stores.home}/alerts.token" in said["secret files"].message


def trust(loop: Loop, kind: str) -> None:
    """Trust one more type in the origin's `params.yaml`."""
    clone = loop.stores.home / "elsewhere"
    subprocess.run(["git", "clone", "-q", loop.stores.origin, str(clone)], check=True)
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["model"]["trusted_types"].append(kind)
    (clone / "params.yaml").write_text(yaml.safe_dump(params))
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, "commit", "-qam", "Trust one more"], cwd=clone, check=True)
    subprocess.run(["git", "push", "-q"], cwd=clone, check=True)


def test_a_model_of_another_scikit_learn_is_refused(
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
    saved = f"version 1 of {led.model}, saved with scikit-learn {sklearn.__version__}, cannot be used with"
    assert str(refused.value).startswith(f"{saved} scikit-learn {OTHER}: ")
    assert f"Keep scikit-learn {sklearn.__version__}, or retrain before upgrading." in str(refused.value)

    trust(led, "sklearn._loss._loss.CyHalfBinomialLoss")
    warning = models.production(Places(led.stores, 60))
    print(warning)
    assert isinstance(warning, Warn)
    assert (
        f"version 1 (scikit-learn {sklearn.__version__}) of {led.model} can be loaded and predicts"
        in warning.message
    )


@pytest.mark.parametrize(
    ("deleted", "state", "said"),
    [
        (1, "fail", "version 1 of flight-delay is in Production by the ledger, but was deleted in MLflow"),
        (2, "warn", "version 2 of flight-delay was deleted in MLflow: no rollback can return to it"),
    ],
)
def test_a_version_that_was_deleted_in_mlflow_is_named(
    deleted: int, state: str, said: str, led: Loop
) -> None:
    for version in ("2", "1"):  # version 2 is in Production for a moment
        move = Transition(
            key=f"by hand to {version}",
            kind="promote",
            version=version,
            to_stage="Production",
            replaces=None,
            actor="ann",
            reason="test",
            evidence_sha256=None,
            event_time=led.event_now(),
        )
        led.ledger.append(move, TransitionEnd(key=move.key, outcome="done"))
    training = led.ledger.require(Version, "1").training
    led.ledger.append(Version(version="2", candidate="all", training=training))
    assert led.registry.register(led.model, training.run_id, training.source, {}) == "2"
    MlflowClient(led.registry.uri).delete_model_version(led.model, str(deleted))
    finding = within("models", lambda: models.production(Places(led.stores, 60)), 60)
    print(finding)
    assert finding.state == state and said in finding.message


def test_a_crash_while_a_model_is_loaded_is_reported(led: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    (led.stores.home / "sklearn").mkdir()
    (led.stores.home / "sklearn" / "__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(led.stores.home))
    with pytest.raises(Unfit, match="version 1 of .* cannot be used with scikit-learn .*: no answer"):
        models.production(Places(led.stores, 60))
