"""What `benchmarks.memory` measures, a process each: the steps of one retraining, and pandas and scikit-learn alone."""

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
BATCHES = 5
"""Two train, two judge, and one comes after the promotion."""
HOLDER = "bench"
SETTINGS = {
    ("train", "start_batches"): 4,
    ("train", "reference_batches"): 2,
    ("gate", "looks"): 1,
    ("gate", "refit_tolerance"): 1.0,
}
"""The other parameters are those of the flights."""


def begin(folder: Path, rows: str) -> None:
    """Make a loop, and land its batches; all but the last two are taken in."""
    from trimtab.loop.ingest import ingest
    from trimtab.loop.initialise import initialise

    tree = folder / "tree"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
    parameters = yaml.safe_load((tree / "params.yaml").read_text())
    for (section, key), value in SETTINGS.items():
        parameters[section][key] = value
    (tree / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False))
    initialise(tree)
    _land(folder, int(rows) // 2)
    for number in range(BATCHES - 2):
        _expect(ingest(_name(number)), "ingested")
    (folder / "last").mkdir()
    for path in (folder / "var" / "landing").glob(f"{_name(BATCHES - 1)}.*"):
        path.rename(folder / "last" / path.name)


def ingest(folder: Path) -> None:
    """Take in the last of the batches that the challenger is judged on."""
    from trimtab.loop.ingest import ingest as step

    _expect(step(_name(BATCHES - 2)), "ingested")


def prepare(folder: Path) -> None:
    """Ask for a retraining, and collect its rows."""
    from trimtab.loop import arbitrate, retrain

    run_key = arbitrate.arbitrate(HOLDER, "ui", reason="bench")
    assert run_key is not None, "the arbiter refused"
    (folder / "run").write_text(run_key)
    retrain.checkout(run_key, HOLDER)
    retrain.prepare(run_key, HOLDER)


def train(folder: Path) -> None:
    """Fit the challenger, and register it."""
    from trimtab.loop import retrain

    retrain.train((folder / "run").read_text(), HOLDER)


def evaluate(folder: Path) -> None:
    """Judge it."""
    from trimtab.loop import retrain

    result = retrain.evaluate((folder / "run").read_text(), HOLDER)
    assert result["kind"] == "PROMOTE", result


def refit(folder: Path) -> None:
    """Fit it again through the batches that judged it, with the fresh models of the reference."""
    from trimtab.loop import retrain

    result = retrain.refit((folder / "run").read_text(), HOLDER)
    assert result["version"] is not None, result


def measure(folder: Path) -> None:
    """Monitor one more batch with the champion."""
    from trimtab.loop import measure, monitor

    (item,) = monitor.find_unmonitored()
    measure.measure(item)


def conclude(folder: Path) -> None:
    """Promote the refit."""
    from trimtab.loop import conclude as step

    run_key = (folder / "run").read_text()
    step.ask(run_key, HOLDER)
    step.conclude(run_key, HOLDER, None)


def take(folder: Path) -> None:
    """Take in the batch that comes after the promotion."""
    from trimtab.loop.ingest import ingest as step

    for path in sorted((folder / "last").iterdir(), reverse=True):
        path.rename(folder / "var" / "landing" / path.name)
    _expect(step(_name(BATCHES - 1)), "ingested")


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


STEPS = (begin, ingest, prepare, train, evaluate, refit, measure, conclude, take, plain)

if __name__ == "__main__":
    place, verb, *words = sys.argv[1:]
    _lead(Path(place))
    {step.__name__: step for step in STEPS}[verb](Path(place), *words)
