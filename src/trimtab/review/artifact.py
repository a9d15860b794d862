"""Read the artifact of a job that ran untrusted code, and refuse whatever the pipeline does not write."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from trimtab.contracts import Evaluation, Fitted, ModelVersion, Score, champion_name, from_json, from_plain
from trimtab.errors import ReviewRefused
from trimtab.evaluate.calibration import BINS
from trimtab.evaluate.record import BASELINE, ScoredBatch
from trimtab.trigger.standing import record_of

FITTED, EVALUATION, CHAMPION = "fitted.json", "evaluation.json", "champion.yaml"
_MAX_BYTES, _MAX_BATCHES = 10_000_000, 60
_LARGEST = 1e100
"""No sum of losses comes near it, and its square is still a number."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,59}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,9}", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What the run of a pull request measured.

    Args:
        champion: The version in Production; None before the first deployment, and if it cannot predict for any batch, for
            example because the pull request drops a feature that it needs.
        record: The batches on which models were scored, oldest first.
        failed: Why a model could not be fitted or scored.
    """

    champion: ModelVersion | None
    record: Sequence[ScoredBatch]
    failed: Sequence[str]

    @property
    def rival(self) -> str:
        """The model that the candidates are compared with, as the record names it."""
        return self.champion.run_id if self.champion else BASELINE

    @property
    def rival_name(self) -> str:
        """The same model, as a sentence names it."""
        return champion_name(self.champion.version if self.champion else None)


def read(folder: Path, metric: str) -> Artifact:
    """Read the artifact of a run.

    Args:
        folder: The artifact.
        metric: `gate.metric` of the base branch.

    Raises:
        ReviewRefused: A file is missing, a link, too large, or holds values that the pipeline does not write.
    """
    fitted = _read(folder / FITTED, list[Fitted])
    evaluation = _read(folder / EVALUATION, Evaluation)
    champion = _read_champion(folder / CHAMPION)
    for file, expected, got in _faults(fitted, evaluation, champion, metric):
        raise ReviewRefused(file, expected, got)
    errors = [
        f"{each.fit.candidate} through {each.fit.through}: {each.error}" for each in fitted if each.error
    ]
    unscored = [
        f"{champion_name(champion.version) if champion and champion.run_id == run else 'a candidate'} has {why}"
        for run, why in evaluation.failed.items()
    ]
    batches = list(dict.fromkeys(each.fit.through for each in fitted))
    is_scored = champion and any(champion.run_id in scores for scores in evaluation.scores.values())
    return Artifact(
        champion=None if champion and champion.run_id in evaluation.failed and not is_scored else champion,
        record=record_of(evaluation, fitted, batches),
        failed=[*errors, *unscored],
    )


def _read(path: Path, kind: type[T]) -> T:
    try:
        return from_json(kind, _bytes(path))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        got = f"{first['msg']} at {'.'.join(map(str, first['loc']))[:60]!r}"
        raise ReviewRefused(path.name, "what `dvc repro` writes", got) from error


def _read_champion(path: Path) -> ModelVersion | None:
    """Read `champion.yaml` without what YAML can do: with merges, a few lines become gigabytes."""
    try:
        content = yaml.load(_bytes(path), Loader=yaml.BaseLoader)["champion"]  # all scalars as text
        return None if content == "null" else from_plain(ModelVersion, {**content, "recipe": None})
    except (yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReviewRefused(path.name, "what `trimtab champion` writes", type(error).__name__) from error


def _bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise ReviewRefused(path.name, "a file", "none")
    if path.stat().st_size > _MAX_BYTES:
        raise ReviewRefused(path.name, f"at most {_MAX_BYTES} bytes", f"{path.stat().st_size}")
    return path.read_bytes()


def _faults(
    fitted: Sequence[Fitted], evaluation: Evaluation, champion: ModelVersion | None, metric: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the file, what was expected, and what came instead."""
    if champion and not _VERSION.fullmatch(champion.version):
        yield CHAMPION, "the number of a version", repr(champion.version[:60])
    if not fitted:
        yield FITTED, "the models that were to be fitted", "none"
    if len(evaluation.scores) > _MAX_BATCHES:
        yield EVALUATION, f"at most {_MAX_BATCHES} batches", str(len(evaluation.scores))
    for file, names in (
        (FITTED, {name for each in fitted for name in (each.fit.candidate, each.fit.through)}),
        (EVALUATION, set(evaluation.scores)),
    ):
        for name in names:
            if not _NAME.fullmatch(name):
                yield file, "names of letters, digits, dots and dashes", repr(name[:60])
    if not all(abs(number) <= _LARGEST for number in _numbers(asdict(evaluation))):
        yield EVALUATION, f"numbers up to {_LARGEST:g}", "a larger one, or one that is not finite"
    for batch, scores in evaluation.scores.items():
        for expected in _faults_of(list(scores.values()), metric):
            yield EVALUATION, expected, f"others on batch {batch}"


def _faults_of(scores: Sequence[Score], metric: str) -> Iterator[str]:
    """Yield what was expected of the scores of one batch."""
    if any(score.metric != metric for score in scores):
        yield f"losses by gate.metric of the base branch ({metric})"
    if any(block.rows < 1 or block.loss < 0 for score in scores for block in score.blocks):
        yield "blocks of one row or more, with a loss of 0 or more"
    if any(len(score.calibration) not in (0, BINS) for score in scores):
        yield f"no calibration, or {BINS} bins"
    if len({_rows_of(score) for score in scores}) > 1:
        yield "the same rows and blocks of time for all models"


def _rows_of(score: Score) -> tuple[object, ...]:
    parts = {"": score.blocks, **score.slices}
    rows = [(name, *((each.number, each.rows) for each in parts[name])) for name in sorted(parts)]
    return (len(score.calibration), *rows)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield value
