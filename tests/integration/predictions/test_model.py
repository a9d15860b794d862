"""After any sequence of writes, each store returns the same as a simple model made of lists."""

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
_outcomes = st.builds(
    lambda row, label, at, model: outcome(row, label, at=at, model=model),
    _rows,
    st.sampled_from([0, 1, "x", 0.5]),
    _hours,
    _models,
)
_writes = st.lists(
    st.one_of(st.lists(_predictions, min_size=1, max_size=4), st.lists(_outcomes, min_size=1, max_size=4)),
    max_size=8,
)


@dataclass
class ListLog:
    """The definition of the prediction log, on lists that are searched from end to end."""

    predictions: list[Prediction] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, new: list[Prediction]) -> None:
        for entry in new:
            if all(entry.prediction_id != other.prediction_id for other in self.predictions):
                self.predictions.append(entry)

    def add_outcomes(self, new: list[Outcome]) -> int:
        before = len(self.outcomes)
        for entry in new:
            of_row = self._of_row(self.outcomes, entry.model, entry.row_id)
            repeated = entry in of_row or (of_row and self._in_force(of_row).label == entry.label)
            if not repeated:
                self.outcomes.append(entry)
        return len(self.outcomes) - before

    def joined(self, start, end, by, known_by) -> list[tuple[str, object]]:
        rows = []
        for row_id in {entry.row_id for entry in self.predictions}:
            outcomes = self._of_row(self.outcomes, "demand", row_id)
            outcomes = [entry for entry in outcomes if known_by is None or entry.label_known_at <= known_by]
            served = self._of_row(self.predictions, "demand", row_id)
            served = [entry for entry in served if entry.role != "shadow"]
            served = [entry for entry in served if all(entry.served_at < o.label_known_at for o in outcomes)]
            if served:
                last = max(served, key=lambda entry: (entry.served_at, entry.prediction_id))
                if start <= getattr(last, by) < end:
                    label = self._in_force(outcomes).label if outcomes else None
                    rows.append((getattr(last, by), last.prediction_id, label))
        return [(id_, label) for _, id_, label in sorted(rows, key=lambda row: row[:2])]

    @staticmethod
    def _of_row(entries, model: str, row_id: str) -> list:
        return [entry for entry in entries if (entry.model, entry.row_id) == (model, row_id)]

    @staticmethod
    def _in_force(outcomes: list[Outcome]) -> Outcome:
        latest = max(entry.label_known_at for entry in outcomes)
        return [entry for entry in outcomes if entry.label_known_at == latest][-1]


@settings(
    max_examples=60,
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(writes=_writes, begin=st.integers(0, 5), hours=st.integers(1, 8), cutoff=st.none() | _hours)
@pytest.mark.parametrize("by", ["served_at", "event_time"])
def test_a_store_returns_the_same_as_the_model(log, writes, by, begin, hours, cutoff):
    prefix, model = uuid.uuid4().hex[:8], ListLog()
    for entries in writes:
        renamed = [_rename(entry, prefix) for entry in entries]
        if isinstance(entries[0], Prediction):
            log.add(renamed)
            model.add(entries)
        else:
            assert add_outcomes(log, *renamed) == model.add_outcomes(entries)
    start = NOON + begin * HOUR
    end = start + hours * HOUR
    rows = log.joined(f"demand-{prefix}", start=start, end=end, by=by, known_by=cutoff)
    labels = [(row.prediction.prediction_id.removeprefix(prefix), row.label) for row in rows]
    assert labels == model.joined(start, end, by, cutoff)


def _rename(entry, prefix: str):
    """Give each example its own model and ids, because a new database for each would take minutes."""
    changes = {"prediction_id": prefix + entry.prediction_id} if isinstance(entry, Prediction) else {}
    return replace(entry, model=f"{entry.model}-{prefix}", **changes)
