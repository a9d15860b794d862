"""What the demo stores about itself in `var/demo.json`: the marker of its home, its progress and its result."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from trimtab import files
from trimtab.contracts import Action, BatchScore, Comparison, Source, from_json, to_json
from trimtab.errors import Unfit

MARKER = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The arbiter's newest decision on a request, and how the run ended that it started.

    `request` is the reason of the request, `reason` that of the decision. `outcome` is the state of the judgement, or FAILED
    or LOST, and `sentence` says why. `comparison` is the gate's, None without a verdict.
    """

    source: Source
    request: str
    action: Action
    reason: str
    version: str | None = None
    outcome: str | None = None
    sentence: str | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The predictions of the service in one week, scored against the outcomes that came later."""

    rows: int
    version: str
    score: BatchScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What monitoring measured on one week; `sigmas` is None when it abstained, and `abstained` says why."""

    data_share: float
    data_drift: bool
    sigmas: float | None
    concept_drift: bool
    abstained: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One played week; `seconds` by phase, `note` says why the batch was refused."""

    batch: str
    served: Served
    observed: Observed | None = None
    decisions: tuple[Decision, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    note: str | None = None
    done: bool = False

    @property
    def promoted(self) -> tuple[Decision, ...]:
        """The decisions of this week that led to a new champion."""
        return tuple(decision for decision in self.decisions if decision.outcome == "PROMOTE")

    @property
    def retrained(self) -> tuple[Decision, ...]:
        """The retrainings of this week."""
        return tuple(decision for decision in self.decisions if decision.action == "RETRAIN")


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first champion: the decision that led to it."""

    decision: Decision
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One policy's line of the scorecard, with its score of each week; `retrainings` excludes the first training."""

    policy: str
    retrainings: int
    promotions: int
    scores: tuple[BatchScore, ...]

    @property
    def mean_auc(self) -> float | None:
        """Mean over the weeks that have an AUC, None without any."""
        values = [score.auc for score in self.scores if score.auc is not None]
        return sum(values) / len(values) if values else None

    @property
    def mean_loss(self) -> float | None:
        """Mean log loss over the weeks, None without any."""
        return sum(score.loss for score in self.scores) / len(self.scores) if self.scores else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTime:
    """How long one task of one DAG took, over all its runs."""

    dag: str
    task: str
    runs: int
    mean_seconds: float
    max_seconds: float
    total_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The whole demo; `made` names what it created in its home, and is all that a fresh start removes.

    The labels of the first `withhold` played weeks come late. `newest_decision` is the id of the ledger's newest decision
    that a week shows.
    """

    params_sha256: str
    weeks: int
    started_at: datetime
    made: tuple[str, ...]
    withhold: int = 0
    first: First | None = None
    played: tuple[Week, ...] = ()
    newest_decision: int = 0
    finished: bool = False
    scorecard: tuple[Line, ...] = ()
    tasks: tuple[TaskTime, ...] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def with_week(self, week: Week) -> "Demo":
        """Return the demo with a week added, or replaced."""
        others = [other for other in self.played if other.batch != week.batch]
        return replace(self, played=(*others, week))

    def week(self, batch: str) -> Week | None:
        """Return a week, None before it is played."""
        return next((week for week in self.played if week.batch == batch), None)


def load(home: Path) -> Demo | None:
    """Read the marker; None when no demo began here.

    Raises:
        Unfit: The file was not written by this version.
    """
    path = home / MARKER
    if not path.exists():
        return None
    try:
        return from_json(Demo, path.read_bytes())
    except ValidationError as error:
        what = f"{path} was not written by this version of the demo ({error.error_count()} errors)"
        raise Unfit(what, f"Move {home} away, or set TRIMTAB_HOME to another folder.") from error


def save(home: Path, demo: Demo) -> None:
    """Write the marker in one step, so that a kill leaves the old marker or the new one."""
    files.write(home / MARKER, to_json(demo))
