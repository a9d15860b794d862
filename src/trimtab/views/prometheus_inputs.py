"""What the ledger holds of one model when Prometheus asks, and the shapes of what it is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from trimtab import params
from trimtab.contracts import BatchRecord, Observation
from trimtab.ledger.records import (
    DecisionRecord,
    JudgementRecord,
    LeaseRecord,
    NoticeRecord,
    ObservationRecord,
    RequestRecord,
    Standing,
    TransitionRecord,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the ledger holds of one model, oldest first; `unread` are the requests that the arbiter has not looked at."""

    wanted: params.Params
    batches: Sequence[BatchRecord]
    unmonitored: int
    observations: Sequence[ObservationRecord]
    live: TransitionRecord | None
    transitions: Sequence[TransitionRecord]
    waiting: Sequence[RequestRecord]
    unread: Sequence[RequestRecord]
    decisions: Sequence[DecisionRecord]
    judgements: Sequence[JudgementRecord]
    under_judgement: str | None
    lease: LeaseRecord | None
    standing: Standing
    quarantine_open: int
    notices: Sequence[NoticeRecord]

    @property
    def champion(self) -> str | None:
        """The version that the ledger moved to Production last."""
        return self.live.transition.version if self.live else None

    @property
    def seen(self) -> Observation | None:
        """What was measured last with the champion: on its newest batch, at the newest revision."""
        starts = {record.manifest.batch: record.manifest.start for record in self.batches}
        mine = [one for one in self.observations if one.observation.champion == self.champion]
        known = [one for one in mine if one.observation.batch in starts]
        newest = max(known, key=lambda one: (starts[one.observation.batch], one.id), default=None)
        return newest.observation if newest else None


def gauge(name: str, meaning: str, value: float | None) -> Metric:
    """Return one gauge; without a value it has no series."""
    family = GaugeMetricFamily(name, meaning)
    if value is not None:
        family.add_metric([], value)
    return family


def labelled(name: str, meaning: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    """Return one gauge with a series for each value of a label."""
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family


def counter(name: str, meaning: str, count: int) -> Metric:
    """Return one counter."""
    family = CounterMetricFamily(name, meaning)
    family.add_metric([], count)
    return family


def counts(name: str, meaning: str, label: str, words: Iterable[str], found: Sequence[str]) -> Metric:
    """Return one counter with a series for each word; one that is there from the start shows its first increase."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for word in words:
        family.add_metric([word], found.count(word))
    return family


def seconds(time: datetime | None) -> float | None:
    """Return Unix time."""
    return None if time is None else time.timestamp()
