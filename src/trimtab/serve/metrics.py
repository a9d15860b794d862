"""The Prometheus metrics of the service. Every label is bounded, and every series has the label `model`."""

import threading
from bisect import bisect_left
from collections import Counter as CountOf
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from trimtab.params import Params
from trimtab.predictions.records import Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve.answers import bucket_bounds
from trimtab.serve.holder import ModelHolder
from trimtab.serve.shadow import Shadow

_Values = Iterable[tuple[Sequence[str], float]]
"""The labels of a series beside `model`, and its value."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_LOG_GAUGES = {
    "queued": ("trimtab_log_queued", "Records that wait to be written to the prediction log."),
    "spooled": (
        "trimtab_log_spooled",
        "Records that wait because the prediction log was unavailable or slow.",
    ),
    "spool_bytes": ("trimtab_log_spool_bytes", "Size on disk of all waiting records, in bytes."),
    "spool_limit_bytes": ("trimtab_log_spool_limit_bytes", "Size at which requests are refused, in bytes."),
    "away": ("trimtab_log_away", "1 while the prediction log does not answer."),
}
_LOG_COUNTERS = {
    "written": ("trimtab_log_written", "Records written to the prediction log."),
    "replayed": ("trimtab_log_replayed", "Written records that had waited in the spool."),
    "refused": ("trimtab_log_refused", "Records that the prediction log cannot accept, moved aside."),
    "failures": ("trimtab_log_failures", "Failed attempts to reach the prediction log."),
}


class Metrics:
    """Metrics of one service, in a registry of their own.

    Args:
        params: The parameters; they name the model, its features and the kind of its label.
        holders: By role; they give the version that answers, and the number of failed attempts to load one.
        shadow: Gives the number of dropped rows; None without mirrored traffic.
        log: Gives the state of the prediction log.
    """

    def __init__(
        self,
        params: Params,
        holders: Mapping[Role, ModelHolder],
        shadow: Shadow | None,
        log: LogWriter,
    ) -> None:
        self._model = model = params.model.name
        self._registry = CollectorRegistry()
        self._requests = self._counter("trimtab_requests", "HTTP requests answered.", "route", "status")
        self._predictions = self._counter("trimtab_predictions", "Rows predicted.", "version")
        self._roles = self._counter(
            "trimtab_rows", "Rows predicted, by the role of the version that answered.", "role"
        )
        self._unseen = self._counter(
            "trimtab_unseen_categories", "Undeclared categories in predicted rows.", "feature"
        )
        self._missing = self._counter(
            "trimtab_missing_inputs", "Missing values in predicted rows.", "feature"
        )
        self._refused = self._counter("trimtab_refused_inputs", "Faults of refused rows.", "feature")
        self._faults = self._counter("trimtab_faults", "Faults of refused requests.")
        self._outcomes = self._counter("trimtab_outcomes", "Outcomes received: new ones and corrections.")
        self._seconds = Histogram(
            "trimtab_request_seconds",
            "Time from the request to the response, in seconds.",
            ["model", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._answers = _Answers(model, bucket_bounds(params.data.label))
        self._features = frozenset(params.data.features)
        # A series that exists from the start shows its first increase.
        for series in (self._faults, self._outcomes):
            series.labels(model)
        for feature in params.data.features:
            self._missing.labels(model, feature)
            self._refused.labels(model, feature)
        for feature in params.data.categories:
            self._unseen.labels(model, feature)
        self._registry.register(self._answers)
        self._registry.register(_State(model, holders, shadow, log))
        # Looking up the labels of a series takes most of the time of counting.
        self._count_of = lru_cache(256)(
            lambda route, status: self._requests.labels(model, route, str(status))
        )
        self._seconds_of = lru_cache(64)(lambda route: self._seconds.labels(model, route))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the rule that matched, never the path of the request."""
        self._count_of(route, status).inc()
        self._seconds_of(route).observe(seconds)

    def asked(self, missing: Sequence[str], unseen: Sequence[str]) -> None:
        """Count the features of missing values and of undeclared categories, each as often as it occurs."""
        for counter, features in ((self._missing, missing), (self._unseen, unseen)):
            for feature, count in CountOf(features).items() if features else ():
                counter.labels(self._model, feature).inc(count)

    def predicted(self, version: str, role: str, answers: Sequence[float]) -> None:
        """Count predicted rows, and their answers in a histogram."""
        self._predictions.labels(self._model, version).inc(len(answers))
        self._roles.labels(self._model, role).inc(len(answers))
        self._answers.add(version, answers)

    def refused(self, faults: Sequence[Mapping[str, object]]) -> None:
        """Count the faults of one refused request; those of a declared feature also by feature."""
        self._faults.labels(self._model).inc(len(faults))
        for field in (str(fault["field"]) for fault in faults):
            if field in self._features:
                self._refused.labels(self._model, field).inc()

    def received(self, outcomes: int) -> None:
        """Count new outcomes."""
        self._outcomes.labels(self._model).inc(outcomes)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, ["model", *labels], registry=self._registry)


class _Answers(Collector):
    """A histogram that takes many values at once; prometheus-client's own takes microseconds per value."""

    def __init__(self, model: str, bounds: Sequence[float]) -> None:
        self._model, self._bounds = model, bounds
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, version: str, answers: Sequence[float]) -> None:
        places = [bisect_left(self._bounds, answer) for answer in answers]
        with self._lock:
            counts = self._counts.setdefault(version, [0] * (len(self._bounds) + 1))
            for place in places:
                counts[place] += 1
            self._sums[version] = self._sums.get(version, 0.0) + sum(answers)

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(
            "trimtab_prediction_answer",
            "Predicted values: the probability (of the most likely class), or the value in the label's unit.",
            labels=["model", "version"],
        )
        with self._lock:
            for version, counts in self._counts.items():
                totals = [float(total) for total in accumulate(counts)]
                buckets = list(zip([*map("{:g}".format, self._bounds), "+Inf"], totals, strict=True))
                family.add_metric([self._model, version], buckets, self._sums[version])
        return [family]


class _State(Collector):
    """State that is read at each scrape, so that no series of a former version remains."""

    def __init__(
        self, model: str, holders: Mapping[Role, ModelHolder], shadow: Shadow | None, log: LogWriter
    ) -> None:
        self._model, self._holders, self._shadow, self._log = model, holders, shadow, log

    def collect(self) -> Iterable[Metric]:
        """Yield one family per metric."""
        champion, log = self._holders["champion"], self._log.state()
        serving, dropped = champion.serving, self._shadow.dropped if self._shadow is not None else 0
        version = [([serving.champion.version], 1)] if serving else []
        fast: _Values = [([], serving.ready.scorer.fast)] if serving else []
        failures = [([role], holder.failures) for role, holder in self._holders.items()]
        yield self._gauge("trimtab_model_info", "1 for the version that answers.", version, "version")
        yield self._gauge(
            "trimtab_model_fast", "1 if the version predicts without a data frame, 0 if it is slow.", fast
        )
        yield self._gauge(
            "trimtab_last_good",
            "1 while the service uses the last good version or its parameters, because the current ones are unavailable.",
            [([], champion.trouble is not None)],
        )
        yield self._count(
            "trimtab_reload_errors",
            "Failed attempts to find or load the version of a role.",
            failures,
            "role",
        )
        yield self._count(
            "trimtab_shadow_dropped", "Rows that the mirrored model did not predict.", [([], dropped)]
        )
        yield from (self._gauge(*texts, [([], getattr(log, field))]) for field, texts in _LOG_GAUGES.items())
        yield from (
            self._count(*texts, [([], getattr(log, field))]) for field, texts in _LOG_COUNTERS.items()
        )

    def _gauge(self, name: str, meaning: str, values: _Values, *label: str) -> Metric:
        return self._filled(GaugeMetricFamily(name, meaning, labels=["model", *label]), values)

    def _count(self, name: str, meaning: str, values: _Values, *label: str) -> Metric:
        return self._filled(CounterMetricFamily(name, meaning, labels=["model", *label]), values)

    def _filled(self, family: GaugeMetricFamily | CounterMetricFamily, values: _Values) -> Metric:
        for labels, value in values:
            family.add_metric([self._model, *labels], float(value))
        return family
