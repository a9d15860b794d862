"""Gradient boosting that the workers of a Dask cluster fit, as an estimator for `model.estimator`.

What comes out is XGBoost's own model: the service and the gate need no cluster, and no Dask. The rows of a training pass
through the process that trains one batch at a time: it writes the design matrix to files of the run's folder, from
which the workers read theirs; all of them together hold it, 8 bytes a value, and its sketches and histograms. The
code that makes features is that of the run's commit, and the workers need none of it. XGBoost adds their histograms up
as they come in: two trainings on the same rows agree to rounding, and not to the bit.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from xgboost import XGBClassifier, XGBRegressor

PATIENCE_SECONDS = 60
Matrix = npt.NDArray[np.float64]


class _Distributed:
    """What both estimators have beside XGBoost's own.

    Args:
        scheduler: Address of the cluster's scheduler, such as `tcp://dask-scheduler:8786`.
        partition_rows: Rows that a worker takes at a time.
        random_state: Seed.
        settings: As XGBoost's estimator takes them.
    """

    def __init__(
        self, *, scheduler: str = "", partition_rows: int = 100_000, random_state: int = 0, **settings: Any
    ) -> None:
        self.scheduler, self.partition_rows = scheduler, partition_rows
        super().__init__(random_state=random_state, **settings)  # type: ignore[call-arg]  # mypy knows object's only

    def fit(self, X: Matrix, y: npt.NDArray[Any]) -> Any:
        """Fit on `X` of shape `(n, features)`, NaN for what is missing, and `y` of shape `(n,)`.

        The labels of a classifier are numbers of classes.

        Raises:
            ValueError: No cluster answers at `scheduler`, or it has no worker.
        """
        import dask.array

        cut: Any = dask.array.from_array
        with self._cluster() as client:
            rows, truths = cut(X, chunks=(self.partition_rows, -1)), cut(y, chunks=self.partition_rows)
            return self._fit(client, rows, truths)

    def fit_parts(self, parts: Iterable[tuple[Matrix, npt.NDArray[Any]]], *, folder: Path) -> Any:
        """Fit as `fit` on matrices and labels that come one after another.

        Args:
            parts: At least one pair.
            folder: Where the design matrix lies meanwhile; the workers read it under the same path.

        Raises:
            ValueError: As `fit`, or a worker cannot read `folder`.
        """
        with self._cluster() as client, tempfile.TemporaryDirectory(dir=folder, prefix="design-") as place:
            seen = client.run(os.access, place, os.R_OK | os.X_OK)
            blind = [address for address, sees in seen.items() if not sees]
            if blind:
                raise ValueError(f"the Dask workers at {', '.join(blind)} cannot read {place}")
            return self._fit(client, *_chunks(parts, Path(place), self.partition_rows))

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        from distributed import Client

        try:
            client = Client(self.scheduler, timeout=PATIENCE_SECONDS)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise ValueError(f"no Dask scheduler answers at {self.scheduler!r}: {error}") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
            except TimeoutError as error:
                raise ValueError(f"the Dask scheduler at {self.scheduler} has no worker") from error
            yield client

    def _fit(self, client: Any, rows: Any, truths: Any) -> Any:
        from xgboost import dask as engine

        model: Any = self
        own = ("scheduler", "partition_rows")
        settings = {name: value for name, value in model.get_params().items() if name not in own}
        fitted = getattr(engine, type(self).__name__)(**settings)
        fitted.client = client
        fitted.fit(rows, truths)
        model.load_model(bytearray(fitted.get_booster().save_raw("ubj")))
        return model


class DaskXGBClassifier(_Distributed, XGBClassifier):
    """`xgboost.XGBClassifier`, fitted by all workers of a Dask cluster (Chen and Guestrin 2016, KDD)."""


class DaskXGBRegressor(_Distributed, XGBRegressor):
    """`xgboost.XGBRegressor`, fitted by all workers of a Dask cluster."""


def _chunks(parts: Iterable[tuple[Matrix, npt.NDArray[Any]]], folder: Path, most: int) -> tuple[Any, Any]:
    """Write parts to files of so many rows at most, and return them as Dask's arrays, a file a chunk."""
    import dask.array

    chunks: tuple[list[Any], list[Any]] = [], []
    for pair in parts:
        for first in range(0, len(pair[1]), most):
            for place, values in enumerate(pair):
                path = folder / f"{len(chunks[place])}-{place}.npy"
                chunks[place].append(_chunk(values[first : first + most], path))
    joined: Any = dask.array.concatenate
    return joined(chunks[0]), joined(chunks[1])


def _chunk(values: npt.NDArray[Any], path: Path) -> Any:
    import dask.array
    from dask.delayed import delayed

    np.save(path, values)
    later: Any = delayed
    lazy: Any = dask.array.from_delayed
    return lazy(later(np.load)(path), values.shape, values.dtype)
