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

VerdictKind = Literal["PROMOTE", "HOLD", "REJECT", "ASK"]
Action = Literal["RETRAIN", "JUDGE", "ROLLBACK", "ASK", "SKIP", "WAIT"]
Source = Literal["schedule", "ui", "drift", "age", "look", "watch", "alert"]
OrderVerb = Literal["pause", "resume", "pin", "unpin", "block", "unblock", "promote", "rollback"]
Stage = Literal["None", "Staging", "Production", "Archived"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRef:
    """One revision of one batch."""

    batch: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """Rows, and how many of them have a label."""

    rows: int
    labelled: int

    @property
    def coverage(self) -> float:
        """Share of the rows that have a label."""
        return self.labelled / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(_Labelled):
    """What is known of one batch revision; lies beside its DVC pointer as `data/batches/<batch>.json`.

    `start` and `end` bound `event_time` as [start, end); `rows` and `labelled` count what was kept; `bad_rows` counts
    what went to quarantine; `unseen` counts, per feature, values outside the declared categories; `source_sha256` is
    of the landed file, and is what makes a second ingest of the same file a no-op. `label_age_hours` is the maturity of
    the labels: how long after `end` they were collected, None when nobody says.
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
    label_age_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered version, with all that is needed to load it safely."""

    version: str
    run_id: str
    source: str
    digest: str
    trained_through: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The losses of both models, summed over the rows of one block of time within one batch."""

    batch: str
    number: int
    rows: int
    champion: float
    challenger: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The canonical `run.yaml`: what a commit cannot hold, and a training run needs.

    `train` and `judge` are disjoint, oldest first; no label known after `cutoff` is read; `decision` names the ledger's
    decision that asked for this run, or is None for a person's own `dvc repro`; `champion` None means that the baseline
    of `gate.baseline` plays champion. At the first look `challenger` is None: it is made by this run. At a later one
    it is the version under judgement, `judge` holds the batches that came since, and `judged` the blocks of the looks
    before.
    """

    model: str
    commit: str
    cutoff: datetime
    train: tuple[BatchRef, ...]
    judge: tuple[BatchRef, ...]
    champion: ModelVersion | None = None
    decision: str | None = None
    dry_run: bool = False
    challenger: ModelVersion | None = None
    look: int = 1
    judged: tuple[Block, ...] = ()
    window_batches: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What `train` leaves behind: `build/training.json`.

    `reference_losses` maps batch id to the mean loss of a model that was fitted on the batches before it: how well a
    fresh model does on a batch it has not seen, which is what concept drift is measured against.
    """

    run_id: str
    source: str
    digest: str
    rows: int
    batches: tuple[BatchRef, ...]
    trained_through: datetime
    reference_losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """What `refit` leaves behind: `build/refit.json`.

    `training` is None when there was nothing to refit, and `reason` says why. `difference` is how far the refit's
    predictions lie from its judged sibling's on the judged rows (see `evaluate.scores.apart`); only what is `accepted` may
    go to Production.
    """

    training: Training | None
    difference: float | None
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchScore(_Labelled):
    """How one model did on one batch; `auc` is None in a regression, and where the labelled rows lack a class."""

    batch: str
    loss: float
    auc: float | None


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
class Comparison:
    """A paired comparison on the same rows: positive `gain` means that the challenger loses less.

    `lower` and `upper` bound the gain (per row, in units of `metric`): `lower` with an error of `error`, which is
    what this look may spend of `gate.error`, `upper` with `gate.error` itself. The unit is a time block, of which
    there were `blocks`.
    """

    metric: str
    rows: int
    blocks: int
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
class Verdict:
    """What the gate decided, in one plain sentence, and on what.

    `judged_on` are the batches of this look, `blocks` those of this look and all before; `probes` maps the name of
    each probe to what the same gate said of it. `champion` is a version, None when the baseline played champion.
    """

    kind: VerdictKind
    reason: str
    look: int
    comparison: Comparison
    blocks: tuple[Block, ...]
    checks: tuple[Check, ...]
    probes: Mapping[str, VerdictKind]
    judged_on: tuple[BatchRef, ...]
    champion: str | None
    challenger_scores: tuple[BatchScore, ...]
    champion_scores: tuple[BatchScore, ...]
    cutoff: datetime

    @property
    def champion_name(self) -> str:
        """The champion in a sentence."""
        return champion_name(self.champion)


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
class ConceptDrift:
    """The champion's loss on one batch against what fresh models lose.

    `sigmas` is (loss - mean) / sd over the reference batches; None when there are too few labels or references, and
    `abstained` then says why. `lower` and `upper` bound the loss with 95 %, over blocks of time; None with one block.
    """

    score: BatchScore
    reference_mean: float | None
    reference_sd: float | None
    sigmas: float | None
    abstained: str | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How a new champion and the one before it did on one batch that came after the promotion.

    In `blocks` the new one is `champion`, the one before `challenger`; `trouble` says why `blocks` is empty.
    """

    former: str
    blocks: tuple[Block, ...]
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the rule in `params.yaml` makes of an observation; `source` None asks for nothing."""

    source: Source | None
    data_drift: bool
    concept_drift: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The arbiter's answer to one request, with its sentence."""

    request: str
    action: Action
    reason: str


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
