"""What crosses a stage boundary: one frozen value an arrow, plain types only.

The same value fits an XCom, a JSON file and a test literal: `to_json` and `from_json` go both ways. Times are aware
datetimes in UTC and are written in ISO 8601.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter

Action = Literal["DEPLOY", "ROLLBACK", "ASK", "SKIP", "WAIT"]
Source = Literal["schedule", "ui", "first", "regret", "age", "watch", "drift", "alert"]
OrderVerb = Literal["pause", "resume", "pin", "unpin", "block", "unblock", "promote", "rollback", "adopt"]
Stage = Literal["None", "Staging", "Production", "Archived"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRef:
    """One revision of one batch."""

    batch: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of one batch revision; lies beside its DVC pointer as `data/batches/<batch>.json`.

    `start` and `end` bound `event_time` as [start, end); `rows` and `labelled` count what was kept; `bad_rows` counts
    what went to quarantine; `unseen` counts, per feature, values outside the declared categories; `source_sha256` is
    of the landed file, and is what makes a second ingest of the same file a no-op. `label_age_hours` is the maturity of
    the labels: how long after `end` they were collected, None when nobody says. `enough_labels_at` is when so many
    of them were there as `data.min_label_coverage` demands.
    """

    model: str
    batch: str
    revision: int
    start: datetime
    end: datetime
    partial: bool
    bad_rows: int
    unseen: Mapping[str, int]
    source_sha256: str
    rows: int
    labelled: int
    label_age_hours: float | None = None
    enough_labels_at: datetime | None = None

    @property
    def coverage(self) -> float:
        """Share of the rows that have a label."""
        return self.labelled / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The losses of both models, summed over the rows of one block of time within one batch."""

    batch: str
    number: int
    rows: int
    champion: float
    challenger: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLoss:
    """The loss of one model, summed over the rows of one block of time within one batch."""

    number: int
    rows: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Rows with a predicted probability in one bin: their number, and the sums of predictions and outcomes."""

    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one model did on the labelled rows of one batch that it was not trained on.

    `slices` maps `feature=value` to the blocks of these rows, for the features of `gate.slices`. `calibration` has bins of
    equal width, and is empty in a regression. `invalid` counts predictions that are no probability or no finite number.
    `auc` is None in a regression, and where the rows lack a class.
    """

    metric: str
    blocks: tuple[BlockLoss, ...]
    slices: Mapping[str, tuple[BlockLoss, ...]]
    calibration: tuple[CalibrationBin, ...]
    invalid: int
    auc: float | None

    @property
    def rows(self) -> int:
        """Number of labelled rows."""
        return sum(block.rows for block in self.blocks)

    @property
    def loss(self) -> float:
        """Mean loss per row, in units of `metric`; 0 without rows."""
        return sum(block.loss for block in self.blocks) / max(1, self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFeature:
    """A feature that a model reads; `categories` in the order in which they are encoded, None for a number."""

    name: str
    categories: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides which model is fitted on the same rows: estimator, settings, seed, features in their order, label."""

    estimator: str
    settings: Mapping[str, Any]
    seed: int
    features: tuple[RecipeFeature, ...]
    label: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model that MLflow holds, with all that is needed to load it safely and to predict with it.

    `recipe` is None if it is that of the parameters with which the model is used.
    """

    run_id: str
    source: str
    digest: str
    trained_through: datetime
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(TrainedModel):
    """A registered version of the model."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(TrainedModel):
    """A model as its training left it: the rows and batches that it was fitted on, and how long that took."""

    rows: int
    batches: tuple[BatchRef, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to fit models: on the newest `window` batches, or on all if it is None.

    `recipe` is None if it is that of the commit.
    """

    name: str
    window: int | None
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model to fit: that of a candidate (see `Candidate`), on the batches that end with `through`."""

    candidate: str
    through: str
    window: int | None
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The canonical `run.yaml`: what a commit cannot hold, and a run of the MLflow Project needs.

    `batches` are all that is read, oldest first; no label known after `cutoff` is. `fits` are the models to fit. Each is
    scored on the batch after it, and each of `models` on all batches of `scored` that it was not trained on. `shadows` names
    the MLflow run of each candidate's newest model among them. `decision` is the run of the arbiter that asked for it, if
    one did.
    """

    model: str
    commit: str
    cutoff: datetime
    batches: tuple[BatchRef, ...]
    scored: tuple[str, ...]
    fits: tuple[Fit, ...]
    models: tuple[TrainedModel, ...] = ()
    shadows: Mapping[str, str] = field(default_factory=dict)
    decision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What became of a `Fit`: a training, or the error that it ended with. One list of them is `build/fitted.json`."""

    fit: Fit
    training: Training | None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the checks need to know of a fitted model besides its scores.

    `distance` is how far its predictions lie from those of the model that its candidate fitted before, on the newest batch
    (see `evaluate.scores.apart`); None without one. `fault` says what is wrong with its predictions at the edges of the
    data contract, None if nothing is.
    """

    milliseconds_per_row: float
    megabytes: float
    distance: float | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What `evaluate` leaves behind: `build/evaluation.json`.

    `scores` are by batch and by the MLflow run of the model, `examined` by that of the fitted model. `failed` says, by run,
    why a model has no score.
    """

    scores: Mapping[str, Mapping[str, Score]]
    examined: Mapping[str, Examined]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A paired comparison on the same rows: positive `gain` means that the challenger loses less.

    `lower` and `upper` bound the gain (per row, in units of `metric`): `lower` with an error of `error`, `upper` with
    `gate.error`. The unit is a time block: there were `blocks` of them in `batches` batches.
    """

    metric: str
    rows: int
    blocks: int
    batches: int
    champion_loss: float
    challenger_loss: float
    gain: float
    lower: float
    upper: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One more thing that must hold for a promotion; `value` and `limit` in the unit that `sentence` names."""

    name: str
    passed: bool
    value: float
    limit: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What the champion has lost compared with the leader's shadows, per row, in units of the metric.

    `by_batch` has the difference of the mean losses on each batch since the deployment on which both have a score, positive
    where the champion lost more. `at_stake` is what the sum is measured against (see `evaluate.regret.loss_at_stake`), None
    with fewer than two batches.
    """

    by_batch: tuple[float, ...]
    at_stake: float | None

    @property
    def total(self) -> float:
        """Sum over batches. Negative if the champion was better than the fresh models."""
        return sum(self.by_batch)

    @property
    def share(self) -> float:
        """The sum as a share of what is at stake on one batch; 0 while that is not known."""
        return self.total / self.at_stake if self.at_stake else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a decision is based on: the figures of the leading candidate against the champion.

    `target` is the MLflow run of the model that it would deploy or go back to. `regret` and `age`, in labelled batches
    since the deployment, are None without a champion.
    """

    leader: str
    target: str | None = None
    regret: Regret | None = None
    age: int | None = None
    comparison: Comparison | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """One feature's distance between reference and current, by the named statistic."""

    column: str
    statistic: str
    score: float
    threshold: float
    drifted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDrift:
    """Distances of all features of one batch; `sampled` rows of the batch were looked at."""

    sampled: int
    share: float
    columns: tuple[ColumnDrift, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One entry of the quarantine: a whole batch, or some rows of one.

    The original is at `path`. `row_ids` are the rows that the reason is about; the reason does not contain them, so that
    an erasure can remove them.
    """

    name: str
    batch: str
    kind: Literal["batch", "rows"]
    reason: str
    rows: int
    path: str
    details: Mapping[str, int] = field(default_factory=dict)
    row_ids: tuple[str, ...] = ()


def champion_name(version: str | None) -> str:
    """Name a champion in a sentence; None is the baseline.

    >>> champion_name("4"), champion_name(None)
    ('version 4', 'the baseline')
    """
    return "the baseline" if version is None else f"version {version}"


def to_json(value: Any) -> str:  # any contract above
    """Return canonical JSON: sorted keys, so that equal values have equal text and digest."""
    return json.dumps(plain(value), sort_keys=True, indent=2)


def from_json(kind: type[T], text: str | bytes) -> T:
    """Read what `to_json` wrote.

    Raises:
        pydantic.ValidationError: The text is not such a value.
    """
    return TypeAdapter(kind).validate_json(text)


def sha256(value: Any) -> str:  # any contract above
    """Return the digest of a value's canonical JSON: the evidence hash."""
    return hashlib.sha256(to_json(value).encode()).hexdigest()


def plain(value: Any) -> dict[str, Any]:  # any contract above
    """Return the value as a dict of JSON types, for an XCom or a ledger column."""
    result: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")  # type: ignore[arg-type]  # hashable
    return result


def from_plain(kind: type[T], value: object) -> T:
    """Read a contract out of the JSON types that `plain` made.

    Raises:
        pydantic.ValidationError: The value is no such contract.
    """
    read: T = _adapter(kind).validate_python(value)  # type: ignore[arg-type]  # a type is hashable
    return read


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    # Building an adapter takes 4 to 14 ms, and a page reads hundreds of rows.
    return TypeAdapter(kind)
