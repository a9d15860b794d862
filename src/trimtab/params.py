"""`params.yaml`, read once in `steps` into frozen models and passed down; no default stands here."""

import math
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from trimtab.errors import ParamsError

FILE = "params.yaml"
_ERRORS = ("squared_error", "absolute_error")
"""Metrics of a regression."""
_EXPECTED = {"extra_forbidden": "should be a key that trimtab knows", "missing": "should be there"}
"""What a message says for these types of pydantic's errors."""
GUARD_BATCHES = 6
"""Number of newest batches since the deployment that the guard looks at."""
_HOURS = {"day": 24, "week": 7 * 24}
_KINDS = ("number", "category", "binary", "multiclass", "regression")
_KIND_PLACES: dict[tuple[int | str, ...], int] = {("data", "features"): 3, ("data", "label"): 2}
"""Where pydantic's errors name the kind of a feature, or of the label, which the file does not have as a key there."""


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("should be a name of the IANA time zone database, such as Europe/Berlin")
    return name


def _import_path(path: str) -> str:
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise ValueError("should be an import path, such as sklearn.linear_model.LogisticRegression")
    return path


Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
ImportPath = Annotated[str, AfterValidator(_import_path)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def candidate_of(window: int | Literal["all"]) -> tuple[str, int | None]:
    """Return the name of the candidate that trains on a window, and the number of batches, None for all.

    >>> candidate_of(4)
    ('newest 4', 4)
    """
    return ("all", None) if window == "all" else (f"newest {window}", window)


class Model(_Section):
    """Which estimator, under which name."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    estimator: ImportPath
    settings: dict[str, object]
    seed: NonNegativeInt
    trusted_types: list[str]


class Number(_Section):
    """A numeric feature; `min` and `max` are inclusive, in the feature's unit."""

    kind: Literal["number"]
    nullable: bool
    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> "Number":
        if self.min > self.max:
            raise ValueError(f"min should be at most max ({self.max})")
        return self


class Category(_Section):
    """A categorical feature; a value outside `categories` is encoded as unknown."""

    kind: Literal["category"]
    nullable: bool
    categories: Annotated[list[str], Field(min_length=1, max_length=254)]


Feature = Annotated[Number | Category, Field(discriminator="kind")]


class Binary(_Section):
    """A label that is 0 or 1; a model answers with the probability of 1."""

    kind: Literal["binary"]


class Multiclass(_Section):
    """A label that is one of these texts; a model answers with a probability for each."""

    kind: Literal["multiclass"]
    classes: Annotated[list[str], Field(min_length=2)]

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str]) -> list[str]:
        if len(set(classes)) < len(classes):
            raise ValueError("should name each class once")
        return classes


class Regression(_Section):
    """A label that is a number; `min` and `max` are inclusive, in the label's unit."""

    kind: Literal["regression"]
    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> "Regression":
        if self.min >= self.max:
            raise ValueError(f"min should be less than max ({self.max})")
        return self


Label = Annotated[Binary | Multiclass | Regression, Field(discriminator="kind")]


class Log(_Section):
    """How windows of the prediction log become batches, and when again."""

    every: Literal["day", "week"]
    wait_hours: NonNegativeFloat
    again_share: Share
    until_days: PositiveFloat


class Data(_Section):
    """The contract of a batch."""

    timezone: Annotated[str, AfterValidator(_known_timezone)]
    max_bad_share: Share
    max_unseen_share: Share
    landing_grace_seconds: NonNegativeFloat
    min_label_coverage: Share
    log: Log | None
    label: Label
    features: Annotated[dict[str, Feature], Field(min_length=1)]

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which batches are cut."""
        return ZoneInfo(self.timezone)

    @property
    def categories(self) -> dict[str, list[str]]:
        """Declared categories by feature, in the order of `features`."""
        return {name: of.categories for name, of in self.features.items() if isinstance(of, Category)}


class Train(_Section):
    """How much data a training takes, and where it runs."""

    start_batches: Annotated[int, Field(ge=3)]
    windows: Annotated[list[Literal["all"] | Count], Field(min_length=1)]
    shadow_every: Count
    env_manager: Literal["local", "virtualenv", "uv"]

    @property
    def candidates(self) -> dict[str, int | None]:
        """The windows by the names of their candidates: a number of newest batches, or None for all.

        >>> Train(start_batches=8, windows=["all", 8], shadow_every=1, env_manager="local").candidates
        {'all': None, 'newest 8': 8}
        """
        return dict(map(candidate_of, self.windows))


class Gate(_Section):
    """How models are compared, and what must hold for a deployment."""

    metric: Literal["log_loss", "brier", "squared_error", "absolute_error"]
    error: Annotated[float, Field(gt=0, lt=0.5)]
    block_hours: Count | None
    batch_correlation: Share
    min_blocks: Annotated[int, Field(ge=2)]
    baseline: ImportPath
    slices: list[str]
    slice_min_rows: Count
    slice_max_loss: NonNegativeFloat
    max_calibration_excess: Share
    max_ms_per_row: PositiveFloat
    max_model_mb: PositiveFloat
    ask: Literal["never", "promotion"]
    ask_minutes: PositiveFloat
    ask_default: Literal["promote", "keep"]


class DataDrift(_Section):
    """Data drift: the sample that is looked at, and the share of features that may drift."""

    sample_rows: Annotated[int, Field(ge=100)]
    max_share: Share


class ConceptDrift(_Section):
    """When a batch counts as hard, and the champion as stale."""

    rate: Annotated[float, Field(gt=0, lt=0.5)]


class Drift(_Section):
    """How drift is measured, and whether data drift asks for a deployment."""

    data: DataDrift
    concept: ConceptDrift
    request_on: list[Literal["data"]]


class Race(_Section):
    """When another training window, or another recipe, takes the lead."""

    batches: Annotated[int, Field(ge=2)]
    error: Annotated[float, Field(gt=0, lt=0.5)]
    trial_batches: Annotated[int, Field(ge=7)]


class Watch(_Section):
    """When a new champion is rolled back."""

    batches: Count
    error: Annotated[float, Field(gt=0, lt=0.5)]


class Trigger(_Section):
    """When a champion is replaced, and how often."""

    regret: PositiveFloat
    max_age_batches: Count
    max_per_event_month: Count
    max_per_hour: Count
    lease_minutes: PositiveFloat
    alert_join_hours: PositiveFloat


class Registry(_Section):
    """What follows when somebody moves a version by hand."""

    foreign_change: Literal["restore", "adopt", "ask"]


class Serve(_Section):
    """The model service."""

    refresh_seconds: PositiveFloat
    max_rows: Count
    request_seconds: PositiveFloat
    shadow_rows: NonNegativeInt
    holdback_share: Annotated[float, Field(ge=0, lt=1)]


class Predictions(_Section):
    """The prediction log, and what waits to be written to it."""

    retention_days: PositiveFloat | None
    timeout_seconds: PositiveFloat
    write_seconds: PositiveFloat
    retry_seconds: PositiveFloat
    gather_seconds: NonNegativeFloat
    batch: Count
    queue: Count
    spool_mb: PositiveFloat
    purge_minutes: PositiveFloat


class Params(_Section):
    """All of `params.yaml`."""

    version: Literal[1]
    model: Model
    data: Data
    train: Train
    gate: Gate
    race: Race
    drift: Drift
    watch: Watch
    trigger: Trigger
    registry: Registry
    serve: Serve
    predictions: Predictions

    @model_validator(mode="after")
    def _sections_agree(self) -> "Params":
        gate, label, categories = self.gate, self.data.label, self.data.categories
        metrics = _ERRORS if isinstance(label, Regression) else ("log_loss", "brier")
        if gate.metric not in metrics:
            expected = f"should be {' or '.join(metrics)} (data.label.kind is {label.kind})"
            raise ParamsError(FILE, "gate.metric", expected, gate.metric)
        for name in gate.slices:
            if name not in categories:
                expected = f"should name features of kind category ({', '.join(categories)})"
                raise ParamsError(FILE, "gate.slices", expected, name)
        if self.data.log is not None and gate.block_hours is not None:
            blocks = math.ceil(_HOURS[self.data.log.every] / gate.block_hours)
            if never := self.never_decide(blocks):
                expected = (
                    f"should be at most {blocks * min(never.values())} with data.log.every {self.data.log.every} and "
                    f"gate.block_hours {gate.block_hours} (else these never decide: {', '.join(never)})"
                )
                raise ParamsError(FILE, "gate.min_blocks", expected, gate.min_blocks)
        return self

    def never_decide(self, blocks: int) -> dict[str, int]:
        """Return the comparisons that can never decide, and the number of batches that each looks at.

        A comparison needs `gate.min_blocks` blocks of time, and four look at a limited number of batches. If these have
        fewer blocks together, whatever the models do,

        - the guard waits for ever, so nothing is deployed after the first champion,
        - no other training window, and no other recipe, ever takes the lead,
        - no new champion is ever rolled back.

        The first champion, and a deployment after a rollback, are compared on more batches than the guard looks at.

        Args:
            blocks: Largest number of blocks in a batch.

        >>> load(Path("params.yaml")).never_decide(1)
        {'the guard': 6, 'race.batches': 6, 'watch.batches': 4}
        """
        batches = {
            "the guard": GUARD_BATCHES,
            "race.batches": self.race.batches,
            "race.trial_batches": self.race.trial_batches,
            "watch.batches": self.watch.batches,
        }
        return {name: number for name, number in batches.items() if blocks * number < self.gate.min_blocks}


def load(path: Path) -> Params:
    """Read and check a `params.yaml`.

    Raises:
        ParamsError: The file is missing, is not YAML, or holds a value that cannot be used; one line that names file,
            key, what was expected and what came.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ParamsError(str(path), "(file)", "should be a readable file", error.strerror) from error
    return parse(text, name=path.name)


def parse(text: str, *, name: str = FILE) -> Params:
    """Check the text of a `params.yaml`; `name` is what an error calls it.

    Raises:
        ParamsError: As `load`.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f"line {where.line + 1}" if where else "(file)"
        raise ParamsError(name, place, "should be YAML", str(error).splitlines()[0]) from error
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        # An unknown key explains the missing one beside it: a typo gives both.
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        expected = _EXPECTED.get(first["type"], first["msg"].removeprefix("Value error, "))
        got = None if first["type"] == "missing" else first["input"]
        raise ParamsError(name, _key(first["loc"]) or "(file)", expected, got) from error


def _key(place: tuple[int | str, ...]) -> str:
    tag = _KIND_PLACES.get(place[:2])
    return ".".join(str(part) for position, part in enumerate(place) if position != tag or part not in _KINDS)
