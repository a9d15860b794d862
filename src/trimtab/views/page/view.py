"""What the Model health page shows: facts of the ledger, put together for the page by `views.health`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from trimtab.contracts import Manifest, Quarantined, Regret, Score
from trimtab.evaluate.alarms import Alarm, Alarms
from trimtab.evaluate.compare import loss_bounds
from trimtab.ledger import (
    Answer,
    Measurement,
    Observation,
    Order,
    Question,
    RecipeEntry,
    Request,
    Run,
    RunEnd,
    Shadow,
    Transition,
    Version,
)
from trimtab.ledger.state import DecisionFact, OrdersInForce
from trimtab.params import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """One version, and the answer that deployed it or went back to it, None if a person did."""

    version: Version
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """A measurement of one batch revision.

    `version` was in Production then, None before the first deployment. `regret` is what the champion had lost since its
    deployment, None if that is not known: of a revision that was superseded, for example. Then it has no `alarms` either.
    """

    measurement: Measurement
    version: str | None
    regret: Regret | None
    alarms: Alarms

    @property
    def score(self) -> Score | None:
        """The score of the champion."""
        return self.measurement.scores.get(self.measurement.champion or "")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The 95 % bounds of the champion's loss."""
        return loss_bounds(self.score.blocks) if self.score else None

    @property
    def fresh(self) -> Score | None:
        """The score of the leader's shadow."""
        return self.score_of(self.measurement.leader)

    def score_of(self, candidate: str) -> Score | None:
        """Return the score of a candidate's shadow."""
        return self.measurement.scores.get(self.measurement.shadows.get(candidate, ""))

    @property
    def failed(self) -> Mapping[str, str]:
        """Why models have no score, by what they are."""
        measurement = self.measurement
        names = {run: f"the shadow of {candidate}" for candidate, run in measurement.shadows.items()}
        if measurement.champion is not None:
            names[measurement.champion] = "the champion"
        return {names.get(run, f"run {run[:8]}"): reason for run, reason in measurement.failed.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBatch:
    """One batch in force, with the measurement and the observation of its newest revision that has one.

    `unmeasured` says why there is no measurement.
    """

    manifest: Manifest
    quality: Quality | None
    observation: Observation | None
    unmeasured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to fit models that takes part in the race.

    `shadow` is its newest model, and `score` that of the model before it on the newest measured batch. `error` says why its
    latest fit failed, if it did.
    """

    name: str
    leads: bool
    shadow: Shadow | None
    score: Score | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The candidates that race, scored on `batch`, the newest measured one.

    `recipe` is the newest recipe that entered after the first one, None if none did. `state` says in a few sentences how its
    trial stands or has ended.
    """

    batch: str | None
    candidates: tuple[Candidate, ...]
    recipe: RecipeEntry | None
    state: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Seconds that the newest fits of all candidates took together."""
        fitted = (each.shadow.training for each in self.candidates if each.shadow)
        return sum(training.seconds for training in fitted if training)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision of the arbiter with its request.

    `end` is that of a run, None while it is in progress. `question` is the one that the run asks. `waits` says that the
    request has no answer, and no run works on it.
    """

    decision: DecisionFact
    request: Request
    end: RunEnd | None = None
    question: Question | None = None
    waits: bool = False

    @property
    def failed(self) -> bool:
        """Whether it is a run that has failed or was lost."""
        return self.end is not None and self.end.outcome != "concluded"

    @property
    def why(self) -> str:
        """Why a run has failed, else the reason of the decision."""
        return self.end.reason if self.end and self.failed else self.decision.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request without a final answer; `why` is None when the arbiter has not looked at it yet."""

    request: Request
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A run that waits for a person's answer."""

    run: Run
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """The time of a version in Production, and how it came there, in a word.

    `begin` and `end` are in the time of the data; `end` is None for the champion. `answer` is the one that led to it.
    """

    transition: Transition
    version: str
    how: str
    begin: datetime
    end: datetime | None
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The whole page, for the newest `last` batches.

    `event_now` is None before the first batch. `qualities` are all measurements of these batches, of each revision, oldest
    first. `tenures` are those that overlap the batches, oldest first. `former` are the versions that a rollback can go back
    to, newest first.
    """

    params: Params
    now: datetime
    event_now: datetime | None
    last: int
    batches: tuple[MeasuredBatch, ...]
    qualities: tuple[Quality, ...]
    champion: Lineage | None
    challenger: Lineage | None
    race: Race
    tenures: tuple[Tenure, ...]
    former: tuple[str, ...]
    decisions: tuple[Decided, ...]
    waiting: tuple[Waiting, ...]
    questions: tuple[Asking, ...]
    orders: OrdersInForce
    quarantine: Mapping[str, Quarantined]

    @property
    def firing(self) -> Mapping[str, Alarm]:
        """The alarms on the newest measured batch, by name; a champion that was replaced since then is stale no more."""
        if not self.qualities:
            return {}
        newest = self.qualities[-1]
        replaced = not self.tenures or newest.version != self.tenures[-1].version
        firing = newest.alarms.firing.items()
        return {name: alarm for name, alarm in firing if not (replaced and alarm is newest.alarms.stale)}

    @property
    def all_orders(self) -> list[Order]:
        """The orders in force: pause, pin, and blocks."""
        orders = (self.orders.paused, self.orders.pinned, *self.orders.blocked.values())
        return [order for order in orders if order is not None]
