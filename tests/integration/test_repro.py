"""`dvc repro` in a clone does what the DAG does, through `mlflow run`, and does it once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support import playground
from tests.support.commands import trimtab
from trimtab import params
from trimtab.contracts import Evaluation, TrainedModel, from_json
from trimtab.ledger import Shadow
from trimtab.loop.ingest import ingest
from trimtab.loop.loop import Loop
from trimtab.project.train import read_fitted
from trimtab.registry.load import load
from trimtab.train.fit import predict


def dvc(clone: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_fits_the_models_of_the_loop_and_scores_them_once(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground.take_in(loop, range(4))
    playground.monitored()
    playground.answered("first")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", loop.stores.origin, str(clone)], check=True)
    monkeypatch.chdir(clone)
    dvc(clone, "pull")
    assert trimtab("champion") == 0
    first = dvc(clone, "repro")
    for verb in ("prepare", "train", "evaluate"):
        assert f"> mlflow run . -e {verb} --env-manager local" in first

    loops = {fact.batch: fact.training for fact in loop.ledger.all(Shadow)}
    ours = {each.fit.through: each.training for each in read_fitted(clone)}
    assert len(loops) == 3 and len(ours) == 4
    rows = pd.read_parquet(clone / "data/batches" / f"{max(ours)}.parquet")
    for batch, training in loops.items():
        np.testing.assert_array_equal(
            predictions(clone, training, rows), predictions(clone, ours[batch], rows)
        )

    scores = from_json(Evaluation, (clone / "build/evaluation.json").read_bytes()).scores
    assert sorted(map(len, scores.values())) == [
        2,
        2,
        2,
    ], "a candidate and the baseline: the champion knows all batches"
    second = dvc(clone, "repro")
    assert "mlflow run" not in second
    assert "up to date" in second
    assert "batches" in dvc(clone, "metrics", "show")
    dvc(clone, "plots", "show")
    assert (clone / "dvc_plots" / "index.html").exists()


def predictions(clone: Path, model: TrainedModel | None, rows: pd.DataFrame) -> np.ndarray:
    assert model is not None
    parameters = params.load(clone / "params.yaml")
    trusted = parameters.model.trusted_types
    return predict(load(model.source, model.digest, trusted, cache=clone / "models"), parameters, rows)


def test_a_plan_with_too_few_batches_says_how_many_it_needs(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for batch in playground.land_weeks(loop, range(2)):
        ingest(batch)
    subprocess.run(["git", "clone", "-q", loop.stores.origin, str(tmp_path / "clone")], check=True)
    monkeypatch.chdir(tmp_path / "clone")
    assert trimtab("plan") == 1
    assert "needs 3 labelled batches, there are 2" in capsys.readouterr().err
