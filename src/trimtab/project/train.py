"""`trimtab train`: fit the planned models, and log each with the commit, batches and parameters that it comes from."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab import files, params
from trimtab.contracts import BatchRef, Fit, Fitted, Plan, Training, from_json, to_json
from trimtab.data.recipes import recipe_of, with_recipe
from trimtab.errors import StoreUnreachable
from trimtab.origin.origin import md5_of, pointer
from trimtab.project.prepare import ROWS, manifest_of
from trimtab.registry import tracking
from trimtab.train import row_groups
from trimtab.train.features import design
from trimtab.train.fit import build, fit_rows
from trimtab.train.row_groups import Rows
from trimtab.trigger.planning import read_run

FITTED = Path("build", "fitted.json")
_EXAMPLE_ROWS = 5


def train(root: Path = Path()) -> list[Fitted]:
    """Fit each planned model on its batches, and write what became of them to `build/fitted.json`.

    A fit that fails stops no other; its error is in the result.
    """
    parameters, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    rows = row_groups.read(root / ROWS)
    with tracking.open_run(plan.model, tags={"trimtab.decision": plan.decision or "a batch"}):
        fitted = [_fit(root, parameters, plan, rows, each) for each in plan.fits]
    files.write(root / FITTED, to_json(fitted))
    return fitted


def read_fitted(root: Path) -> list[Fitted]:
    """Read what `train` wrote."""
    return from_json(list[Fitted], (root / FITTED).read_bytes())


def _fit(root: Path, parameters: params.Params, plan: Plan, rows: Rows, fit: Fit) -> Fitted:
    try:
        training = fit_and_log(root, parameters, plan, rows, fit)
    except StoreUnreachable:
        raise  # the estimator may be as good as ever
    except Exception as error:  # the estimator's own, of any kind
        print(f"{fit.candidate} through {fit.through} failed: {error}", flush=True)
        return Fitted(fit=fit, training=None, error=f"{type(error).__name__}: {error}")
    print(
        f"{fit.candidate} through {fit.through}: fitted on {training.rows} rows, {training.seconds:.1f} s",
        flush=True,
    )
    return Fitted(fit=fit, training=training)


def fit_and_log(root: Path, parameters: params.Params, plan: Plan, rows: Rows, fit: Fit) -> Training:
    """Fit one model, and log it in a run of its own within the open one.

    Args:
        root: The checkout.
        parameters: The parameters of the checkout.
        plan: The `run.yaml` of the checkout.
        rows: The rows of all planned batches.
        fit: What to fit.
    """
    parameters = with_recipe(parameters, fit.recipe)
    names = [ref.batch for ref in plan.batches]
    through = names[: names.index(fit.through) + 1]
    ours = rows.select(through if fit.window is None else through[-fit.window :])
    batches = tuple(ref for ref in plan.batches if ref.batch in {part.batch for part in ours.parts})
    tags = _lineage(root, plan, fit, batches)
    with tracking.nested_run(f"{fit.candidate} through {fit.through}", tags=tags) as run_id:
        began = time.monotonic()
        pipeline = fit_rows(build(parameters), parameters, ours)
        seconds = round(time.monotonic() - began, 3)
        example = design(ours.parts[0].read().head(_EXAMPLE_ROWS), parameters.data)
        source, digest = tracking.log_pipeline(pipeline, example, parameters.model.trusted_types)
        training = Training(
            run_id=run_id,
            source=source,
            digest=digest,
            rows=len(ours),
            batches=batches,
            trained_through=manifest_of(root, fit.through).end,
            seconds=seconds,
            recipe=recipe_of(parameters),
        )
        _log(root, parameters, training, ours, pipeline.named_steps["estimator"].get_params())
    return training


def _log(
    root: Path, parameters: params.Params, training: Training, rows: Rows, settings: Mapping[str, object]
) -> None:
    reference = root / "build" / "reference.parquet"
    sample = rows.sample(parameters.drift.data.sample_rows, parameters.model.seed)
    design(sample, parameters.data).to_parquet(reference, index=False)
    tracking.log(
        params={"estimator_class": parameters.model.estimator}
        | {name: str(value) for name, value in settings.items()},
        metrics={"rows": float(training.rows), "fit_seconds": training.seconds},
        files=[root / "run.yaml", root / params.FILE, reference],
    )


def _lineage(root: Path, plan: Plan, fit: Fit, batches: Sequence[BatchRef]) -> dict[str, str]:
    md5s = [md5_of((root / pointer(ref.batch)).read_text(encoding="utf-8")) for ref in batches]
    return {
        "trimtab.commit": plan.commit,
        "trimtab.run_yaml_sha256": hashlib.sha256((root / "run.yaml").read_bytes()).hexdigest(),
        "trimtab.decision": plan.decision or "a batch",
        "trimtab.cutoff": plan.cutoff.isoformat(),
        "trimtab.candidate": fit.candidate,
        "trimtab.through": fit.through,
        **{
            f"trimtab.batch.{ref.batch}": f"revision {ref.revision}, md5 {md5}"
            for ref, md5 in zip(batches, md5s, strict=True)
        },
    }
