"""A model that two worker processes of a Dask cluster fit, chosen in `params.yaml` alone: trained, scored, deployed, loaded without Dask."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from distributed import Client
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from tests.integration.remotes.servers import HOST, free_port, running
from tests.support import playground
from tests.support.builders import shops
from tests.support.moments import Site
from trimtab import params
from trimtab.errors import ParamsError
from trimtab.ledger import Version
from trimtab.loop.loop import Loop
from trimtab.registry import load
from trimtab.train.distributed import DaskXGBRegressor
from trimtab.train.features import design, encoder, targets
from trimtab.train.fit import build, fit
from trimtab.train.row_groups import write

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

BATCH_ROWS, WIDTH, TREES = 80_000, 8, 4
FIT_AND_SAY = """
import sys
from pathlib import Path
from sklearn.metrics import log_loss
from tests.integration.test_distributed import numbers
from trimtab.train.features import design, targets
from trimtab.train.fit import build, fit_rows
from trimtab.train.row_groups import Rows, read
scheduler, path, batches = sys.argv[1:]
wanted, found = numbers(scheduler), read(Path(path))
rows = Rows(found.parts[: int(batches)])
pipeline = fit_rows(build(wanted), wanted, rows)
probe = found.parts[0].read()
loss = log_loss(targets(probe, wanted.data), pipeline.predict_proba(design(probe, wanted.data))[:, 1])
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(len(rows), int(peak.split()[1]) / 1000, loss)
"""


@dataclass(frozen=True)
class DaskCluster:
    """A scheduler and its workers."""

    address: str
    workers: list[psutil.Process]

    def worked(self) -> list[float]:
        """The seconds of processor that each worker took."""
        return [worker.cpu_times().user for worker in self.workers]


@contextmanager
def working(address: str, folder: Path, *more: str) -> Iterator[None]:
    """Run a worker with one thread."""
    folder.mkdir()
    own = free_port()
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--worker-port", str(own)]
    worker += ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", HOST]
    worker += ["--local-directory", str(folder), *more]
    with running(*worker, port=own, folder=folder):
        yield


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    port = free_port()
    address = f"tcp://{HOST}:{port}"
    with ExitStack() as stack:
        command = (sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", HOST, "--no-dashboard")
        stack.enter_context(running(*command, "--port", str(port), port=port, folder=tmp_path))
        before = set(psutil.Process().children())
        for name in ("one", "two"):
            stack.enter_context(working(address, tmp_path / name))
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
    loop = site.empty(monkeypatch, "dask", **chosen, model__trusted_types=[*defaults, *TRUSTED])
    playground.take_in(loop, range(4))
    idle = dask.worked()
    playground.monitored()
    done = playground.answered("first")
    assert done is not None and done["action"] == "DEPLOY", done
    assert all(after > before for before, after in zip(idle, dask.worked(), strict=True))

    (version,) = loop.registry.in_stage(loop.model, "Production")
    training = loop.ledger.require(Version, version).training
    batches = {manifest.batch for manifest in training.batches}
    frame = playground.thin(playground.weeks()[4]).query("label.notna()")
    rows, truths = design(frame, loop.params.data), targets(frame, loop.params.data)
    pipeline = load.load(training.source, training.digest, loop.params.model.trusted_types, cache=tmp_path)
    answered = pipeline.predict_proba(rows)[:, 1]
    assert abs(log_loss(truths, answered) - log_loss(truths, local(loop, batches, rows))) < AS_GOOD

    rows.to_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-c", LOAD_WITHOUT_DASK, training.source, training.digest]
    trusted = f"{[*loop.params.model.trusted_types]}".replace("'", '"')
    subprocess.run([*command, trusted, str(tmp_path), str(tmp_path / "rows.parquet")], check=True)
    assert np.load(tmp_path / "answers.npy").tolist() == answered.tolist()


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


def numbers(scheduler: str) -> params.Params:
    """Parameters of a model of numbers alone, on the cluster when there is one."""
    number = {"kind": "number", "nullable": False, "min": -9.0, "max": 9.0}
    settings = {"n_estimators": TREES, "max_depth": 3, "tree_method": "hist", "n_jobs": 1}
    return shops(
        data__features={f"x{place}": number for place in range(WIDTH)},
        model__estimator=KIND if scheduler else "xgboost.XGBClassifier",
        model__settings=settings | ({"scheduler": scheduler} if scheduler else {}),
    )


@dataclass(frozen=True)
class Fitted:
    """What a process said that fitted, and ended."""

    rows: int
    megabytes: float
    loss: float


def drawn(batches: int) -> Iterator[pd.DataFrame]:
    """Batches whose label hangs on the first number."""
    for batch in range(batches):
        draw = np.random.default_rng(batch)
        values = draw.normal(size=(BATCH_ROWS, WIDTH)).clip(-9, 9)
        frame = pd.DataFrame(values, columns=[f"x{place}" for place in range(WIDTH)])
        yield frame.assign(
            label=(values[:, 0] > draw.normal(size=BATCH_ROWS)).astype("int64"), batch=f"{batch:03}"
        )


def fitted_in_a_process(scheduler: str, path: Path, batches: int) -> Fitted:
    command = [sys.executable, "-c", FIT_AND_SAY, scheduler, str(path), str(batches)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=playground.ROOT)
    rows, megabytes, loss = done.stdout.split()
    return Fitted(int(rows), float(megabytes), float(loss))


def test_what_trains_holds_a_batch_and_the_workers_all_rows(dask: DaskCluster, tmp_path: Path) -> None:
    """Peak memory of a process that fits 1.6 million rows in 20 batches, above that of one that fits 2 of them."""
    path = tmp_path / "train.parquet"
    schema = pa.Schema.from_pandas(next(drawn(1)), preserve_index=False).remove_metadata()
    write(path, schema, drawn(20))
    few, many = (fitted_in_a_process(dask.address, path, batches) for batches in (2, 20))
    assert many.rows == 20 * BATCH_ROWS
    matrix = many.rows * WIDTH * 8 / 1e6
    assert many.megabytes - few.megabytes < matrix / 2, (few, many, matrix)
    at_once = fitted_in_a_process("", path, 20)
    assert at_once.megabytes - few.megabytes > matrix, (few, at_once, matrix)
    assert abs(many.loss - at_once.loss) < AS_GOOD
    assert [path.name for path in tmp_path.rglob("design-*")] == []


def test_workers_that_cannot_read_the_run_s_folder_are_named(dask: DaskCluster, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody.py"
    nobody.write_text("import os\n\ndef dask_setup(worker):\n    os.setuid(65534)\n")
    parts = [(np.ones((10, 2)), np.arange(10))]
    with working(dask.address, tmp_path / "three", "--preload", str(nobody)):
        with Client(dask.address) as client:  # its port is open before the scheduler knows it
            client.wait_for_workers(3, timeout=60)
        model = DaskXGBRegressor(scheduler=dask.address)
        with pytest.raises(ValueError, match=rf"the Dask workers at tcp://{HOST}:\d+ cannot read .*design-"):
            model.fit_parts(parts, folder=tmp_path)


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.train.distributed.CONNECT_TIMEOUT_SECONDS", 1)
    nowhere = f"tcp://{HOST}:{free_port()}"
    parameters = params.load(playground.ROOT / params.FILE)
    settings = SETTINGS | {"scheduler": nowhere}
    parameters = parameters.model_copy(
        update={"model": parameters.model.model_copy(update={"estimator": KIND, "settings": settings})}
    )
    week = playground.thin(playground.weeks()[0]).query("label.notna()")
    with pytest.raises(ParamsError, match=f"no Dask scheduler answers at .*{nowhere}"):
        fit(build(parameters), parameters, week)
