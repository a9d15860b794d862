"""Chooses the store of the prediction log by the scheme of its URL."""

from urllib.parse import urlsplit

from trimtab import params
from trimtab.errors import Unfit
from trimtab.predictions.mongo import MongoLog
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.sql import SqlLog


def open_log(url: str, wanted: params.Predictions) -> PredictionLog:
    """Return the log at an address: `sqlite:///file`, `postgresql://...` or `mongodb://...`; no store is touched yet.

    Raises:
        Unfit: The address is of another kind.
    """
    scheme = urlsplit(url).scheme
    kind = scheme.partition("+")[0]
    if kind == "mongodb":
        return MongoLog(
            url,
            retention_days=wanted.retention_days,
            timeout_seconds=wanted.timeout_seconds,
            write_seconds=wanted.write_seconds,
        )
    if kind in ("sqlite", "postgresql"):
        return SqlLog(url, retention_days=wanted.retention_days, timeout_seconds=wanted.timeout_seconds)
    raise Unfit(
        f"TRIMTAB_PREDICTION_LOG_URL: expected sqlite:///..., postgresql://... or mongodb://..., got {scheme}://...",
        "Name a log of one of these kinds.",
    )
