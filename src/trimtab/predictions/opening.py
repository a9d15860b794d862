"""Chooses the store of the prediction log by the scheme of its URL."""

from urllib.parse import urlsplit

from trimtab import params
from trimtab.errors import Unfit
from trimtab.predictions.mongo import MongoLog
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.sql import SqlLog


def open_log(url: str, settings: params.Predictions) -> PredictionLog:
    """Return the log at a URL: `sqlite:///file`, `postgresql://...` or `mongodb://...`. It does not connect yet.

    Raises:
        Unfit: The URL has another scheme.
    """
    scheme = urlsplit(url).scheme
    kind = scheme.partition("+")[0]
    if kind == "mongodb":
        return MongoLog(url, settings)
    if kind in ("sqlite", "postgresql"):
        return SqlLog(url, settings)
    raise Unfit(
        f"TRIMTAB_PREDICTION_LOG_URL: expected sqlite:///..., postgresql://... or mongodb://..., got {scheme}://...",
        "Set it to a URL of one of these kinds.",
    )
