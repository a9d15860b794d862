"""What the Model health page shows: facts of the ledger, put together for the page by `views.health`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from trimtab.contracts import Assessment, ConceptDrift, Manifest, Quarantined
from trimtab.ledger import Judgement, Observation, Order, Request, Run, Transition, Version
from trimtab.ledger.state import DecisionFact, OrdersInForce
from trimtab.params import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """One version and its origin; `run` is None when the arbiter did not ask for it."""

    version: Version
    run: Run | None
    judgement: Judgement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """An observation, and the assessment of it by the parameters in force.

    `sigmas_limit` is the number of standard deviations above which a loss is concept drift.
    """

    observation: Observation
    assessment: Assessment
    sigmas_limit: float

    @property
    def concept(self) -> ConceptDrift:
        """The loss, against that of fresh models."""
        return self.observation.concept

    @property
    def loss(self) -> float | None:
        """The mean loss per row, None when no label is known."""
        score = self.concept.score
        return score.loss if score.labelled else None

    @property
    def alarm(self) -> float | None:
        """The loss above which it is concept drift, None without a reference."""
        mean, sd = self.concept.reference_mean, self.concept.reference_sd
        return None if mean is None or sd is None else mean + self.sigmas_limit * sd


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBatch:
    """One batch in force with its newest measurement; the batches of the first training have none."""

    manifest: Manifest
    measurement: Measurement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: with a judgement and the MLflow run of the judged version, or without a conclusion.

    `state` is the state of the judgement, else FAILED or LOST.
    """

    state: str
    reason: str
    judgement: Judgement | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A decision of the arbiter with the request; `outcome` is None when it started no run, or the run is in progress."""

    decision: DecisionFact
    request: Request
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request without a final answer; `why` is None when the arbiter has not looked at it yet."""

    request: Request
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """The time of a version in Production, and how it came there, in a word.

    `begin` and `end` are in the time of the data; `end` is None for the champion.
    """

    transition: Transition
    version: str
    how: str
    begin: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The whole page, for the newest `last` batches.

    `event_now` is None before the first batch. `tenures` are those that overlap the batches, oldest first. `former` are the
    versions that a rollback can go back to, newest first.
    """

    params: Params
    now: datetime
    event_now: datetime | None
    last: int
    batches: tuple[MeasuredBatch, ...]
    measurements: tuple[Measurement, ...]
    champion: Lineage | None
    challenger: Lineage | None
    tenures: tuple[Tenure, ...]
    former: tuple[str, ...]
    answers: tuple[Answered, ...]
    waiting: tuple[Waiting, ...]
    orders: OrdersInForce
    quarantine: Mapping[str, Quarantined]

    @property
    def all_orders(self) -> list[Order]:
        """The orders in force: pause, pin, and blocks."""
        orders = (self.orders.paused, self.orders.pinned, *self.orders.blocked.values())
        return [order for order in orders if order is not None]
