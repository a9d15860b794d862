"""A model that two worker processes of a Dask cluster fit, chosen in `params.yaml` alone: trained, judged, promoted, loaded without Dask."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from tests.integration import playground
from tests.integration.moments import Site
from tests.integration.remotes.servers import HOST, free_port, running
from trimtab import params
from trimtab.errors import ParamsError
from trimtab.registry import load
from trimtab.steps.loop import Loop
from trimtab.train.distributed import DaskXGBRegressor
from trimtab.train.features import design, encoder, targets
from trimtab.train.fit import build, fit

SETTINGS = {"n_estimators": 20, "learning_rate": 0.2, "max_depth": 4, "tree_method": "hist", "n_jobs": 1}
KIND = "trimtab.train.distributed.DaskXGBClassifier"
TRUSTED = [KIND, "xgboost.core.Booster"]
AS_GOOD = 0.01
"""Log loss; the two differ by their sketches of the features, which each worker makes of its own rows."""
LOAD_WITHOUT_DASK = """
import sys
sys.modules["dask"] = sys.modules["distributed"] = None
import json, numpy, pandas
from pathlib import Path
from trimtab.registry.load import load
source, digest, trusted, cache, rows = sys.argv[1:]
pipeline = load(source, digest, json.loads(trusted), cache=Path(cache))
numpy.save(cache + "/answers.npy", pipeline.predict_proba(pandas.read_parquet(rows))[:, 1])
"""


@dataclass(frozen=True)
class DaskCluster:
    """A scheduler and its workers."""

    address: str
    workers: list[psutil.Process]

    def worked(self) -> list[float]:
        """The seconds of processor that each worker took."""
        return [one.cpu_times().user for one in self.workers]


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    port = free_port()
    address = f"tcp://{HOST}:{port}"
    with ExitStack() as stack:
        command = (sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", HOST, "--no-dashboard")
        stack.enter_context(running(*command, "--port", str(port), port=port, folder=tmp_path))
        before = set(psutil.Process().children())
        for name in ("one", "two"):
            own, folder = free_port(), tmp_path / name
            folder.mkdir()
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--worker-port", str(own)]
            worker += ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", HOST]
            worker += ["--local-directory", str(folder)]
            stack.enter_context(running(*worker, port=own, folder=folder))
        workers = [*set(psutil.Process().children()) - before]
        assert len(workers) == 2
        yield DaskCluster(address, workers)


def test_the_loop_closes_on_a_model_that_two_workers_fitted(
    dask: DaskCluster, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = {
        "model__estimator": KIND,
        "model__settings": SETTINGS | {"scheduler": dask.address, "partition_rows": 500},
    }
    defaults = params.load(playground.ROOT / params.FILE).model.trusted_types
    loop = site.empty(
        monkeypatch, "dask", gate__refit=False, **chosen, model__trusted_types=[*defaults, *TRUSTED]
    )
    playground.take_in(loop, range(4))
    idle = dask.worked()
    done = playground.retrained("first")
    assert done["verdict"] == "PROMOTE", done
    assert all(after > before for before, after in zip(idle, dask.worked(), strict=True))

    known = loop.ledger.versions(loop.model)
    (version,) = loop.registry.in_stage(loop.model, "Production")
    training = known[version].training
    batches = {one.batch for one in training.batches}
    frame = playground.thin(playground.weeks()[4]).query("label.notna()")
    rows, truths = design(frame, loop.params.data), targets(frame, loop.params.data)
    pipeline = load.load(training.source, training.digest, loop.params.model.trusted_types, cache=tmp_path)
    found = pipeline.predict_proba(rows)[:, 1]
    assert abs(log_loss(truths, found) - log_loss(truths, local(loop, batches, rows))) < AS_GOOD

    rows.to_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-c", LOAD_WITHOUT_DASK, training.source, training.digest]
    trusted = f"{[*loop.params.model.trusted_types]}".replace("'", '"')
    subprocess.run([*command, trusted, str(tmp_path), str(tmp_path / "rows.parquet")], check=True)
    assert np.load(tmp_path / "answers.npy").tolist() == found.tolist()


def local(
    loop: Loop, batches: set[str], rows: pd.DataFrame
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """What XGBoost answers that was fitted here, on the same rows with the same settings."""
    weeks = [week for week in playground.weeks() if week.batch in batches]
    assert len(weeks) == len(batches) >= 2
    past = pd.concat([playground.thin(week) for week in weeks]).query("label.notna()")
    model = Pipeline(
        [("encode", encoder(loop.params.data)), ("estimator", XGBClassifier(**SETTINGS, random_state=7))]
    )
    model.fit(design(past, loop.params.data), targets(past, loop.params.data))
    return model.predict_proba(rows)[:, 1]


def test_a_number_is_fitted_by_the_workers_too(dask: DaskCluster) -> None:
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(3000, 3))
    model = DaskXGBRegressor(scheduler=dask.address, partition_rows=700, n_estimators=60).fit(
        rows, rows[:, 0] * 3
    )
    assert np.corrcoef(model.predict(rows), rows[:, 0])[0, 1] > 0.98


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.train.distributed.PATIENCE_SECONDS", 1)
    nowhere = f"tcp://{HOST}:{free_port()}"
    wanted = params.load(playground.ROOT / params.FILE)
    settings = SETTINGS | {"scheduler": nowhere}
    wanted = wanted.model_copy(
        update={"model": wanted.model.model_copy(update={"estimator": KIND, "settings": settings})}
    )
    week = playground.thin(playground.weeks()[0]).query("label.notna()")
    with pytest.raises(ParamsError, match=f"no Dask scheduler answers at .*{nowhere}"):
        fit(build(wanted), wanted, week)
