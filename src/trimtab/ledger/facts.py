"""The facts of the ledger: one frozen dataclass per kind.

A fact is never changed. Its key says what it is about; the ledger stores one fact per model, kind and key, so that writing
the same fact twice has no effect. `id` and `at` are set by the ledger when the fact is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from trimtab.contracts import (
    Action,
    BatchRef,
    DataDrift,
    Evidence,
    Examined,
    Manifest,
    ModelVersion,
    OrderVerb,
    Plan,
    Quarantined,
    Recipe,
    Score,
    Source,
    Stage,
    Training,
    plain,
)

NOT_WRITTEN = datetime.min.replace(tzinfo=UTC)

TransitionKind = Literal["promote", "force", "rollback", "restore", "adopt", "stage", "archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What all facts have: their number in the ledger and the system time at which they were written."""

    id: int = field(default=0, compare=False)
    at: datetime = field(default=NOT_WRITTEN, compare=False)

    if TYPE_CHECKING:  # each kind has both, as fields or as properties

        @property
        def key(self) -> str:
            """What the fact is about, unique within model and kind."""

        @property
        def event_time(self) -> datetime | None:
            """The time in the data that the fact belongs to, None when it belongs to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undated(Fact):
    """A fact that belongs to no time in the data: it is about files, people or the system."""

    @property
    def event_time(self) -> None:
        """None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Fact):
    """A revision of a batch was ingested; `commit` and `md5` say where its rows are in the versioned data."""

    manifest: Manifest
    commit: str
    md5: str

    @property
    def key(self) -> str:
        """Batch and revision."""
        return batch_key(self.manifest.batch, self.manifest.revision)

    @property
    def event_time(self) -> datetime:
        """The end of the batch."""
        return self.manifest.end

    @property
    def ref(self) -> BatchRef:
        """Batch and revision."""
        return BatchRef(batch=self.manifest.batch, revision=self.manifest.revision)


def batch_key(batch: str, revision: int) -> str:
    """Return the key of the fact of one revision of a batch."""
    return f"{batch}:r{revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineAction(Undated):
    """An entry was quarantined, released or dropped; `number` counts the actions on this entry."""

    entry: Quarantined
    action: Literal["quarantined", "released", "dropped"]
    actor: str
    reason: str
    number: int = 1

    @property
    def key(self) -> str:
        """Entry and number."""
        return f"{self.entry.name}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Fact):
    """The scores of models on one batch revision that they were not trained on.

    `scores` are by MLflow run, that of the baseline by its name. `champion` is the MLflow run of the model in Production.
    `shadows` names the model that each candidate had fitted before this batch, and `leader` the candidate that leads after
    it. `failed` says why a model has no score. `decision` is the run that measured the batch once more, for a candidate
    that a person chose.
    """

    batch: str
    revision: int
    scores: Mapping[str, Score]
    champion: str | None
    shadows: Mapping[str, str]
    leader: str
    event_time: datetime
    failed: Mapping[str, str] = field(default_factory=dict)
    decision: str | None = None

    @property
    def key(self) -> str:
        """Batch and revision, and the run if one asked for it."""
        key = batch_key(self.batch, self.revision)
        return f"{key}:{self.decision}" if self.decision else key


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow(Fact):
    """A model that a candidate fitted through one batch revision, or why it could not; `attempt` counts from 1."""

    candidate: str
    batch: str
    revision: int
    training: Training | None
    event_time: datetime
    examined: Examined | None = None
    error: str | None = None
    attempt: int = 1

    @property
    def key(self) -> str:
        """Candidate, batch, revision and attempt."""
        return f"{shadow_prefix(self.candidate, self.batch, self.revision)}{self.attempt}"


def shadow_prefix(candidate: str, batch: str, revision: int) -> str:
    """Return the beginning of the keys of all attempts to fit a candidate through a batch revision."""
    return f"{candidate}:{batch_key(batch, revision)}:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeEntry(Fact):
    """A recipe enters the race, with a commit to the origin. The first one has number 1, and is not on trial.

    `changes` says what differs from the recipe before it.
    """

    number: int
    recipe: Recipe
    commit: str
    changes: tuple[str, ...]
    event_time: datetime

    @property
    def key(self) -> str:
        """The number."""
        return str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Fact):
    """How far the features of one batch revision lie from those that the champion was trained on.

    `event_time` is the end of the batch, `report_run_id` the MLflow run with Evidently's report.
    """

    batch: str
    revision: int
    champion: str
    data: DataDrift
    report_run_id: str
    event_time: datetime

    @property
    def key(self) -> str:
        """Batch, revision and champion."""
        return observation_key(self.batch, self.revision, self.champion)


def observation_key(batch: str, revision: int, champion: str) -> str:
    """Return the key of the observation of a batch revision with a champion."""
    return f"{batch_key(batch, revision)}:v{champion}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Fact):
    """A person, a schedule, a batch or an alert asks for a deployment, or for a rollback if `source` is `watch`.

    `champion` is the version that the request is about, if any. `labels` and `links` are those of the alert if `source` is
    `alert`.
    """

    source: Source
    episode: str
    reason: str
    event_time: datetime
    champion: str | None = None
    window_batches: int | None = None
    force: bool = False
    dry_run: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Source and episode: the same request made twice is one request."""
        return f"{self.source}:{self.episode}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Fact):
    """The arbiter cannot answer a request yet, and says why; `number` counts these reasons per request."""

    request: str
    reason: str
    holder: str
    event_time: datetime
    number: int = 1

    @property
    def key(self) -> str:
        """Request and number."""
        return f"{self.request}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Fact):
    """The final answer to a request, given when its outcome is known; `run` is the run that it led to, if any.

    `version` is the one that was deployed, or that was gone back to.
    """

    request: str
    action: Action
    reason: str
    holder: str
    event_time: datetime
    run: str | None = None
    version: str | None = None
    evidence: Evidence | None = None

    @property
    def key(self) -> str:
        """The request's key: a request has one answer."""
        return self.request


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Fact):
    """The Airflow run `holder` works on a request: it fits what is missing, asks a person, and deploys.

    `plan` is None when nothing has to be fitted.
    """

    key: str
    request: str
    action: Literal["DEPLOY", "ASK"]
    reason: str
    holder: str
    commit: str
    event_time: datetime
    plan: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Fact):
    """A run asks a person, and has given its lease back; the key is that of the run."""

    key: str
    text: str
    event_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd(Fact):
    """A run has ended: it came to an answer, failed, or was lost (its lease expired without a sign of life)."""

    key: str
    request: str
    outcome: Literal["concluded", "failed", "lost"]
    reason: str
    event_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Fact):
    """A model version was registered."""

    version: str
    candidate: str
    training: Training

    @property
    def key(self) -> str:
        """The version."""
        return self.version

    @property
    def event_time(self) -> datetime:
        """The end of the newest batch that it was trained on."""
        return self.training.trained_through

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
            recipe=training.recipe,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(Fact):
    """The intent to move a version to a stage. A `TransitionEnd` with the same key says what became of it."""

    key: str
    kind: TransitionKind
    version: str
    to_stage: Stage
    replaces: str | None
    actor: str
    reason: str
    evidence_sha256: str | None
    event_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionEnd(Undated):
    """A transition is done, or void: it was not made, and will not be."""

    key: str
    outcome: Literal["done", "void"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Fact):
    """An operator, or the watch rule, ordered something by name and with a reason; `recipe` is the one to adopt."""

    verb: OrderVerb
    version: str | None
    actor: str
    reason: str
    event_time: datetime | None
    recipe: int | None = None
    key: str = field(default_factory=lambda: uuid4().hex, compare=False)

    def __str__(self) -> str:
        return f"{self.actor}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Undated):
    """A message was delivered to people."""

    key: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Undated):
    """An alert of Alertmanager fires or is resolved; the fingerprint is that of its labels."""

    fingerprint: str
    status: Literal["firing", "resolved"]
    starts_at: datetime
    ends_at: datetime
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The episode and the status."""
        return f"{self.episode}:{self.status}"

    @property
    def episode(self) -> str:
        """Fingerprint and start: the same alert can come back later."""
        return f"{self.fingerprint}:{self.starts_at.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Undated):
    """The intent to erase rows for good, named by the salted SHA-256 of their ids.

    `objects` are the MD5 sums of every revision of `batches` that held such a row. `versions` were trained or judged on
    such a revision, and cannot be reproduced.
    """

    key: str
    salt: str
    rows: tuple[str, ...]
    batches: tuple[str, ...]
    objects: tuple[str, ...]
    versions: tuple[str, ...]
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureEnd(Undated):
    """An erasure is complete."""

    key: str


KINDS: tuple[type[Fact], ...] = (
    Batch,
    QuarantineAction,
    Measurement,
    Shadow,
    RecipeEntry,
    Observation,
    Request,
    Wait,
    Answer,
    Run,
    Question,
    RunEnd,
    Version,
    Transition,
    TransitionEnd,
    Order,
    Notice,
    Alert,
    Erasure,
    ErasureEnd,
)


def kind_of(kind: type[Fact]) -> str:
    """Return the name under which a kind is stored.

    >>> kind_of(TransitionEnd)
    'transition_end'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def body_of(fact: Fact) -> dict[str, Any]:
    """Return what is stored of a fact, as JSON types."""
    return {name: value for name, value in plain(fact).items() if name not in ("id", "at")}
