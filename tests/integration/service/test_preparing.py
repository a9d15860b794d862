"""A version is compared with what was logged when it was trained, before it answers."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest

from tests.support.builders import sales, shops
from tests.support.mlflow_template import empty_mlflow
from tests.unit.serve.shelf import NOON, ROW
from trimtab import settings
from trimtab.contracts import ModelVersion
from trimtab.data.recipes import recipe_of
from trimtab.errors import StoreUnreachable, UnsafeModel
from trimtab.origin.origin import Origin
from trimtab.registry import load, tracking
from trimtab.registry.mlflow_store import Store
from trimtab.serve.preparing import preparer
from trimtab.train.features import design
from trimtab.train.fit import build, fit, predict

WANTED = shops()
TAGS = {
    "trimtab.commit": "c0ffee",
    "trimtab.batch.2026-W02": "revision 1, md5 abc",
    "trimtab.cutoff": "later",
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    uri = empty_mlflow(tmp_path / "mlflow.db")
    # Not `mlflow.set_tracking_uri`: that would stay set for every later test of this process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "var"))
    return Store(uri)


def test_what_was_trained_is_served_with_its_origin(store: Store, tmp_path: Path) -> None:
    frame = sales()
    frame.loc[1, "shop"], frame.loc[2, "price"] = None, np.nan
    pipeline = fit(build(WANTED), WANTED, frame)
    with tracking.open_run("training", tags=TAGS) as run:
        source, digest = tracking.log_pipeline(
            pipeline, design(frame.head(5), WANTED.data), WANTED.model.trusted_types
        )
    version = ModelVersion(version="1", run_id=run, source=source, digest=digest, trained_through=NOON)
    prepare = preparer(store, Origin(settings.read()), WANTED, tmp_path / "models")

    ready = prepare(version)
    assert ready.scorer.fast
    assert (ready.commit, ready.batches) == ("c0ffee", {"2026-W02": "revision 1, md5 abc"})
    expected = predict(pipeline, WANTED, frame.head(1).assign(**ROW))
    assert ready.scorer.answers([ROW]).tolist() == expected.tolist()

    example = load.read_example(store.uri, run)
    assert example is not None
    assert [row["shop"] for row in example.rows][1] is None
    forged = tmp_path / "example.json"
    forged.write_text(json.dumps({"rows": example.rows, "predicted": example.predicted[::-1]}))
    mlflow.MlflowClient(store.uri).log_artifact(run, str(forged))
    with pytest.raises(
        UnsafeModel, match="expected the answers to its example that were logged .*, got others"
    ):
        prepare(version)


def test_a_version_without_an_example_is_served_and_says_so(store, tmp_path, caplog) -> None:
    pipeline = fit(build(WANTED), WANTED, sales())
    with tracking.open_run("training", tags={}) as run:
        source, digest = tracking.log_pipeline(
            pipeline, design(sales(5), WANTED.data), WANTED.model.trusted_types
        )
    with tracking.open_run("another", tags={}) as other:
        pass
    version = ModelVersion(version="1", run_id=other, source=source, digest=digest, trained_through=NOON)
    ready = preparer(store, Origin(settings.read()), WANTED, tmp_path / "models")(version)
    assert (ready.commit, ready.batches) == (None, {})
    assert "its answers are not compared" in caplog.text
    assert run != other


def test_a_version_that_the_parameters_cannot_describe_needs_the_commit_that_trained_it(
    store, tmp_path
) -> None:
    pipeline = fit(build(WANTED), WANTED, sales())
    with tracking.open_run("training", tags=TAGS) as run:
        source, digest = tracking.log_pipeline(
            pipeline, design(sales(5), WANTED.data), WANTED.model.trusted_types
        )
    version = ModelVersion(
        version="1", run_id=run, source=source, digest=digest, trained_through=NOON, recipe=recipe_of(WANTED)
    )
    price = {"price": WANTED.data.features["price"].model_dump()}
    prepare = preparer(store, Origin(settings.read()), shops(data__features=price), tmp_path / "models")
    with pytest.raises(StoreUnreachable, match="The origin at .* does not answer"):
        prepare(version)
