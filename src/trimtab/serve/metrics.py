"""What Prometheus reads of the service; every label is bounded, and every series names the model."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "trimtab_requests", "Requests answered.", ["model", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "trimtab_request_seconds",
            "Time from request to answer.",
            ["model", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._predictions = Counter(
            "trimtab_predictions", "Rows predicted.", ["model", "version"], registry=self._registry
        )
        self._unseen = Counter(
            "trimtab_unseen_categories",
            "Undeclared categories served.",
            ["model", "feature"],
            registry=self._registry,
        )
        self._version = Gauge(
            "trimtab_serving_version", "The version that answers.", ["model"], registry=self._registry
        )
        self._failures = Gauge(
            "trimtab_reload_failures",
            "Times the champion could not be taken over.",
            ["model"],
            registry=self._registry,
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(self.model, route, str(status)).inc()
        self._seconds.labels(self.model, route).observe(seconds)

    def predicted(self, version: str, rows: int, unseen: dict[str, int]) -> None:
        """Count predicted rows."""
        self._predictions.labels(self.model, version).inc(rows)
        for feature, count in unseen.items():
            self._unseen.labels(self.model, feature).inc(count)

    def text(self, version: str | None, failures: int) -> bytes:
        """Return the exposition."""
        self._version.labels(self.model).set(int(version) if version else 0)
        self._failures.labels(self.model).set(failures)
        return generate_latest(self._registry)
