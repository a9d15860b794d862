"""`trimtab metrics`: the loop's figures in Prometheus' text format, read from the ledger when somebody asks.

Pulled, not pushed: the loop's state is in the ledger, so whoever reads it at scrape time is right after every crash, while
a Pushgateway goes on showing what a dead run pushed last, and counters would have to be pushed by whoever came first.
"""

import threading
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from trimtab.steps.facts import Facts
from trimtab.steps.figures import families
from trimtab.steps.loop import Loop, open_loop
from trimtab.steps.monitor import unmonitored_by

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition() -> bytes:
    """Read the ledger, and return the text.

    Raises:
        StoreUnreachable: The origin or the ledger does not answer.
    """
    return rendered(read(open_loop()))


def rendered(facts: Facts) -> bytes:
    """Return facts as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(families(facts)))
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

    def text(self) -> bytes:
        """Return the text; errors as `exposition`, which are not kept."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._seconds:
                self._kept = None
                self._kept = time.monotonic(), exposition()
            return self._kept[1]


class _Once(Collector):
    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterable[Metric]:
        return self._found
