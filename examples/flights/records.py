"""What the demo remembers of itself, one file: `var/demo.json`, its marker, its memory and its result."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from trimtab import files
from trimtab.contracts import Action, BatchScore, Source, from_json, to_json
from trimtab.errors import Unfit
from trimtab.ledger.records import JudgementState

MARKER = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request of a week with the arbiter's last word, and what came of it.

    `gain`, `lower` and `upper` are the gate's, per row in units of the metric; None without a verdict.
    """

    source: Source
    asked: str
    action: Action
    reason: str
    version: str | None = None
    verdict: JudgementState | None = None
    sentence: str | None = None
    gain: float | None = None
    lower: float | None = None
    upper: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the service answered in one week, scored against the truth that came later."""

    rows: int
    refused: int
    version: str
    score: BatchScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What monitoring measured on one week; `sigmas` None when it abstained, for lack of labels or for what it says."""

    data_share: float
    data_drift: bool
    sigmas: float | None
    concept_drift: bool
    abstained: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One played week; `seconds` by phase, `note` says what kept the batch out."""

    batch: str
    served: Served
    observed: Observed | None = None
    answers: tuple[Answer, ...] = ()
    version_after: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    note: str | None = None
    done: bool = False

    @property
    def promoted(self) -> tuple[Answer, ...]:
        """The runs of this week that ended with a new champion."""
        return tuple(answer for answer in self.answers if answer.verdict == "PROMOTE")

    @property
    def retrained(self) -> tuple[Answer, ...]:
        """The requests of this week that were answered with a retraining."""
        return tuple(answer for answer in self.answers if answer.action == "RETRAIN")


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first champion: how it got there."""

    answer: Answer
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One policy's line of the scorecard, with its score of each week; `retrainings` do not count the first training."""

    policy: str
    retrainings: int
    promotions: int
    scores: tuple[BatchScore, ...]

    @property
    def mean_auc(self) -> float | None:
        """Mean over the weeks that have one, None without any."""
        known = [score.auc for score in self.scores if score.auc is not None]
        return sum(known) / len(known) if known else None

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

    The labels of the first `withhold` played weeks come late. `decisions_told` is the id of the ledger's newest decision
    that some week tells of.
    """

    params_sha256: str
    weeks: int
    started_at: datetime
    made: tuple[str, ...]
    withhold: int = 0
    first: First | None = None
    played: tuple[Week, ...] = ()
    decisions_told: int = 0
    finished: bool = False
    scorecard: tuple[Line, ...] = ()
    tasks: tuple[TaskTime, ...] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def with_week(self, week: Week) -> "Demo":
        """Return the demo with what is known of one week put in, or put right."""
        others = [one for one in self.played if one.batch != week.batch]
        return replace(self, played=(*others, week))

    def week(self, batch: str) -> Week | None:
        """Return what is known of one week."""
        return next((week for week in self.played if week.batch == batch), None)


def load(home: Path) -> Demo | None:
    """Read the marker, None when the demo never began here.

    Raises:
        Unfit: The file is no marker of this version.
    """
    path = home / MARKER
    if not path.exists():
        return None
    try:
        return from_json(Demo, path.read_bytes())
    except ValidationError as error:
        what = f"{path} was not written by this version of the demo ({error.error_count()} faults)"
        raise Unfit(what, f"Move {home} away, or set TRIMTAB_HOME to another folder.") from error


def save(home: Path, demo: Demo) -> None:
    """Write the marker in one step, so that a kill leaves the old or the new one."""
    files.write(home / MARKER, to_json(demo))
