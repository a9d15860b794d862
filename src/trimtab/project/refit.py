"""`trimtab refit`: fit a promoted recipe again on the newest labelled batches, and compare it with the judged model."""

from pathlib import Path

import numpy as np
import pandas as pd

from trimtab import params
from trimtab.contracts import BatchRef, Plan, Refit, Training, Verdict, from_json, to_json
from trimtab.errors import UnsafeModel
from trimtab.evaluate.scores import apart
from trimtab.project.evaluate import load_pipeline
from trimtab.project.train import fit_and_log
from trimtab.train import fit, row_groups
from trimtab.train.features import targets
from trimtab.trigger.planning import read_run


def refit(root: Path = Path()) -> Refit:
    """Refit the recipe if `gate.refit` is set and the verdict allows it, and always write `build/refit.json`.

    The gate judged the recipe on batches that its model was not trained on. The refit is trained on these batches too,
    which is worth a third of the gain on the flights. It is loaded in the same way as in the service, and its
    predictions must be close to those of the judged model.
    """
    parameters, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    verdict = from_json(Verdict, (root / "build" / "verdict.json").read_bytes())
    if parameters.gate.refit and verdict.kind in ("PROMOTE", "ASK"):
        result = _refit(root, parameters, plan)
    else:
        served = "gate.refit is false: the judged model is served"
        reason = f"the verdict is {verdict.kind}" if parameters.gate.refit else served
        result = Refit(training=None, difference=None, accepted=False, reason=reason)
    (root / "build" / "refit.json").write_text(to_json(result), encoding="utf-8")
    return result


def _refit(root: Path, parameters: params.Params, plan: Plan) -> Refit:
    build = root / "build"
    judge_rows, batches = pd.read_parquet(build / "judge.parquet"), _batches(plan, parameters)
    planned = row_groups.read(build / "train.parquet", build / "judge.parquet")
    rows = planned.select([ref.batch for ref in batches])
    judged = from_json(Training, (build / "training.json").read_bytes())
    training = fit_and_log(root, parameters, plan, rows, batches, reference=True)
    try:
        difference = _difference(parameters, training, judged, judge_rows)
    except UnsafeModel as error:
        reason = f"the refit cannot be served: {error}"
        return Refit(training=training, difference=None, accepted=False, reason=reason)
    limit, newest = parameters.gate.refit_tolerance, batches[-1].batch
    reason = (
        f"refitted through batch {newest}: its predictions differ by {difference:.4f} from those of the judged "
        f"model, gate.refit_tolerance is {limit:g}"
    )
    return Refit(training=training, difference=difference, accepted=difference <= limit, reason=reason)


def _batches(plan: Plan, parameters: params.Params) -> tuple[BatchRef, ...]:
    batches, window = (*plan.train, *plan.judge), plan.window_batches or parameters.train.window_batches
    return batches if window is None else batches[-window:]


def _difference(parameters: params.Params, refitted: Training, judged: Training, rows: pd.DataFrame) -> float:
    predictions = []
    for model in (refitted, judged):
        pipeline = load_pipeline(parameters, model)
        if list(pipeline.feature_names_in_) != list(parameters.data.features):
            raise UnsafeModel(
                model.source,
                f"expected the features {', '.join(parameters.data.features)}, "
                f"got {', '.join(pipeline.feature_names_in_)}",
            )
        predictions.append(fit.predict(pipeline, parameters, rows))
    difference = apart(predictions[0], predictions[1], targets(rows, parameters.data), parameters.data.label)
    return difference if np.isfinite(difference) else 1.0
