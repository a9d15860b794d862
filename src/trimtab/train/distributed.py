"""Gradient boosting that the workers of a Dask cluster fit, as an estimator for `model.estimator`.

What comes out is XGBoost's own model: the service and the gate need no cluster, and no Dask. The design matrix passes
through the process that trains, 8 bytes a value; its copies, the sketches and the histograms, which are what training takes
memory and time for, are the workers'. XGBoost adds their histograms up as they come in: two trainings on the
same rows agree to rounding, and not to the bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from xgboost import XGBClassifier, XGBModel, XGBRegressor

PATIENCE_SECONDS = 60


class DaskXGBClassifier(XGBClassifier):
    """`xgboost.XGBClassifier`, fitted by all workers of a Dask cluster (Chen and Guestrin 2016, KDD).

    Args:
        scheduler: Address of the cluster's scheduler, such as `tcp://dask-scheduler:8786`.
        partition_rows: Rows that travel to a worker at a time.
        random_state: Seed.
        settings: As `xgboost.XGBClassifier` takes them.
    """

    def __init__(
        self, *, scheduler: str = "", partition_rows: int = 100_000, random_state: int = 0, **settings: Any
    ) -> None:
        self.scheduler, self.partition_rows = scheduler, partition_rows
        super().__init__(random_state=random_state, **settings)

    def fit(self, X: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> "DaskXGBClassifier":
        """Fit on `X` of shape `(n, features)`, NaN for what is missing, and `y` of shape `(n,)`, numbers of classes.

        Raises:
            ValueError: No cluster answers at `scheduler`, or it has no worker.
        """
        _fit(self, "DaskXGBClassifier", X, y)
        return self


class DaskXGBRegressor(XGBRegressor):
    """`xgboost.XGBRegressor`, fitted by all workers of a Dask cluster; arguments as `DaskXGBClassifier`'s."""

    def __init__(
        self, *, scheduler: str = "", partition_rows: int = 100_000, random_state: int = 0, **settings: Any
    ) -> None:
        self.scheduler, self.partition_rows = scheduler, partition_rows
        super().__init__(random_state=random_state, **settings)

    def fit(self, X: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> "DaskXGBRegressor":
        """Fit on `X` of shape `(n, features)`, NaN for what is missing, and `y` of shape `(n,)`.

        Raises:
            ValueError: No cluster answers at `scheduler`, or it has no worker.
        """
        _fit(self, "DaskXGBRegressor", X, y)
        return self


def _fit(model: XGBModel, kind: str, rows: npt.NDArray[Any], truths: npt.NDArray[Any]) -> None:
    import dask.array
    from distributed import Client
    from xgboost import dask as engine

    own = ("scheduler", "partition_rows")
    settings = {name: value for name, value in model.get_params().items() if name not in own}
    try:
        client = Client(model.scheduler, timeout=PATIENCE_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {model.scheduler!r}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
        except TimeoutError as error:
            raise ValueError(f"the Dask scheduler at {model.scheduler} has no worker") from error
        cut: Any = dask.array.from_array
        fitted = getattr(engine, kind)(**settings)
        fitted.client = client
        fitted.fit(cut(rows, chunks=(model.partition_rows, -1)), cut(truths, chunks=model.partition_rows))
    model.load_model(bytearray(fitted.get_booster().save_raw("ubj")))
