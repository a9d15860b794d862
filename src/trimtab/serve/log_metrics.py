"""What Prometheus reads of the prediction log's writer."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trimtab.predictions.writer import LogWriter

_GAUGES = {
    "queued": ("trimtab_log_queued", "Records that wait to be written to the prediction log."),
    "spooled": ("trimtab_log_spooled", "Records that wait because the prediction log was away or slow."),
    "spool_bytes": ("trimtab_log_spool_bytes", "Bytes on disk of all records that wait."),
    "spool_limit_bytes": ("trimtab_log_spool_limit_bytes", "Bytes at which requests are refused."),
    "away": ("trimtab_log_away", "1 while the prediction log does not answer."),
}
_COUNTERS = {
    "written": ("trimtab_log_written", "Records written to the prediction log."),
    "replayed": ("trimtab_log_replayed", "Of the written records those that had been spooled."),
    "refused": ("trimtab_log_refused", "Records that the prediction log does not take, put aside."),
    "failures": ("trimtab_log_failures", "Tries to reach the prediction log that failed."),
}


class LogState(Collector):
    """Reads the writer's state at each scrape."""

    def __init__(self, model: str, log: LogWriter) -> None:
        self._model, self._log = model, log

    def collect(self) -> Iterable[Metric]:
        """Yield one family a figure."""
        state = self._log.state()
        for name, (series, meaning) in _GAUGES.items():
            gauge = GaugeMetricFamily(series, meaning, labels=["model"])
            gauge.add_metric([self._model], float(getattr(state, name)))
            yield gauge
        for name, (series, meaning) in _COUNTERS.items():
            counter = CounterMetricFamily(series, meaning, labels=["model"])
            counter.add_metric([self._model], float(getattr(state, name)))
            yield counter
