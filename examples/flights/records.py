"""What the demo stores about itself in `var/demo.json`: the marker of its home, its progress and its result."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from trimtab import files
from trimtab.contracts import Action, Source, from_json, to_json
from trimtab.errors import Unfit
from trimtab.replay.scorecard import Row

MARKER = "demo.json"
NEVER, SCHEDULE = "never retrained", "a schedule with as many deployments"
"""Policies of the scorecard that the page shows week by week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The newest answer to a request, or why it waits; `version` is the one that was deployed or gone back to."""

    source: Source
    action: Action
    reason: str
    version: str | None = None

    @property
    def moves(self) -> bool:
        """Whether it brought a version to Production."""
        return self.action in ("DEPLOY", "ROLLBACK") and self.version is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The traffic of one week: rows that the service predicted, and the version that answered."""

    rows: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the loop measured on one week, before it acted on it; `fresh` is the loss of the leader's shadow."""

    loss: float | None
    auc: float | None
    fresh: float | None
    regret: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One played week; `seconds` by phase, `note` says why the batch was refused."""

    batch: str
    served: Served
    measured: Measured | None = None
    decisions: tuple[Decision, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    note: str | None = None
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first champion: the decision that led to it."""

    decision: Decision
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How the model that a policy served did on one week."""

    batch: str
    loss: float
    auc: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One policy's row of the scorecard, and its quality week by week."""

    row: Row
    weeks: tuple[Quality, ...]


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
    that a week shows, `fits` the number of models that the loop fitted.
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
    fits: int = 0
    tasks: tuple[TaskTime, ...] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def with_week(self, week: Week) -> "Demo":
        """Return the demo with a week added, or replaced."""
        played = {each.batch: each for each in (*self.played, week)}
        return replace(self, played=tuple(played.values()))

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
