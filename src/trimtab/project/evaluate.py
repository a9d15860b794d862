"""`trimtab evaluate`: score the planned and the fitted models on batches that they were not trained on."""

import json
import timeit
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from trimtab import files, params, settings
from trimtab.contracts import Evaluation, Examined, Fit, Plan, Score, TrainedModel, Training, to_json
from trimtab.data.recipes import why_unreadable, with_recipe
from trimtab.errors import StoreUnreachable, UnsafeModel
from trimtab.evaluate.block_length import block_hours
from trimtab.evaluate.record import BASELINE, Record
from trimtab.evaluate.scores import apart, score_model
from trimtab.project import edges
from trimtab.project.prepare import ROWS, manifest_of
from trimtab.project.train import read_fitted
from trimtab.registry import load, tracking
from trimtab.train import fit, row_groups
from trimtab.train.features import targets
from trimtab.train.row_groups import Rows
from trimtab.trigger.planning import read_run
from trimtab.trigger.standing import record_of

EVALUATION = Path("build", "evaluation.json")
_TIMED_ROWS = 1000
_TIMED_RUNS = 3


def evaluate(root: Path = Path()) -> Evaluation:
    """Score the models, and write the scores to `build/evaluation.json`, with the figures for `dvc metrics` beside them.

    A model that cannot be loaded or cannot predict for a batch has no score on it, and stops no other.
    """
    fitted = read_fitted(root)
    project = Project(
        root=root,
        parameters=params.load(root / params.FILE),
        plan=read_run(root / "run.yaml"),
        rows=row_groups.read(root / ROWS),
        trained=[(each.fit, each.training) for each in fitted if each.training is not None],
    )
    print(f"Blocks of {project.block_hours:g} hours", flush=True)
    failed: dict[str, str] = {}
    scored = [part.batch for part in project.rows.select(project.plan.scored).parts]  # none without any label
    evaluation = Evaluation(
        scores={batch: project.scores(batch, failed) for batch in scored},
        examined={training.run_id: project.examine(of, training) for of, training in project.trained},
        failed=failed,
    )
    files.write(root / EVALUATION, to_json(evaluation))
    _write_figures(root / "build", project, record_of(evaluation, fitted, project.batches))
    with tracking.open_run(project.plan.model, tags={}):
        tracking.log(params={}, metrics={}, files=[root / EVALUATION, root / "run.yaml"])
    return evaluation


@dataclass(frozen=True, kw_only=True)
class Project:
    """One run of the MLflow Project: its checkout, plan and rows, and the models that were fitted in it."""

    root: Path
    parameters: params.Params
    plan: Plan
    rows: Rows
    trained: Sequence[tuple[Fit, Training]]

    def scores(self, batch: str, failed: dict[str, str]) -> dict[str, Score]:
        """Score all models on a batch that they were not trained on; `failed` takes what went wrong, by model."""
        frame = self.rows.select([batch]).frame()
        answers = {BASELINE: self._baseline(batch, frame)}
        for model in self._models(batch):
            unreadable = why_unreadable(model.recipe, self.parameters.data)
            if unreadable is not None:
                failed[model.run_id] = f"no score on batch {batch}: {unreadable}"
                continue
            try:
                answers[model.run_id] = self._predict(model, frame)
            except StoreUnreachable:
                raise  # the model may be as good as ever
            except Exception as error:  # whatever the model or its file has against this batch
                failed[model.run_id] = f"no score on batch {batch}: {type(error).__name__}: {error}"
                print(f"Model {model.run_id} has {failed[model.run_id]}", flush=True)
        truths = targets(frame, self.parameters.data)
        return {
            name: score_model(frame, truths, values, self.parameters, self.block_hours)
            for name, values in answers.items()
        }

    @cached_property
    def block_hours(self) -> float:
        """Length of a block of time."""
        manifests = [manifest_of(self.root, ref.batch) for ref in self.plan.batches]
        return block_hours(self.parameters.gate, [manifest.end - manifest.start for manifest in manifests])

    def examine(self, of: Fit, training: Training) -> Examined:
        """Return what the checks need to know of a fitted model besides its scores.

        It predicts for the newest batch that has rows, of those that it was fitted through.
        """
        frame = self.rows.select(self.batches[: self.batches.index(of.through) + 1]).parts[-1].read()
        try:
            pipeline = self._load(training)
        except UnsafeModel as error:
            return Examined(
                milliseconds_per_row=0.0, megabytes=0.0, fault=f"the service cannot load it: {error}"
            )
        parameters = with_recipe(self.parameters, training.recipe)
        return Examined(
            milliseconds_per_row=_milliseconds_per_row(pipeline, parameters, rows_to_time(frame)),
            megabytes=load.megabytes(training.digest, cache=_cache()),
            distance=self._distance(of, training, frame),
            fault=edges.fault(pipeline, parameters, frame.iloc[0]),
        )

    def _distance(self, of: Fit, training: Training, frame: pd.DataFrame) -> float | None:
        before = self._before(of, training)
        if before is None:
            return None
        try:
            ours, theirs = (self._predict(model, frame) for model in (training, before))
        except Exception as error:  # the model before may be of another data contract
            print(f"No distance to the model before: {type(error).__name__}: {error}", flush=True)
            return None
        return apart(ours, theirs, targets(frame, self.parameters.data), self.parameters.data.label)

    def _before(self, of: Fit, training: Training) -> TrainedModel | None:
        """Return the model that the candidate fitted before this one."""
        ours = [each for other, each in self.trained if other.candidate == of.candidate]
        named = [model for model in self.plan.models if model.run_id == self.plan.shadows.get(of.candidate)]
        return next(reversed([*named, *ours[: ours.index(training)]]), None)

    def _models(self, batch: str) -> Iterator[TrainedModel]:
        """Yield the planned models that were not trained on a batch, and those fitted through the batch before it."""
        start = manifest_of(self.root, batch).start
        yield from (model for model in self.plan.models if model.trained_through <= start)
        before = self.batches[: self.batches.index(batch)][-1:]
        yield from (training for of, training in self.trained if [of.through] == before)

    def _baseline(self, batch: str, frame: pd.DataFrame) -> fit.Floats:
        before = self.rows.select(self.batches[: self.batches.index(batch)])
        model = fit.fit_rows(fit.baseline(self.parameters), self.parameters, before)
        return fit.predict(model, self.parameters, frame)

    def _predict(self, model: TrainedModel, frame: pd.DataFrame) -> fit.Floats:
        return fit.predict(self._load(model), with_recipe(self.parameters, model.recipe), frame)

    def _load(self, model: TrainedModel) -> Pipeline:
        """Load a model as the service does, once."""
        if model.run_id not in self._loaded:
            self._loaded[model.run_id] = load.load(
                model.source, model.digest, self.parameters.model.trusted_types, cache=_cache()
            )
        return self._loaded[model.run_id]

    @cached_property
    def _loaded(self) -> dict[str, Pipeline]:
        return {}

    @property
    def batches(self) -> list[str]:
        """The ids of all planned batches, oldest first."""
        return [ref.batch for ref in self.plan.batches]


def _write_figures(build: Path, project: Project, record: Record) -> None:
    """Write what `dvc metrics` and `dvc plots` show: by batch, the champion and the first candidate's shadow."""
    champion = project.plan.models[0].run_id if project.plan.models else BASELINE
    first = next(iter(project.parameters.train.candidates))
    lines = [
        {"batch": scored.batch, "champion": ours.loss, "challenger": theirs.loss}
        for scored in record
        if (ours := scored.scores.get(champion))
        and (theirs := scored.scores.get(scored.shadows.get(first, "")))
    ]
    frame = pd.DataFrame(lines, columns=["batch", "champion", "challenger"])
    files.write(build / "losses.csv", frame.to_csv(index=False))
    means = frame[["champion", "challenger"]].mean().dropna().to_dict()
    files.write(build / "metrics.json", json.dumps({"batches": len(frame), "loss": means}, indent=2))


def rows_to_time(frame: pd.DataFrame) -> pd.DataFrame:
    """Return 1,000 rows of a batch, repeated if it has fewer: the cost of a call would hide that of few rows."""
    return frame.iloc[np.arange(_TIMED_ROWS) % len(frame)]


def _milliseconds_per_row(model: Pipeline, parameters: params.Params, rows: pd.DataFrame) -> float:
    seconds = timeit.repeat(lambda: fit.predict(model, parameters, rows), number=1, repeat=_TIMED_RUNS)
    return 1000 * min(seconds) / max(1, len(rows))


def _cache() -> Path:
    return settings.read().home / "models"
