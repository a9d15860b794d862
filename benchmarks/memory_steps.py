"""What `benchmarks.memory` measures, a process each: the steps after one batch, and pandas and scikit-learn alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
SUMMER = 24
"""A week whose delays follow the weather."""
BATCHES = 4
"""A champion is deployed after three. The steps are measured on the last one."""
HOLDER = "bench"
SETTINGS = {
    ("train", "start_batches"): 3,
    ("train", "windows"): ["all"],
    ("gate", "batch_correlation"): 0.0,
    ("gate", "error"): 0.4,
}
"""The other parameters are those of the flights."""


def begin(folder: Path, rows: str) -> None:
    """Make a loop with a champion, and land one more batch."""
    from trimtab.loop import arbitrate, measure, monitor, retrain
    from trimtab.loop.ingest import ingest
    from trimtab.loop.initialise import initialise

    tree = folder / "tree"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
    parameters = yaml.safe_load((tree / "params.yaml").read_text())
    for (section, key), value in SETTINGS.items():
        parameters[section][key] = value
    (tree / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False))
    initialise(tree)
    _land(folder, int(rows) // BATCHES)
    for number in range(BATCHES - 1):
        _expect(ingest(_name(number)), "ingested")
    for item in measure.find_unmeasured(HOLDER):
        measure.measure(**item)
    monitor.assess(HOLDER)
    run_key = arbitrate.arbitrate(HOLDER, None)
    assert run_key is not None, "the arbiter refused"
    retrain.fit(run_key, HOLDER)
    result = retrain.deploy(run_key, HOLDER)
    assert result["action"] == "DEPLOY", result


def ingest(folder: Path) -> None:
    """Take in the last batch."""
    from trimtab.loop.ingest import ingest as step

    _expect(step(_name(BATCHES - 1)), "ingested")


def checkout(folder: Path) -> None:
    """Lay out the checkout in which the last batch is measured."""
    from trimtab.contracts import Candidate
    from trimtab.ledger import Batch, state
    from trimtab.loop.loop import open_loop
    from trimtab.trigger.planning import plan_batch, write_run

    loop = open_loop()
    champion = loop.champion()
    assert champion is not None, "there is no champion"
    plan = plan_batch(
        params=loop.params,
        commit=loop.commit,
        manifests=[batch.manifest for batch in state.batches_in_force(loop.ledger.all(Batch))],
        batch=_name(BATCHES - 1),
        models=[champion],
        shadows={"all": champion.run_id},
        candidates=[
            Candidate(name=name, window=window) for name, window in loop.params.train.candidates.items()
        ],
    )
    loop.origin.checkout(folder / "checkout", plan.commit, [ref.batch for ref in plan.batches])
    write_run(folder / "checkout" / "run.yaml", plan)


def prepare(folder: Path) -> None:
    """Collect the rows."""
    from trimtab.project.prepare import prepare as step

    step(folder / "checkout")


def train(folder: Path) -> None:
    """Fit the candidate."""
    from trimtab.project.train import train as step

    (fitted,) = step(folder / "checkout")
    assert fitted.training is not None, fitted.error


def evaluate(folder: Path) -> None:
    """Score the champion and the baseline on the last batch, and examine the fitted model."""
    from trimtab.project.evaluate import evaluate as step

    evaluation = step(folder / "checkout")
    assert not evaluation.failed, evaluation.failed


def measure(folder: Path) -> None:
    """Do all of it as the loop does: in a run of the MLflow Project."""
    from trimtab.loop.measure import find_unmeasured
    from trimtab.loop.measure import measure as step

    (item,) = find_unmeasured(HOLDER)
    step(**item)


def observe(folder: Path) -> None:
    """Measure the data drift of the last batch."""
    from trimtab.loop import monitor

    item = monitor.find_unobserved()[-1]
    monitor.observe(**item)


def plain(folder: Path, what: str, rows: str) -> None:
    """Read rows with pandas; predict or fit them with the pipeline of `params.yaml`, as a notebook would."""
    import pandas as pd

    from trimtab import params
    from trimtab.train.features import design, targets
    from trimtab.train.fit import build

    batches = [folder / "copies" / f"{_name(number)}.parquet" for number in range(BATCHES)]
    parameters, frames, left = params.load(folder / "tree" / "params.yaml"), [], int(rows)
    for path in batches:
        if left > 0:
            frames.append(pd.read_parquet(path).head(left))
            left -= len(frames[-1])
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    assert len(frame) == int(rows)
    if what != "read":
        labelled = frame[frame["label"].notna()]
        fitted = build(parameters)
        few = labelled if what == "fit" else labelled.head(2000)
        fitted.fit(design(few, parameters.data), targets(few, parameters.data))
        if what == "predict":
            fitted.predict_proba(design(labelled, parameters.data))


def _land(folder: Path, rows: int) -> None:
    from examples.flights import flights

    for place in (folder / "copies", folder / "var" / "landing"):
        place.mkdir(parents=True, exist_ok=True)
    for number, week in enumerate(list(flights.weeks())[SUMMER : SUMMER + BATCHES]):
        frame = _drawn(week.rows, rows, number)
        frame.to_parquet(folder / "copies" / f"{_name(number)}.parquet", index=False)
        frame.to_parquet(folder / "var" / "landing" / f"{_name(number)}.parquet", index=False)
        note = {
            "batch": _name(number),
            "start": week.start.isoformat(),
            "end": week.end.isoformat(),
            "partial": False,
        }
        (folder / "var" / "landing" / f"{_name(number)}.json").write_text(json.dumps(note))


def _drawn(week: "pd.DataFrame", rows: int, seed: int) -> "pd.DataFrame":
    """Draw labelled rows of a week with replacement; temperatures are jittered, so that they do not compress to nothing."""
    import numpy as np

    drawn = week[week["label"].notna()].sample(rows, replace=True, random_state=seed).reset_index(drop=True)
    jitter = np.random.default_rng(seed).normal(scale=0.5, size=(rows, 2))
    drawn["row_id"] += "|" + drawn.index.astype(str)
    drawn["temp"] = (drawn["temp"] + jitter[:, 0]).clip(-40, 130)
    drawn["dewp"] = (drawn["dewp"] + jitter[:, 1]).clip(-60, 100)
    return drawn


def _name(number: int) -> str:
    return f"batch-{number}"


def _expect(summary: dict[str, object], outcome: str) -> None:
    assert summary["outcome"] == outcome, summary


def _lead(folder: Path) -> None:
    """Put all stores under the folder, and no thread beside the first: what a thread needs is no matter of rows."""
    home = folder / "var"
    os.environ |= {
        "TRIMTAB_HOME": str(home),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **{name: "true" for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS")},
    }
    for name in [name for name in os.environ if name.startswith("TRIMTAB_") and name != "TRIMTAB_HOME"]:
        del os.environ[name]
    os.chdir(folder)


STEPS = (begin, ingest, checkout, prepare, train, evaluate, measure, observe, plain)

if __name__ == "__main__":
    place, verb, *words = sys.argv[1:]
    _lead(Path(place))
    {step.__name__: step for step in STEPS}[verb](Path(place), *words)
