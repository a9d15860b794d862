"""A model is loaded only when its bytes and its types are what the ledger and the trust list say."""

from pathlib import Path

import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops.io import dump

from tests.support.builders import sales, shops
from trimtab import files
from trimtab.errors import UnsafeModel
from trimtab.registry.load import MODEL_FILE, load
from trimtab.train.fit import build, fit, predict

WANTED = shops()


def cached(folder: Path, pipeline: object) -> str:
    """Put a model where `load` keeps its files; return the digest."""
    dump(pipeline, folder / "draft.skops")
    digest = files.digest(folder / "draft.skops")
    (folder / digest).mkdir()
    (folder / "draft.skops").rename(folder / digest / MODEL_FILE)
    return digest


def test_a_vouched_model_predicts_as_it_did(tmp_path: Path) -> None:
    model = fit(build(WANTED), WANTED, sales())
    digest = cached(tmp_path, model)
    again = load("models:/m-1", digest, WANTED.model.trusted_types, cache=tmp_path)
    assert (predict(again, WANTED, sales(9)) == predict(model, WANTED, sales(9))).all()


def test_a_changed_byte_is_refused_and_the_file_is_not_kept(tmp_path: Path) -> None:
    digest = cached(tmp_path, fit(build(WANTED), WANTED, sales()))
    path = tmp_path / digest / MODEL_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UnsafeModel, match=f"expected a file with the digest {digest} of the ledger"):
        load("models:/m-1", digest, WANTED.model.trusted_types, cache=tmp_path)
    assert not path.exists()


def test_a_type_that_is_not_on_our_list_is_refused(tmp_path: Path) -> None:
    digest = cached(tmp_path, fit(build(WANTED), WANTED, sales()))
    with pytest.raises(UnsafeModel, match="expected types of model.trusted_types only, got .*TreePredictor"):
        load("models:/m-1", digest, [], cache=tmp_path)


def test_a_dangerous_function_is_refused(tmp_path: Path) -> None:
    import os

    digest = cached(tmp_path, Pipeline([("run", FunctionTransformer(os.system))]))
    with pytest.raises(UnsafeModel, match="posix.system"):
        load("models:/m-1", digest, WANTED.model.trusted_types, cache=tmp_path)


def test_something_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    digest = cached(tmp_path, {"not": "a pipeline"})
    with pytest.raises(UnsafeModel, match="expected a scikit-learn pipeline, got dict"):
        load("models:/m-1", digest, [], cache=tmp_path)


def test_an_artifact_that_vouches_for_its_own_dangerous_type_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader of MLflow takes the list from the artifact's own MLmodel file: it runs what it is told to trust."""
    import os

    import mlflow
    import yaml
    from mlflow.models import Model

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    artifact = tmp_path / "artifact"
    mlflow.sklearn.save_model(
        Pipeline([("run", FunctionTransformer(os.system))]),
        str(artifact),
        serialization_format="skops",
        skops_trusted_types=["posix.system"],
        pip_requirements=[],
    )
    assert "posix.system" in yaml.safe_dump(Model.load(str(artifact)).to_dict())
    theirs = mlflow.sklearn.load_model  # called nowhere else: a contract test forbids it
    assert isinstance(theirs(str(artifact)), Pipeline)

    digest = files.digest(artifact / MODEL_FILE)
    with pytest.raises(UnsafeModel, match="expected types of model.trusted_types only, got posix.system too"):
        load(str(artifact), digest, WANTED.model.trusted_types, cache=tmp_path / "cache")
    with pytest.raises(UnsafeModel, match="expected a file with the digest"):
        load(str(artifact), "0" * 64, WANTED.model.trusted_types, cache=tmp_path / "cache")


def test_an_artifact_without_a_model_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "MLmodel").write_text("flavors: {}")
    with pytest.raises(UnsafeModel, match="its artifact holds no model.skops"):
        load(str(tmp_path / "artifact"), "0" * 64, [], cache=tmp_path / "cache")
