"""Rows of a request, checked by the contract that batches are checked by, without a frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab import params
from trimtab.data.schema import EVENT_TIME, ROW_ID, columns
from trimtab.errors import RequestRejected
from trimtab.predictions.records import LONGEST_ID
from trimtab.serve.faults import Fault, fault, is_id, is_text, moment

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """Sound rows, with their event times in UTC; `missing` and `unseen` count nulls and undeclared categories by feature."""

    rows: Sequence[Row]
    times: Sequence[datetime]
    missing: Mapping[str, int]
    unseen: Mapping[str, int]


class RowChecker:
    """Checks made once from `params.yaml`: a sound row costs a few microseconds, a row with faults is told in full.

    A value of another JSON type than the contract's is a fault, never converted. An undeclared category is none.
    """

    def __init__(self, data: params.Data) -> None:
        self._data = data
        self._order = columns(data, labelled=False)
        self._fields = frozenset(self._order)
        self._numbers = [
            (name, of.min, of.max, of.nullable)
            for name, of in data.features.items()
            if isinstance(of, params.Number)
        ]
        self._categories = [
            (name, frozenset(of.categories), of.nullable)
            for name, of in data.features.items()
            if isinstance(of, params.Category)
        ]

    def check(self, rows: Sequence[Any]) -> Checked:
        """Return the rows of a request.

        Raises:
            RequestRejected: A field is missing, unknown, of another type, out of range or null where it may not be, or
                an id occurs twice; all faults of all rows are named.
        """
        missing: dict[str, int] = {}
        unseen: dict[str, int] = {}
        times = []
        for row in rows:
            time = self._time_of_sound(row, missing, unseen)
            if time is None:
                raise RequestRejected(self.faults(rows))
            times.append(time)
        if len(rows) > 1 and len({row[ROW_ID] for row in rows}) < len(rows):
            raise RequestRejected(self.faults(rows))
        return Checked(rows=rows, times=times, missing=missing, unseen=unseen)

    def faults(self, rows: Sequence[Any]) -> list[Fault]:
        """Name every fault of every row; of several rows with one id the first has none for that."""
        found: list[Fault] = []
        known: set[str] = set()
        for number, row in enumerate(rows):
            found += self._faults_of(number, row)
            name = row.get(ROW_ID) if isinstance(row, Mapping) else None
            if is_id(name):
                if name in known:
                    found.append(fault(ROW_ID, "an id that occurs once", name, row=number))
                known.add(str(name))
        return found

    def _time_of_sound(self, row: Any, missing: dict[str, int], unseen: dict[str, int]) -> datetime | None:
        """Return a row's event time and count what it lacks; None when it has a fault."""
        if type(row) is not dict or row.keys() != self._fields or not is_id(row[ROW_ID]):
            return None
        for name, low, high, nullable in self._numbers:
            value = row[name]
            kind = type(value)
            if kind is float or kind is int:
                if not low <= value <= high:
                    return None
            elif value is None and nullable:
                missing[name] = missing.get(name, 0) + 1
            else:
                return None
        for name, declared, nullable in self._categories:
            value = row[name]
            if type(value) is str:
                if value not in declared:
                    if not is_text(value):
                        return None
                    unseen[name] = unseen.get(name, 0) + 1
            elif value is None and nullable:
                missing[name] = missing.get(name, 0) + 1
            else:
                return None
        return moment(row[EVENT_TIME])

    def _faults_of(self, number: int, row: Any) -> list[Fault]:
        if not isinstance(row, Mapping):
            return [fault("(row)", "an object", row, row=number)]
        absent = [name for name in self._order if name not in row]
        faults = [fault(name, "a value, or null", "nothing", row=number) for name in absent]
        faults += [
            fault(name, "no such field", row[name], row=number) for name in row if name not in self._fields
        ]
        for name in self._order:
            expected = self._expected(name, row[name]) if name in row else None
            if expected is not None:
                faults.append(fault(name, expected, row[name], row=number))
        return faults

    def _expected(self, name: str, value: object) -> str | None:
        if name == ROW_ID:
            return None if is_id(value) else f"text of 1 to {LONGEST_ID} characters"
        if name == EVENT_TIME:
            return None if moment(value) else "a time with its offset, such as 2026-03-01T05:15:00Z"
        feature = self._data.features[name]
        if value is None:
            return None if feature.nullable else "a value"
        if isinstance(feature, params.Category):
            return None if is_text(value) else "text"
        return number_expected(value, feature.min, feature.max)


def number_expected(value: object, low: float, high: float) -> str | None:
    """Say what was expected instead of a number from `low` to `high`; None when it is one."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value
        or abs(value) == math.inf
    ):
        return "a finite number"
    return None if low <= value <= high else f"{low:g} to {high:g}"
