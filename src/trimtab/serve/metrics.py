"""The Prometheus metrics of the service. Every label is bounded, and every series has the label `model`."""

import threading
from bisect import bisect_left
from collections import Counter as CountOf
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from trimtab.params import Data, Label, Params
from trimtab.predictions.records import Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve.holder import ModelHolder
from trimtab.serve.responses import Floats, bucket_bounds, histogram_values

_Family = type[GaugeMetricFamily | CounterMetricFamily]
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_COUNTERS = {
    "trimtab_requests": ("HTTP requests answered.", "route", "status"),
    "trimtab_predictions": ("Rows predicted.", "version"),
    "trimtab_rows": ("Rows predicted, by the role of the version that answered.", "role"),
    "trimtab_shadow_dropped": ("Rows that the mirrored model did not predict.",),
    "trimtab_unseen_categories": ("Undeclared categories in predicted rows.", "feature"),
    "trimtab_missing_inputs": ("Missing values in predicted rows.", "feature"),
    "trimtab_refused_inputs": ("Faults of refused rows.", "feature"),
    "trimtab_faults": ("Faults of refused requests.",),
    "trimtab_outcomes": ("Outcomes received: new ones and corrections.",),
}
"""What each counts, and its labels beside `model`."""
_LOG: dict[str, tuple[_Family, str, str]] = {
    "queued": (
        GaugeMetricFamily,
        "trimtab_log_queued",
        "Records that wait to be written to the prediction log.",
    ),
    "spooled": (
        GaugeMetricFamily,
        "trimtab_log_spooled",
        "Records that wait because the prediction log was unavailable or slow.",
    ),
    "spool_bytes": (
        GaugeMetricFamily,
        "trimtab_log_spool_bytes",
        "Size on disk of all waiting records, in bytes.",
    ),
    "spool_limit_bytes": (
        GaugeMetricFamily,
        "trimtab_log_spool_limit_bytes",
        "Size at which requests are refused, in bytes.",
    ),
    "away": (GaugeMetricFamily, "trimtab_log_away", "1 while the prediction log does not answer."),
    "written": (CounterMetricFamily, "trimtab_log_written", "Records written to the prediction log."),
    "replayed": (
        CounterMetricFamily,
        "trimtab_log_replayed",
        "Written records that had waited in the spool.",
    ),
    "refused": (
        CounterMetricFamily,
        "trimtab_log_refused",
        "Records that the prediction log cannot accept, moved aside.",
    ),
    "failures": (CounterMetricFamily, "trimtab_log_failures", "Failed attempts to reach the prediction log."),
}
"""A metric for each field of the prediction log's state."""


class Metrics:
    """Metrics of one service, in a registry of their own.

    Args:
        params: The parameters; they name the model and its features.
        holders: By role; they give the version that answers, and the number of failed attempts to load one.
        log: Gives the state of the prediction log.
    """

    def __init__(self, params: Params, holders: Mapping[Role, ModelHolder], log: LogWriter) -> None:
        model, self._registry = params.model.name, CollectorRegistry()
        families: dict[str, Counter | Histogram] = {
            name: Counter(name, meaning, ["model", *labels], registry=self._registry)
            for name, (meaning, *labels) in _COUNTERS.items()
        }
        families["trimtab_request_seconds"] = Histogram(
            "trimtab_request_seconds",
            "Time from the request to the response, in seconds.",
            ["model", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        # Looking up the labels of a series takes most of the time of counting.
        self._series: Callable[..., Any] = lru_cache(1024)(
            lambda name, *labels: families[name].labels(model, *labels)
        )
        # A series that exists from the start shows its first increase.
        for name in ("trimtab_faults", "trimtab_outcomes", "trimtab_shadow_dropped"):
            self._series(name)
        self.declare(params.data)
        self._answers = _Answers(model)
        self._registry.register(self._answers)
        self._registry.register(_State(model, holders, log))

    def declare(self, data: Data) -> None:
        """Begin the series of the features of a data contract."""
        for feature in data.features:
            self._series("trimtab_missing_inputs", feature)
            self._series("trimtab_refused_inputs", feature)
        for feature in data.categories:
            self._series("trimtab_unseen_categories", feature)
        self._features = frozenset(data.features)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the rule that matched, never the path of the request."""
        self._series("trimtab_requests", route, str(status)).inc()
        self._series("trimtab_request_seconds", route).observe(seconds)

    def asked(self, missing: Sequence[str], unseen: Sequence[str]) -> None:
        """Count the features of missing values and of undeclared categories, each as often as it occurs."""
        for name, features in (("trimtab_missing_inputs", missing), ("trimtab_unseen_categories", unseen)):
            for feature, count in CountOf(features).items() if features else ():
                self._series(name, feature).inc(count)

    def predicted(self, version: str, role: str, label: Label, answers: Floats) -> None:
        """Count predicted rows, and their answers in a histogram."""
        self._series("trimtab_predictions", version).inc(len(answers))
        self._series("trimtab_rows", role).inc(len(answers))
        self._answers.add(version, label, histogram_values(label, answers))

    def dropped(self, rows: int) -> None:
        """Count rows that the mirrored model did not predict."""
        self._series("trimtab_shadow_dropped").inc(rows)

    def refused(self, faults: Sequence[Mapping[str, object]]) -> None:
        """Count the faults of one refused request; those of a declared feature also by feature."""
        self._series("trimtab_faults").inc(len(faults))
        for fault in faults:
            if fault["field"] in self._features:
                self._series("trimtab_refused_inputs", fault["field"]).inc()

    def received(self, outcomes: int) -> None:
        """Count new outcomes."""
        self._series("trimtab_outcomes").inc(outcomes)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _Answers(Collector):
    """A histogram that takes many values at once; prometheus-client's own takes microseconds per value."""

    def __init__(self, model: str) -> None:
        self._model, self._lock = model, threading.Lock()
        self._bounds: dict[str, list[float]] = {}
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, version: str, label: Label, answers: Sequence[float]) -> None:
        bounds = self._bounds.get(version) or self._bounds.setdefault(version, bucket_bounds(label))
        places = [bisect_left(bounds, answer) for answer in answers]
        with self._lock:
            counts = self._counts.setdefault(version, [0] * (len(bounds) + 1))
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
                bounds = [*map("{:g}".format, self._bounds[version]), "+Inf"]
                buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
                family.add_metric([self._model, version], buckets, self._sums[version])
        return [family]


class _State(Collector):
    """State that is read at each scrape, so that no series of a former version remains."""

    def __init__(self, model: str, holders: Mapping[Role, ModelHolder], log: LogWriter) -> None:
        self._model, self._holders, self._log = model, holders, log

    def collect(self) -> Iterable[Metric]:
        champion, log = self._holders["champion"], self._log.state()
        serving = champion.serving
        yield self._family(
            GaugeMetricFamily,
            "trimtab_model_info",
            "1 for the version that answers.",
            {(serving.version.version,): 1} if serving else {},
            "version",
        )
        yield self._family(
            GaugeMetricFamily,
            "trimtab_model_fast",
            "1 if the version predicts without a data frame, 0 if it is slow.",
            {(): serving.scorer.fast} if serving else {},
        )
        yield self._family(
            GaugeMetricFamily,
            "trimtab_last_good",
            "1 while the service uses the last good version or its parameters, because the current ones are unavailable.",
            {(): champion.trouble is not None},
        )
        yield self._family(
            CounterMetricFamily,
            "trimtab_reload_errors",
            "Failed attempts to find or load the version of a role.",
            {(role,): holder.failures for role, holder in self._holders.items()},
            "role",
        )
        yield from (self._family(*texts, {(): log[field]}) for field, texts in _LOG.items())

    def _family(
        self, kind: _Family, name: str, meaning: str, values: Mapping[tuple[str, ...], float], *label: str
    ) -> Metric:
        family = kind(name, meaning, labels=["model", *label])
        for labels, value in values.items():
            family.add_metric([self._model, *labels], float(value))
        return family
