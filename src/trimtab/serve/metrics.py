"""What Prometheus reads of the service; every label is bounded, and every series names the model."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trimtab.serve.holder import ModelHolder

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters of one service, in a registry of their own.

    Args:
        model: The registered model's name.
        categorical: The features whose undeclared values are counted.
        holder: Says which version answers, and how often one could not be taken over.
    """

    def __init__(self, model: str, categorical: Iterable[str], holder: ModelHolder) -> None:
        self._model = model
        self._registry = CollectorRegistry()
        self._requests = self._counter("trimtab_requests", "Requests answered.", "route", "status")
        self._predictions = self._counter("trimtab_predictions", "Rows predicted.", "version")
        self._unseen = self._counter("trimtab_unseen_categories", "Undeclared categories served.", "feature")
        self._faults = self._counter("trimtab_faults", "Faults found in refused requests.")
        self._outcomes = self._counter("trimtab_outcomes", "Outcomes learnt: new ones and corrections.")
        self._seconds = Histogram(
            "trimtab_request_seconds",
            "Time from request to answer.",
            ["model", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        # A series that is there from the start shows its first increase.
        for series in (self._faults, self._outcomes):
            series.labels(model)
        for feature in categorical:
            self._unseen.labels(model, feature)
        self._registry.register(_HolderState(model, holder))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the rule that matched, never the path that a client made up."""
        self._requests.labels(self._model, route, str(status)).inc()
        self._seconds.labels(self._model, route).observe(seconds)

    def predicted(self, version: str, rows: int, unseen: Mapping[str, int]) -> None:
        """Count predicted rows, and undeclared categories in them by feature."""
        self._predictions.labels(self._model, version).inc(rows)
        for feature, count in unseen.items():
            self._unseen.labels(self._model, feature).inc(count)

    def refused(self, faults: int) -> None:
        """Count the faults of one refused request."""
        self._faults.labels(self._model).inc(faults)

    def learnt(self, outcomes: int) -> None:
        """Count outcomes that were new."""
        self._outcomes.labels(self._model).inc(outcomes)

    def text(self) -> bytes:
        """Return the exposition."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, ["model", *labels], registry=self._registry)


class _HolderState(Collector):
    """Read at each scrape, so that no series of a former version stays behind."""

    def __init__(self, model: str, holder: ModelHolder) -> None:
        self._model, self._holder = model, holder

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "trimtab_model_info", "1 for the version that answers.", labels=["model", "version"]
        )
        serving = self._holder.serving
        if serving is not None:
            info.add_metric([self._model, serving.champion.version], 1)
        errors = CounterMetricFamily(
            "trimtab_reload_errors", "Looks at the registry that failed.", labels=["model"]
        )
        errors.add_metric([self._model], self._holder.failures)
        return [info, errors]
