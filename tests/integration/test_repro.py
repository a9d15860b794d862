"""`dvc repro` in a clone does what the DAG does, through `mlflow run`, and does it once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import playground
from tests.support.commands import trimtab
from trimtab.loop.ingest import ingest
from trimtab.loop.loop import Loop


def dvc(clone: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_trains_and_judges_once_and_prints_its_metrics(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in playground.land_weeks(loop, range(4)):
        ingest(batch)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", loop.stores.origin, str(clone)], check=True)
    dvc(clone, "pull")
    first = dvc(clone, "repro")
    for verb in ("prepare", "train", "evaluate"):
        assert f"> mlflow run . -e {verb} --env-manager local" in first

    verdict = json.loads((clone / "build" / "verdict.json").read_text())
    assert verdict["kind"] == "PROMOTE"
    assert verdict["champion"] == "the baseline"
    assert yaml.safe_load((clone / "run.yaml").read_text())["decision"] is None
    assert loop.registry.stages(loop.model) == {}

    second = dvc(clone, "repro")
    assert "mlflow run" not in second
    assert "up to date" in second
    assert "challenger.loss" in dvc(clone, "metrics", "show")
    dvc(clone, "plots", "show")
    assert (clone / "dvc_plots" / "index.html").exists()


def test_a_plan_with_too_few_batches_says_how_many_it_needs(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for batch in playground.land_weeks(loop, range(2)):
        ingest(batch)
    subprocess.run(["git", "clone", "-q", loop.stores.origin, str(tmp_path / "clone")], check=True)
    monkeypatch.chdir(tmp_path / "clone")
    assert trimtab("plan") == 1
    assert "needs 3 labelled batches, there are 2" in capsys.readouterr().err
