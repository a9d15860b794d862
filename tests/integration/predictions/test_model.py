"""Whatever is written in whatever order, each store tells what a few plain lists tell."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.predictions import HOUR, NOON, add_outcomes, outcome, prediction
from trimtab.predictions.records import Outcome, Prediction

_hours = st.integers(0, 5).map(lambda hours: NOON + hours * HOUR)
_rows = st.sampled_from(["a", "b", "c"])
_models = st.sampled_from(["demand", "demand", "supply"])
_predictions = st.builds(
    lambda number, row, at, model, role, after: prediction(
        f"p{number}", row, at=at, model=model, role=role, event_time=at + after * HOUR
    ),
    st.integers(0, 12),
    _rows,
    _hours,
    _models,
    st.sampled_from(["champion", "champion", "holdback", "shadow"]),
    st.integers(0, 3),
)
_truths = st.builds(
    lambda row, label, at, model: outcome(row, label, at=at, model=model),
    _rows,
    st.sampled_from([0, 1, "x", 0.5]),
    _hours,
    _models,
)
_writes = st.lists(
    st.one_of(st.lists(_predictions, min_size=1, max_size=4), st.lists(_truths, min_size=1, max_size=4)),
    max_size=8,
)


@dataclass
class Plain:
    """The log as its definition reads, one list a kind, looked through from end to end."""

    predictions: list[Prediction] = field(default_factory=list)
    truths: list[Outcome] = field(default_factory=list)

    def add(self, new: list[Prediction]) -> None:
        for one in new:
            if all(one.prediction_id != other.prediction_id for other in self.predictions):
                self.predictions.append(one)

    def add_outcomes(self, new: list[Outcome]) -> int:
        before = len(self.truths)
        for one in new:
            told = [other for other in self.truths if (other.model, other.row_id) == (one.model, one.row_id)]
            repeated = one in told or (told and self._in_force(told).label == one.label)
            if not repeated:
                self.truths.append(one)
        return len(self.truths) - before

    def joined_labels(self, start, end, by, known_by) -> list[tuple[str, object]]:
        found = []
        for row in {one.row_id for one in self.predictions}:
            told = [one for one in self.truths if (one.model, one.row_id) == ("demand", row)]
            told = [one for one in told if known_by is None or one.label_known_at <= known_by]
            ours = [one for one in self.predictions if (one.model, one.row_id) == ("demand", row)]
            ours = [one for one in ours if one.role != "shadow"]
            ours = [one for one in ours if all(one.served_at < other.label_known_at for other in told)]
            if ours:
                last = sorted(ours, key=lambda one: (one.served_at, one.prediction_id))[-1]
                if start <= getattr(last, by) < end:
                    found.append((getattr(last, by), last.prediction_id, told and self._in_force(told).label))
        return [
            (id_, None if label == [] else label) for _, id_, label in sorted(found, key=lambda one: one[:2])
        ]

    @staticmethod
    def _in_force(told: list[Outcome]) -> Outcome:
        latest = max(one.label_known_at for one in told)
        return [one for one in told if one.label_known_at == latest][-1]


@settings(
    max_examples=60,
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(writes=_writes, begin=st.integers(0, 5), hours=st.integers(1, 8), cutoff=st.none() | _hours)
@pytest.mark.parametrize("by", ["served_at", "event_time"])
def test_a_store_tells_what_plain_lists_tell(log, writes, by, begin, hours, cutoff):
    world, plain = uuid.uuid4().hex[:8], Plain()
    for together in writes:
        ours = [_moved(one, world) for one in together]
        if isinstance(together[0], Prediction):
            log.add(ours)
            plain.add(together)
        else:
            assert add_outcomes(log, *ours) == plain.add_outcomes(together)
    start = NOON + begin * HOUR
    end = start + hours * HOUR
    found = log.joined(f"demand-{world}", start=start, end=end, by=by, known_by=cutoff)
    told = [(one.prediction.prediction_id.removeprefix(world), one.label) for one in found]
    assert told == plain.joined(start, end, by, cutoff)


def _moved(one, world: str):
    """The same in a world of its own: a fresh database for each example would take minutes."""
    changes = {"prediction_id": world + one.prediction_id} if isinstance(one, Prediction) else {}
    return replace(one, model=f"{one.model}-{world}", **changes)
