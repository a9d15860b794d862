"""Estimators for `model.estimator` that fit gradient boosting on the workers of a Dask cluster.

The result is XGBoost's own model, so the service and the gate need neither Dask nor the cluster. The training process
reads one batch at a time and writes its design matrix to files in the run's folder, and each worker reads its share of
them. Together the workers hold the design matrix, 8 bytes a value, with XGBoost's sketches and histograms. The training
process computes the features, so the workers do not need the code of the run's commit. XGBoost sums the workers'
histograms in the order in which they arrive: two trainings on the same rows agree to rounding, not to the bit.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from xgboost import XGBClassifier, XGBRegressor

CONNECT_TIMEOUT_SECONDS = 60
Matrix = npt.NDArray[np.float64]
Parts = Iterable[tuple[Matrix, npt.NDArray[Any]]]


class _Distributed:
    """What both estimators add to those of XGBoost.

    Args:
        scheduler: Address of the cluster's scheduler, such as `tcp://dask-scheduler:8786`.
        partition_rows: Largest number of rows in one chunk of the design matrix.
        random_state: Seed.
        settings: Any other parameter of XGBoost's estimator.
    """

    def __init__(
        self, *, scheduler: str = "", partition_rows: int = 100_000, random_state: int = 0, **settings: Any
    ) -> None:
        self.scheduler, self.partition_rows = scheduler, partition_rows
        super().__init__(random_state=random_state, **settings)  # type: ignore[call-arg]  # mypy sees object.__init__

    def fit(self, X: Matrix, y: npt.NDArray[Any]) -> Any:
        """Fit on `X` of shape `(n, features)`, NaN for missing values, and `y` of shape `(n,)`.

        A classifier expects class numbers, counted from 0, as labels.

        Raises:
            ValueError: No cluster answers at `scheduler`, or it has no worker.
        """
        import dask.array

        to_dask: Any = dask.array.from_array
        features, labels = to_dask(X, chunks=(self.partition_rows, -1)), to_dask(
            y, chunks=self.partition_rows
        )
        with self._cluster() as client:
            return self._fit(client, features, labels)

    def fit_parts(self, parts: Parts, *, folder: Path) -> Any:
        """Fit on pairs of a feature matrix and labels, shaped as in `fit`, with one pair in memory at a time.

        Args:
            parts: At least one pair.
            folder: Folder for temporary files of the design matrix. The workers read them under the same path.

        Raises:
            ValueError: No cluster answers at `scheduler`, it has no worker, or a worker cannot read `folder`.
        """
        with self._cluster() as client, tempfile.TemporaryDirectory(dir=folder, prefix="design-") as name:
            readable = client.run(os.access, name, os.R_OK | os.X_OK)
            failed = [worker for worker, can_read in readable.items() if not can_read]
            if failed:
                raise ValueError(f"the Dask workers at {', '.join(failed)} cannot read {name}")
            return self._fit(client, *_dask_arrays(parts, Path(name), self.partition_rows))

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        from distributed import Client

        try:
            client = Client(self.scheduler, timeout=CONNECT_TIMEOUT_SECONDS)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise ValueError(f"no Dask scheduler answers at {self.scheduler!r}: {error}") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_SECONDS)
            except TimeoutError as error:
                raise ValueError(f"the Dask scheduler at {self.scheduler} has no worker") from error
            yield client

    def _fit(self, client: Any, features: Any, labels: Any) -> Any:
        from xgboost import dask as xgboost_dask

        model: Any = self
        ours = ("scheduler", "partition_rows")
        settings = {name: value for name, value in model.get_params().items() if name not in ours}
        fitted = getattr(xgboost_dask, type(self).__name__)(**settings)
        fitted.client = client
        fitted.fit(features, labels)
        model.load_model(bytearray(fitted.get_booster().save_raw("ubj")))
        return model


class DaskXGBClassifier(_Distributed, XGBClassifier):
    """`xgboost.XGBClassifier`, fitted by all workers of a Dask cluster (Chen and Guestrin 2016, KDD)."""


class DaskXGBRegressor(_Distributed, XGBRegressor):
    """`xgboost.XGBRegressor`, fitted by all workers of a Dask cluster."""


def _dask_arrays(parts: Parts, folder: Path, max_rows: int) -> tuple[Any, Any]:
    """Write features and labels to files of at most `max_rows` rows, and return Dask arrays with one chunk a file."""
    from dask import array
    from dask.delayed import delayed

    untyped_delayed: Any = delayed
    untyped_array: Any = array
    chunks: tuple[list[Any], list[Any]] = [], []
    for part in parts:
        for start in range(0, len(part[1]), max_rows):
            for values, chunks_of in zip(part, chunks, strict=True):
                path, chunk = folder / f"{uuid4().hex}.npy", values[start : start + max_rows]
                np.save(path, chunk)
                lazy = untyped_delayed(np.load)(path)
                chunks_of.append(untyped_array.from_delayed(lazy, chunk.shape, chunk.dtype))
    return untyped_array.concatenate(chunks[0]), untyped_array.concatenate(chunks[1])
