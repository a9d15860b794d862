"""Rows of the ledger as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from trimtab.contracts import (
    Action,
    ModelVersion,
    Observation,
    Order,
    Plan,
    Quarantined,
    Request,
    Stage,
    Training,
    Verdict,
)

JudgementState = Literal["OPEN", "HOLD", "ASK", "PROMOTE", "REJECT", "SUPERSEDED", "ABANDONED", "FORCED"]
OPEN_STATES = ("OPEN", "HOLD", "ASK")
"""States in which a version in Staging is still under judgement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRecord:
    """What happened to one quarantine entry, by whom and why."""

    entry: Quarantined
    action: Literal["quarantined", "released", "dropped"]
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationRecord:
    """One observation and when it was written."""

    id: int
    observation: Observation
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request and when it came in."""

    id: int
    request: Request
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One answer of the arbiter; `run_key` and `plan` belong to a RETRAIN or a JUDGE."""

    id: int
    model: str
    request_id: int
    action: Action
    reason: str
    holder: str
    plan: Plan | None
    event_time: datetime
    at: datetime

    @property
    def run_key(self) -> str:
        """The name of the training run that this decision started."""
        return f"{self.model}-{self.request_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """A lease that is held: by which run, since when, and when that run last showed a sign of life."""

    holder: str
    acquired_at: datetime
    heartbeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """One registered version and the training behind it; `refit_of` is the sibling that was judged in its stead."""

    version: str
    run_key: str
    training: Training
    refit_of: str | None
    at: datetime

    @property
    def model_version(self) -> ModelVersion:
        """What it takes to load this version safely."""
        training = self.training
        return ModelVersion(
            version=self.version,
            run_id=training.run_id,
            source=training.source,
            digest=training.digest,
            trained_through=training.trained_through,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementRecord:
    """One state of one judgement; `verdict` is the evidence once there is one."""

    run_key: str
    version: str | None
    state: JudgementState
    reason: str
    verdict: Verdict | None
    evidence_sha256: str | None
    event_time: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One order and when it was given; `id` is part of the keys of what follows from it."""

    id: int
    order: Order
    at: datetime

    def __str__(self) -> str:
        return f"{self.order.actor}: {self.order.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRecord:
    """What people were told, and when."""

    kind: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the orders given so far amount to: each the order in force, or None; `blocked` by version."""

    paused: OrderRecord | None
    pinned: OrderRecord | None
    blocked: Mapping[str, OrderRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One stage transition, as intended; the ledger holds it twice, as intent and as done."""

    model: str
    key: str
    version: str
    to_stage: Stage
    replaces: str | None
    actor: str
    reason: str
    evidence_sha256: str | None
    event_time: datetime

    @property
    def promotes(self) -> bool:
        """Whether a version goes to Production that is to prove itself there: by the gate, or by force."""
        return self.to_stage == "Production" and self.key.endswith((":promote", ":force"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRecord:
    """One transition with its phase."""

    transition: Transition
    phase: Literal["intent", "done"]
    at: datetime


ErasurePhase = Literal["intent", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """Rows that were erased for good, by the salted sha256 of their ids.

    With them went `objects`, the md5 of every revision that held one, of these `batches`; `versions` were trained or judged
    on such a revision, and cannot be rebuilt.
    """

    model: str
    key: str
    salt: str
    rows: tuple[str, ...]
    batches: tuple[str, ...]
    objects: tuple[str, ...]
    versions: tuple[str, ...]
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRecord:
    """One erasure with its phase."""

    erasure: Erasure
    phase: ErasurePhase
    at: datetime
