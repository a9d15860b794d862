"""`trimtab train`: fit the challenger, and log the model with the commit, batches and parameters that it comes from."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab import params
from trimtab.contracts import BatchRef, BatchScore, Manifest, Plan, Training, from_json, to_json
from trimtab.data.schema import LABEL
from trimtab.evaluate.scores import score
from trimtab.origin.origin import md5_of, pointer
from trimtab.registry import tracking
from trimtab.train import row_groups
from trimtab.train.features import design, targets
from trimtab.train.fit import build, fit_rows, forward_chained_predictions
from trimtab.train.row_groups import Rows
from trimtab.trigger.planning import read_run

_EXAMPLE_ROWS = 5


def train(root: Path = Path()) -> Training:
    """Fit on `build/train.parquet`, log the model with its lineage, and write `build/training.json`.

    With `gate.refit` the model is judged but never served, so only its refit computes the reference of concept drift.
    """
    parameters, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    rows = row_groups.read(root / "build" / "train.parquet")
    training = fit_and_log(root, parameters, plan, rows, plan.train, reference=not parameters.gate.refit)
    (root / "build" / "training.json").write_text(to_json(training), encoding="utf-8")
    return training


def fit_and_log(
    root: Path,
    parameters: params.Params,
    plan: Plan,
    rows: Rows,
    batches: Sequence[BatchRef],
    *,
    reference: bool,
) -> Training:
    """Fit a model, and log it with the commit, batches and parameters that it comes from.

    Args:
        root: The checkout.
        parameters: The parameters of the checkout.
        plan: The `run.yaml` of the checkout.
        rows: Labelled rows to train on.
        batches: The batches that the rows belong to.
        reference: Whether to score the newest batches with fresh models, as the reference of concept drift.
    """
    began, newest = time.monotonic(), root / "data" / "batches" / f"{batches[-1].batch}.json"
    with tracking.open_run(plan.model, tags=_lineage(root, plan, batches)) as run_id:
        pipeline = fit_rows(build(parameters), parameters, rows)
        print(f"fitted on {len(rows)} rows, {time.monotonic() - began:.1f} s", flush=True)
        scores = _reference(parameters, rows) if reference else []
        print(f"scored {len(scores)} batches with fresh models, {time.monotonic() - began:.1f} s", flush=True)
        example = design(rows.parts[0].read().head(_EXAMPLE_ROWS), parameters.data)
        source, digest = tracking.log_pipeline(pipeline, example, parameters.model.trusted_types)
        training = Training(
            run_id=run_id,
            source=source,
            digest=digest,
            rows=len(rows),
            batches=tuple(batches),
            trained_through=from_json(Manifest, newest.read_bytes()).end,
            reference_losses={score.batch: score.loss for score in scores},
            seconds=round(time.monotonic() - began, 3),
        )
        _log(root, parameters, training, rows, pipeline.named_steps["estimator"].get_params())
    return training


def _reference(parameters: params.Params, rows: Rows) -> list[BatchScore]:
    labels = {part.batch: targets(part.read([LABEL]), parameters.data) for part in rows.parts}
    return [
        score(batch, parameters.data.label, labels[batch], predictions, parameters.gate.metric)
        for batch, predictions in forward_chained_predictions(parameters, rows).items()
    ]


def _log(
    root: Path, parameters: params.Params, training: Training, rows: Rows, settings: Mapping[str, object]
) -> None:
    reference = root / "build" / "reference.parquet"
    sample = rows.sample(parameters.drift.data.sample_rows, parameters.model.seed)
    design(sample, parameters.data).to_parquet(reference, index=False)
    fresh = {f"fresh_loss_{batch}": loss for batch, loss in training.reference_losses.items()}
    tracking.log(
        params={"estimator_class": parameters.model.estimator}
        | {name: str(value) for name, value in settings.items()},
        metrics={"rows": float(training.rows), "fit_seconds": training.seconds, **fresh},
        files=[root / "run.yaml", root / params.FILE, reference],
    )


def _lineage(root: Path, plan: Plan, batches: Sequence[BatchRef]) -> dict[str, str]:
    md5s = {ref: md5_of((root / pointer(ref.batch)).read_text(encoding="utf-8")) for ref in batches}
    return {
        "trimtab.commit": plan.commit,
        "trimtab.run_yaml_sha256": hashlib.sha256((root / "run.yaml").read_bytes()).hexdigest(),
        "trimtab.decision": plan.decision or "manual run",
        "trimtab.cutoff": plan.cutoff.isoformat(),
        "trimtab.champion": plan.champion.version if plan.champion else "baseline",
        **{f"trimtab.batch.{ref.batch}": f"revision {ref.revision}, md5 {md5}" for ref, md5 in md5s.items()},
    }
