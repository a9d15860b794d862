"""`trimtab loop metrics`: the loop's figures in Prometheus' text format, read from the ledger when somebody asks.

Pulled, not pushed: the loop's state is in the ledger, so whoever reads it at scrape time is right after every crash, while
a Pushgateway goes on showing what a dead run pushed last, and counters would have to be pushed by whoever came first.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from trimtab import settings
from trimtab.errors import TrimtabError
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.monitor import unmonitored_by
from trimtab.views.prometheus_inputs import Facts, labelled
from trimtab.views.prometheus_loop import families

log = logging.getLogger(__name__)

Models = Mapping[str, Mapping[str, str]]
"""The settings of each of many models, by its name."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(models: Models | None = None) -> bytes:
    """Read the ledger, and return the text: of the environment's model, or of many.

    Of many, one that cannot be read leaves its series out and says so in `trimtab_model_read`.

    Raises:
        StoreUnreachable: The origin or the ledger does not answer; of many, no model's.
    """
    return rendered(read(open_loop())) if models is None else _of_many(models)


def _of_many(models: Models) -> bytes:
    found: dict[str, Facts] = {}
    failed: Exception | None = None
    for name, values in models.items():
        try:
            with settings.for_model(values):
                found[name] = read(open_loop())
        except (TrimtabError, SQLAlchemyError, OSError) as error:
            log.exception("Model %s cannot be read", name)
            failed = error
    if failed is not None and not found:
        raise failed
    said = labelled(
        "trimtab_model_read",
        "1 for a model whose stores could be read, 0 for one whose series are missing.",
        "model",
        [(name, float(name in found)) for name in models],
    )
    return rendered(*found.values(), beside=[said])


def rendered(*facts: Facts, beside: Iterable[Metric] = ()) -> bytes:
    """Return facts as text: one family of each name, with the series of every model."""
    merged: dict[str, Metric] = {family.name: family for family in beside}
    for one in facts:
        for family in families(one):
            known = merged.setdefault(family.name, family)
            if known is not family:
                known.samples.extend(family.samples)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(merged.values()))
    return generate_latest(registry)


def read(loop: Loop) -> Facts:
    """Collect what the figures are made of; MLflow is not asked."""
    ledger, model = loop.ledger, loop.model
    live, judged = ledger.live(model), ledger.open_judgement(model)
    return Facts(
        wanted=loop.params,
        batches=ledger.batches(model),
        unmonitored=len(unmonitored_by(loop, live.transition.version)) if live else 0,
        observations=ledger.observations(model),
        live=live,
        transitions=ledger.transitions(model),
        waiting=ledger.waiting(model),
        unread=ledger.unread(model),
        decisions=ledger.decisions(model),
        judgements=ledger.judgements(model),
        under_judgement=judged.version if judged else None,
        lease=ledger.lease(loop.lease),
        standing=ledger.standing(model),
        quarantine_open=len(ledger.open_quarantine(model)),
        notices=ledger.notices(model),
    )


class Scraped:
    """The text as scrapers get it: read anew once it is older than `seconds`, by one of them while the others wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: tuple[float, bytes] | None = None

    def text(self, models: Models | None = None) -> bytes:
        """Return the text; errors as `exposition`, which are not kept."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._seconds:
                self._kept = None
                self._kept = time.monotonic(), exposition(models)
            return self._kept[1]


class _Once(Collector):
    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterable[Metric]:
        return self._found
