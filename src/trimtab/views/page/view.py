"""What the Model health page shows: plain values, read from the ledger by `steps.health`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from trimtab.contracts import Action, Quarantined, Source
from trimtab.ledger.records import JudgementState, OrderRecord, Standing

Moved = Literal["promoted", "forced", "rolled back", "restored", "adopted"]
"""How a version came to Production."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """One version and all that it came from; `commit` None when it was not the arbiter that asked for it."""

    version: str
    commit: str | None
    run_id: str
    batches: tuple[str, ...]
    rows: int
    trained_through: datetime
    trained_at: datetime
    digest: str
    refit_of: str | None
    state: JudgementState | None
    reason: str
    evidence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One feature of one batch; `ratio` is its score in thresholds, so that a feature drifts from 1 on."""

    feature: str
    ratio: float
    drifted: bool
    statistic: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What monitoring saw on one batch revision; `loss` None without any label, `alarm` the loss above which it is drift."""

    batch: str
    revision: int
    champion: str
    at: datetime
    labelled: int
    rows: int
    loss: float | None
    lower: float | None
    upper: float | None
    auc: float | None
    mean: float | None
    alarm: float | None
    sigmas: float | None
    abstained: str | None
    concept_drift: bool
    data_drift: bool
    share: float
    run_id: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch in force, with its newest measurement, or None where there is none (the batches of the first training)."""

    batch: str
    revision: int
    start: datetime
    end: datetime
    rows: int
    labelled: int
    bad_rows: int
    measured: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of a run; `evidence` is the hash under which the ledger keeps the verdict."""

    state: JudgementState
    reason: str
    version: str | None
    evidence: str | None
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One decision: who asked for what, and what the arbiter said; `judged` when it started a run that came to an end."""

    at: datetime
    event_time: datetime
    source: Source
    asked: str
    action: Action
    reason: str
    judged: Judged | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One request without a final answer, and what it waits for; `why` None when nobody looked at it yet."""

    at: datetime
    source: Source
    asked: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """One stay of a version in Production, in event time; `end` None for the champion's."""

    version: str
    begin: datetime
    end: datetime | None
    moved: Moved
    at: datetime
    actor: str
    reason: str
    evidence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The whole page, of the newest batches.

    `event_now` is None before the first batch, and a first training takes `start_batches`.
    `reigns` are those that reach into the batches shown, oldest first.
    `former` are versions that a rollback can go back to, newest first.
    """

    model: str
    metric: str
    now: datetime
    event_now: datetime | None
    last: int
    start_batches: int
    batches: tuple[Batch, ...]
    measured: tuple[Measured, ...]
    champion: Lineage | None
    challenger: Lineage | None
    reigns: tuple[Reign, ...]
    former: tuple[str, ...]
    answers: tuple[Answer, ...]
    waiting: tuple[Waiting, ...]
    standing: Standing
    quarantine: Mapping[str, Quarantined]

    @property
    def orders(self) -> tuple[OrderRecord, ...]:
        """Orders in force: pause, pin, and blocks."""
        one_each = (self.standing.paused, self.standing.pinned)
        return (*(one for one in one_each if one is not None), *self.standing.blocked.values())
