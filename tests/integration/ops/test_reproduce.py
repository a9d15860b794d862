"""A registered version is trained again from what was recorded, in the way in which it was trained."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import sklearn
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from tests.support.commands import trimtab
from tests.support.playground import edit
from trimtab.errors import LeaseHeld, Unfit, Unknown
from trimtab.ledger import Erasure, Version
from trimtab.loop.loop import Loop
from trimtab.ops.erasure.erase import erase_rows
from trimtab.ops.maintenance import exclusively
from trimtab.ops.reproduce import Reproduction, reproduce
from trimtab.origin.origin import cached, md5_of, pointer

FIRST = "1"


def run_id(loop: Loop, version: str) -> str:
    return loop.ledger.require(Version, version).training.run_id


def retag(loop: Loop, version: str, commit: str) -> None:
    """Let the MLflow run of a version name another commit."""
    MlflowClient().set_tag(run_id(loop, version), "trimtab.commit", commit)


def commit_params(loop: Loop, folder: Path, **changes: object) -> str:
    """Push a commit with other parameters to the origin, and return its id."""
    loop.origin.checkout(folder, loop.commit, [])
    edit(folder / "params.yaml", **changes)
    for words in (["commit", "-qam", "Change"], ["push", "-q", "origin", "HEAD:main"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return head.stdout.strip()


def experiments() -> dict[str, int]:
    """The number of runs of each experiment."""
    client = MlflowClient()
    return {each.name: len(client.search_runs([each.experiment_id])) for each in client.search_experiments()}


def clones(loop: Loop) -> list[Path]:
    return list(loop.stores.work.glob("clone-*"))


def test_a_version_is_reproduced_to_the_bit(led: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    stages, facts, before = led.registry.stages(led.model), led.ledger.keys(Version), experiments()
    assert trimtab("model", "reproduce", FIRST) == 0
    output = capsys.readouterr()
    rows = led.ledger.require(Version, FIRST).training.rows
    assert output.out == f"Version {FIRST} is reproduced: {rows} predictions are bit-equal.\n"
    assert f"fitted on {rows} rows" in output.err
    assert (led.registry.stages(led.model), led.ledger.keys(Version)) == (stages, facts)
    assert experiments() == before | {"flight-delay-reproductions": 3}
    assert clones(led) == []


def test_what_was_changed_in_mlflow_is_named(led: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    training = led.ledger.require(Version, FIRST).training
    with create_engine(led.stores.mlflow).begin() as connection:
        change = text("UPDATE params SET value = '31' WHERE key = 'max_iter' AND run_uuid = :run")
        connection.execute(change, {"run": training.run_id})
    tag, model = "trimtab.batch.2013-W25", training.source.removeprefix("models:/")
    md5 = MlflowClient().get_run(training.run_id).data.tags[tag]
    MlflowClient().set_tag(training.run_id, tag, "revision 1, md5 0")
    (requirements,) = led.stores.home.parent.glob(f"mlruns/*/models/{model}/artifacts/requirements.txt")
    pins = requirements.read_text()
    requirements.write_text(pins.replace("scikit-learn==", "scikit-learn==0."))

    assert trimtab("model", "reproduce", FIRST) == 1
    first, *changes = capsys.readouterr().out.splitlines()
    assert first.startswith("Version 1 is not reproduced: ") and first.endswith(" are bit-equal.")
    assert changes == [
        "parameter max_iter: recorded 31, reproduced 30",
        f"batch 2013-W25: recorded revision 1, md5 0, reproduced {md5}",
        f"library scikit-learn: recorded 0.{sklearn.__version__}, reproduced {sklearn.__version__}",
    ]


def test_another_setting_of_the_estimator_is_named(led: Loop, tmp_path: Path) -> None:
    retag(led, FIRST, commit_params(led, tmp_path / "clone", model__settings__max_iter=20))
    result = reproduce(FIRST, tolerance=1e-9)
    assert not result.equal and not result.bit_equal and result.difference > 1e-3
    assert result.changes == (
        "parameter max_iter: recorded 30, reproduced 20",
        "setting of the fitted estimator max_iter: recorded 30, reproduced 20",
    )
    assert not replace(result, tolerance=1.0).equal


@pytest.mark.parametrize(("difference", "equal"), [(1e-9, True), (2e-9, False), (float("nan"), False)])
def test_predictions_that_are_not_bit_equal_may_be_within_the_tolerance(
    difference: float, equal: bool
) -> None:
    result = Reproduction(version="1", rows=9, bit_equal=False, difference=difference, tolerance=1e-9)
    assert result.equal is equal


def test_another_version_of_a_library_alone_makes_no_difference() -> None:
    result = Reproduction(
        version="1", rows=9, bit_equal=True, difference=0.0, tolerance=0.0, libraries=("library x",)
    )
    assert result.equal


def test_it_does_not_run_beside_a_backup_or_an_erasure(led: Loop) -> None:
    with exclusively(led, holder="backup"), pytest.raises(LeaseHeld, match="'backup'"):
        reproduce(FIRST, tolerance=0.0)


def test_an_unknown_version_is_refused(led: Loop) -> None:
    with pytest.raises(Unknown, match="Expected a version of flight-delay that the ledger holds, got '99'"):
        reproduce("99", tolerance=0.0)


def test_a_commit_that_is_gone_from_the_origin_is_named(led: Loop) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words]
        return subprocess.run(
            command, cwd=led.stores.origin, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("update-ref", "refs/heads/main", git("commit-tree", "HEAD^{tree}", "-m", "One commit for all"))
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")
    shutil.rmtree(led.stores.home / "mirror.git")
    expected = (
        f"expected commit '{led.commit}' with params.yaml and its batches in the origin, got no such commit"
    )
    with pytest.raises(Unfit, match=expected):
        reproduce(FIRST, tolerance=0.0)


def test_a_batch_whose_data_was_deleted_is_named(led: Loop) -> None:
    batch = led.ledger.require(Version, FIRST).training.batches[0].batch
    md5 = md5_of(led.origin.show(pointer(batch), led.commit))
    cached(led.stores, md5).write_bytes(b"broken")
    (Path(led.stores.dvc_remote) / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    expected = (
        rf"expected the data of batch {batch} \(MD5 {md5}\) in the DVC remote, got no such object. Restore"
    )
    with pytest.raises(Unfit, match=expected):
        reproduce(FIRST, tolerance=0.0)


def test_a_version_whose_rows_were_erased_is_refused(led: Loop) -> None:
    batch = led.ledger.require(Version, FIRST).training.batches[0].batch
    md5 = md5_of(led.origin.show(pointer(batch), led.commit))
    row = led.origin.fetch_batch(batch, md5=md5, commit=led.commit)["row_id"][0]
    erase_rows([str(row)], actor="ops", reason="asked to")
    assert FIRST in led.ledger.all(Erasure)[0].versions
    expected = rf"got batches without the rows that were erased \({batch}\). Retrain to replace the version"
    with pytest.raises(Unfit, match=expected):
        reproduce(FIRST, tolerance=0.0)


def test_a_run_that_mlflow_lost_is_named(led: Loop) -> None:
    (artifact,) = led.stores.home.parent.glob(f"mlruns/*/{run_id(led, FIRST)}/artifacts/run.yaml")
    artifact.unlink()
    with pytest.raises(Unfit, match=f"Expected MLflow to have run {run_id(led, FIRST)} with run.yaml"):
        reproduce(FIRST, tolerance=0.0)


def test_a_training_that_fails_leaves_no_folder(led: Loop, tmp_path: Path) -> None:
    retag(led, FIRST, commit_params(led, tmp_path / "clone", model__estimator="sklearn.nothing.Model"))
    with pytest.raises(Unfit, match="model.estimator: should be the import path"):
        reproduce(FIRST, tolerance=0.0)
    assert clones(led) == []
