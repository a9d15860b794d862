"""What the clients wrote down, summed up while it is read: a run has more than fits in memory."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from tests.verify.soak.load import FEEDBACK

MOST_REASONS = 10


@dataclass
class Seen:
    """What all clients together were told.

    `told` has a fingerprint of each answer by prediction id, `outcomes` the rows of which an outcome was accepted.
    """

    expected: Mapping[str, Sequence[float]]
    versions: dict[bytes, int] = field(default_factory=dict)
    outcomes: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    due: array = field(default_factory=lambda: array("d"))
    took: array = field(default_factory=lambda: array("d"))
    answered: list[tuple[float, float, int]] = field(default_factory=list)

    def read(self, path: Path) -> int:
        """Add a file of records; return how many requests it has."""
        with path.open("rb") as lines:
            count = 0
            for line in lines:
                self._add(orjson.loads(line))
                count += 1
        return count

    def latency(self, begin: float, end: float) -> str:
        """Say what the requests that were due in [begin, end) waited."""
        due, took = np.frombuffer(self.due), np.frombuffer(self.took)
        milliseconds = took[(due >= begin) & (due < end)] * 1000
        if not len(milliseconds):
            return "no request"
        p50, p99 = np.percentile(milliseconds, [50, 99])
        return (
            f"{len(milliseconds)} requests, p50 {p50:.1f}, p99 {p99:.1f}, longest {milliseconds.max():.1f} ms"
        )

    def order_faults(self, promoted: Sequence[str]) -> list[str]:
        """Say where clients saw other versions than the promoted ones, or saw one come back."""
        seen = sorted({version for _, _, version in self.answered})
        if seen != [int(version) for version in promoted]:
            return [f"clients saw the versions {seen}, promoted were {', '.join(promoted)}"]
        done = sorted((done, version) for _, done, version in self.answered)
        newest, place, faults = 0, 0, 0
        for sent, _, version in sorted(self.answered):
            while place < len(done) and done[place][0] < sent:
                newest = max(newest, done[place][1])
                place += 1
            faults += version < newest
        return [f"{faults} requests were answered by a version before one seen already"] if faults else []

    def _add(self, record: Mapping[str, Any]) -> None:
        self.kinds[record["kind"]] += 1
        self.due.append(record["due"])
        self.took.append(record["done"] - record["due"])
        if "error" in record:
            self.faults[f"{record['kind']}: status {record['status']}: {record['error']}"] += 1
        elif record["kind"] == FEEDBACK:
            self.outcomes.update(record["outcomes"])
        else:
            self._tell(record)

    def _tell(self, record: Mapping[str, Any]) -> None:
        versions = {version for _, _, version, _ in record["told"]}
        if len(versions) != 1:
            self.faults[f"a request was answered by versions {sorted(versions)}"] += 1
        self.answered.append((record["sent"], record["done"], int(record["told"][0][2])))
        for id_, row, version, answer in record["told"]:
            key = UUID(id_).bytes
            if key in self.versions:
                self.faults["two clients were told the same prediction id"] += 1
            self.versions[key] = fingerprint(row, version, answer)
            if answer != self.expected[version][int(row.rpartition("-")[2])]:
                self.faults[f"version {version} does not answer this to the row"] += 1


def fingerprint(row: str, version: str, answer: float) -> int:
    """A number that another answer does not have."""
    return hash((row, version, answer))


def shown(faults: Mapping[str, int] | Iterable[str]) -> list[str]:
    """The most frequent reasons, and how often each came."""
    return [f"{count} x {reason}" for reason, count in Counter(faults).most_common(MOST_REASONS)]
