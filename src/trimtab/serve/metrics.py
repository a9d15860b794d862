"""What Prometheus reads of the service; every label is bounded, and every series names the model."""

import threading
from bisect import bisect_left
from collections import Counter as CountOf
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from trimtab import params
from trimtab.predictions.records import Role
from trimtab.serve.answers import bounds
from trimtab.serve.holder import ModelHolder
from trimtab.serve.shadow import Shadow

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters of one service, in a registry of their own.

    Args:
        wanted: The model's name, its features and the kind of its answers.
        holders: By role; they say which version answers as champion, and how often one could not be taken over.
        shadow: Says how many rows the challenger did not see; None without.
    """

    def __init__(
        self, wanted: params.Params, holders: Mapping[Role, ModelHolder], shadow: Shadow | None
    ) -> None:
        self._model = model = wanted.model.name
        self._registry = CollectorRegistry()
        self._requests = self._counter("trimtab_requests", "Requests answered.", "route", "status")
        self._predictions = self._counter("trimtab_predictions", "Rows predicted.", "version")
        self._roles = self._counter("trimtab_rows", "Rows predicted, by the role of who answered.", "role")
        self._unseen = self._counter("trimtab_unseen_categories", "Undeclared categories served.", "feature")
        self._missing = self._counter("trimtab_missing_inputs", "Missing values served.", "feature")
        self._refused = self._counter("trimtab_refused_inputs", "Faults of refused rows.", "feature")
        self._faults = self._counter("trimtab_faults", "Faults found in refused requests.")
        self._outcomes = self._counter("trimtab_outcomes", "Outcomes learnt: new ones and corrections.")
        self._seconds = Histogram(
            "trimtab_request_seconds",
            "Time from request to answer, in seconds.",
            ["model", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._answers = _Answers(model, bounds(wanted.data.label))
        self._features = frozenset(wanted.data.features)
        # A series that is there from the start shows its first increase.
        for series in (self._faults, self._outcomes):
            series.labels(model)
        for feature in wanted.data.features:
            self._missing.labels(model, feature)
            self._refused.labels(model, feature)
        for feature in wanted.data.categories:
            self._unseen.labels(model, feature)
        self._registry.register(self._answers)
        self._registry.register(_State(model, holders, shadow))
        # What the labels of a series cost is most of what counting it costs.
        self._count_of = lru_cache(256)(
            lambda route, status: self._requests.labels(model, route, str(status))
        )
        self._seconds_of = lru_cache(64)(lambda route: self._seconds.labels(model, route))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the rule that matched, never the path that a client made up."""
        self._count_of(route, status).inc()
        self._seconds_of(route).observe(seconds)

    def asked(self, missing: Sequence[str], unseen: Sequence[str]) -> None:
        """Count missing values and undeclared categories of served rows; each is given as the name of its feature."""
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
        for one in faults:
            if one["field"] in self._features:
                self._refused.labels(self._model, str(one["field"])).inc()

    def learnt(self, outcomes: int) -> None:
        """Count outcomes that were new."""
        self._outcomes.labels(self._model).inc(outcomes)

    def watch(self, collector: Collector) -> None:
        """Show what a collector reads at each scrape, too."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """Return the exposition."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, ["model", *labels], registry=self._registry)


class _Answers(Collector):
    """A histogram that takes many values at once: prometheus-client's own costs microseconds a value."""

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
            "Answers: the probability (of the likeliest class), or the value in the label's unit.",
            labels=["model", "version"],
        )
        with self._lock:
            for version, counts in self._counts.items():
                total, buckets = 0, []
                for bound, count in zip([*self._bounds, float("inf")], counts, strict=True):
                    total += count
                    buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(total)))
                family.add_metric([self._model, version], buckets, self._sums[version])
        return [family]


class _State(Collector):
    """Read at each scrape, so that no series of a former version stays behind."""

    def __init__(self, model: str, holders: Mapping[Role, ModelHolder], shadow: Shadow | None) -> None:
        self._model, self._holders, self._shadow = model, holders, shadow

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "trimtab_model_info", "1 for the version that answers.", labels=["model", "version"]
        )
        fast = GaugeMetricFamily(
            "trimtab_model_fast",
            "1 when the version answers without a frame, 0 when it is slow.",
            labels=["model"],
        )
        serving = self._holders["champion"].serving
        if serving is not None:
            info.add_metric([self._model, serving.champion.version], 1)
            fast.add_metric([self._model], float(serving.ready.scorer.fast))
        errors = CounterMetricFamily(
            "trimtab_reload_errors",
            "Looks for the version of a role, or tries to load it, that failed.",
            labels=["model", "role"],
        )
        for role, holder in self._holders.items():
            errors.add_metric([self._model, role], holder.failures)
        dropped = CounterMetricFamily(
            "trimtab_shadow_dropped", "Rows that the challenger did not get to see.", labels=["model"]
        )
        dropped.add_metric([self._model], self._shadow.dropped if self._shadow is not None else 0)
        return [info, fast, errors, dropped]
