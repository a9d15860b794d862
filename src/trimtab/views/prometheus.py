"""`trimtab loop metrics`: the loop's metrics in Prometheus' text format, read from the ledger at each scrape.

They are pulled, not pushed. The loop's state is in the ledger, so a scrape is right after every crash. A Pushgateway
would go on showing what a dead run pushed last, and counters need a process that lives on.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from itertools import chain

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from trimtab import settings
from trimtab.errors import TrimtabError
from trimtab.loop.loop import open_loop
from trimtab.views.prometheus_loop import families, gauges

log = logging.getLogger(__name__)

Models = Mapping[str, Mapping[str, str]]
"""The settings of each of many models, by its name."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(models: Models | None = None) -> bytes:
    """Read the ledger, and return the text: for the environment's model, or for many models.

    One of many models that cannot be read has no series, and 0 in `trimtab_model_read`.

    Raises:
        StoreUnreachable: The origin or the ledger does not answer; for many models, none of them.
    """
    return rendered(_read()) if models is None else _of_many(models)


def _of_many(models: Models) -> bytes:
    metrics: dict[str, list[Metric]] = {}
    failure: Exception | None = None
    for name, values in models.items():
        try:
            with settings.for_model(values):
                metrics[name] = _read()
        except (TrimtabError, SQLAlchemyError, OSError) as error:
            log.exception("Model %s cannot be read", name)
            failure = error
    if failure is not None and not metrics:
        raise failure
    available = gauges(
        "trimtab_model_read",
        "1 for a model whose stores could be read, 0 for one whose series are missing.",
        "model",
        {name: float(name in metrics) for name in models},
    )
    return rendered([available, *chain(*metrics.values())])


def _read() -> list[Metric]:
    loop = open_loop()
    return families(loop.ledger, loop.params, loop.lease_name)


def rendered(metrics: Iterable[Metric]) -> bytes:
    """Return the text of the metrics of some models: one family per name, with the series of every model."""
    merged: dict[str, Metric] = {}
    for family in metrics:
        if (first := merged.setdefault(family.name, family)) is not family:
            first.samples.extend(family.samples)
    return generate_latest(_Fixed(merged.values()))


class Scraped:
    """The text for scrapers. It is read again once it is older than `seconds`, by one scraper while the others wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._text = b""

    def text(self, models: Models | None = None) -> bytes:
        """Return the text. After an error of `exposition` the next scraper reads again."""
        with self._lock:
            if time.monotonic() - self._read_at > self._seconds:
                self._text = exposition(models)
                self._read_at = time.monotonic()
            return self._text


class _Fixed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
