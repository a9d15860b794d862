"""`trimtab train`: fit the challenger, and log everything that it takes to say where it came from."""

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
from trimtab.train import row_groups as files
from trimtab.train.features import design, targets
from trimtab.train.fit import build, fit_rows, forward_chained_predictions
from trimtab.train.row_groups import Rows
from trimtab.trigger.planning import read_run

_EXAMPLE_ROWS = 5


def train(root: Path = Path()) -> Training:
    """Fit on `build/train.parquet`, log the model with its lineage, and write `build/training.json`.

    With `gate.refit` the model is judged but never served, so the reference of concept drift is left to its refit.
    """
    wanted, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    rows = files.read(root / "build" / "train.parquet")
    training = fit_and_log(root, wanted, plan, rows, plan.train, reference=not wanted.gate.refit)
    (root / "build" / "training.json").write_text(to_json(training), encoding="utf-8")
    return training


def fit_and_log(
    root: Path,
    wanted: params.Params,
    plan: Plan,
    rows: Rows,
    batches: Sequence[BatchRef],
    *,
    reference: bool,
) -> Training:
    """Fit on rows of the given batches, and log the model with all that says where it came from.

    Args:
        root: The checkout.
        wanted: Its parameters.
        plan: Its `run.yaml`.
        rows: Labelled rows.
        batches: The batches of the rows.
        reference: Whether to score the newest batches with fresh models, for concept drift.
    """
    began = time.monotonic()
    with tracking.open_run(plan.model, tags=_lineage(root, plan, batches)) as run_id:
        pipeline = fit_rows(build(wanted), wanted, rows)
        print(f"fitted on {len(rows)} rows in {time.monotonic() - began:.1f} s", flush=True)
        fresh = _reference(wanted, rows) if reference else []
        print(
            f"scored {len(fresh)} batches with fresh models in {time.monotonic() - began:.1f} s", flush=True
        )
        example = design(rows.parts[0].read().head(_EXAMPLE_ROWS), wanted.data)
        source, digest = tracking.log_pipeline(pipeline, example, wanted.model.trusted_types)
        training = Training(
            run_id=run_id,
            source=source,
            digest=digest,
            rows=len(rows),
            batches=tuple(batches),
            trained_through=_manifest(root, batches[-1].batch).end,
            reference_losses={one.batch: one.loss for one in fresh},
            seconds=round(time.monotonic() - began, 3),
        )
        settings = {
            name: str(value) for name, value in pipeline.named_steps["estimator"].get_params().items()
        }
        _log(root, wanted, training, fresh, rows, settings)
    return training


def _reference(wanted: params.Params, rows: Rows) -> list[BatchScore]:
    truths = {part.batch: targets(part.read([LABEL]), wanted.data) for part in rows.parts}
    return [
        score(name, wanted.data.label, truths[name], answers, wanted.gate.metric)
        for name, answers in forward_chained_predictions(wanted, rows).items()
    ]


def _log(
    root: Path,
    wanted: params.Params,
    training: Training,
    reference: list[BatchScore],
    rows: Rows,
    settings: Mapping[str, str],
) -> None:
    sample = design(rows.sample(wanted.drift.data.sample_rows, wanted.model.seed), wanted.data)
    sample.to_parquet(root / "build" / "reference.parquet", index=False)
    metrics = {"rows": float(training.rows), "fit_seconds": training.seconds}
    metrics |= {f"fresh_loss_{one.batch}": one.loss for one in reference}
    files = [root / "run.yaml", root / params.FILE, root / "build" / "reference.parquet"]
    tracking.log(params={"estimator_class": wanted.model.estimator, **settings}, metrics=metrics, files=files)


def _lineage(root: Path, plan: Plan, batches: Sequence[BatchRef]) -> dict[str, str]:
    tags = {
        "trimtab.commit": plan.commit,
        "trimtab.run_yaml_sha256": hashlib.sha256((root / "run.yaml").read_bytes()).hexdigest(),
        "trimtab.decision": plan.decision or "a person's own run",
        "trimtab.cutoff": plan.cutoff.isoformat(),
        "trimtab.champion": plan.champion.version if plan.champion else "baseline",
    }
    for ref in batches:
        md5 = md5_of((root / pointer(ref.batch)).read_text(encoding="utf-8"))
        tags[f"trimtab.batch.{ref.batch}"] = f"revision {ref.revision}, md5 {md5}"
    return tags


def _manifest(root: Path, batch: str) -> Manifest:
    return from_json(Manifest, (root / "data" / "batches" / f"{batch}.json").read_bytes())
