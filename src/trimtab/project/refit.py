"""`trimtab refit`: fit a promoted recipe again through the newest labelled batch, and see that it is sane."""

from pathlib import Path

import numpy as np
import pandas as pd

from trimtab import params, settings
from trimtab.contracts import BatchRef, Plan, Refit, Training, Verdict, from_json, to_json
from trimtab.errors import UnsafeModel
from trimtab.evaluate.scores import apart
from trimtab.project.train import fit_and_log
from trimtab.registry import load
from trimtab.train import fit
from trimtab.train import row_groups as files
from trimtab.train.features import targets
from trimtab.trigger.planning import read_run


def refit(root: Path = Path()) -> Refit:
    """Refit when `build/verdict.json` promotes and `gate.refit` says so; write `build/refit.json` in any case.

    The gate judged the recipe on batches that it had not seen. What goes to Production has seen them too: on flights
    that is worth a third of the gain. The refit is loaded as the service will load it, and has to predict much the
    same as its judged sibling.
    """
    wanted, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    verdict = from_json(Verdict, (root / "build" / "verdict.json").read_bytes())
    if not wanted.gate.refit:
        done = Refit(
            training=None,
            difference=None,
            accepted=False,
            reason="gate.refit is false: the judged model is served",
        )
    elif verdict.kind not in ("PROMOTE", "ASK"):
        done = Refit(training=None, difference=None, accepted=False, reason=f"the verdict is {verdict.kind}")
    else:
        done = _refit(root, wanted, plan)
    (root / "build" / "refit.json").write_text(to_json(done), encoding="utf-8")
    return done


def _refit(root: Path, wanted: params.Params, plan: Plan) -> Refit:
    build = root / "build"
    judged, batches = pd.read_parquet(build / "judge.parquet"), _window(plan, wanted)
    rows = files.read(build / "train.parquet", build / "judge.parquet").of([ref.batch for ref in batches])
    sibling = from_json(Training, (root / "build" / "training.json").read_bytes())
    training = fit_and_log(root, wanted, plan, rows, batches, reference=True)
    try:
        difference = _difference(wanted, training, sibling, judged)
    except UnsafeModel as error:
        return Refit(
            training=training, difference=None, accepted=False, reason=f"the refit is no good: {error}"
        )
    limit, newest = wanted.gate.refit_tolerance, batches[-1].batch
    accepted = difference <= limit
    reason = (
        f"refitted through batch {newest}: its predictions differ by {difference:.4f} from its judged sibling's, "
        f"gate.refit_tolerance is {limit:g}"
    )
    return Refit(training=training, difference=difference, accepted=accepted, reason=reason)


def _window(plan: Plan, wanted: params.Params) -> tuple[BatchRef, ...]:
    every, window = (*plan.train, *plan.judge), plan.window_batches or wanted.train.window_batches
    return every if window is None else every[-window:]


def _difference(wanted: params.Params, ours: Training, sibling: Training, rows: pd.DataFrame) -> float:
    cache = settings.read().home / "models"
    answers = []
    for one in (ours, sibling):
        pipeline = load.load(one.source, one.digest, wanted.model.trusted_types, cache=cache)
        if list(pipeline.feature_names_in_) != list(wanted.data.features):
            expected = f"expected the features {', '.join(wanted.data.features)}"
            raise UnsafeModel(one.source, f"{expected}, got {', '.join(pipeline.feature_names_in_)}")
        answers.append(fit.answers(pipeline, wanted, rows))
    difference = apart(answers[0], answers[1], targets(rows, wanted.data), wanted.data.label)
    return difference if np.isfinite(difference) else 1.0
