"""A small loop on real stores: a copy of this repository as the tree, real git, DVC and MLflow under one folder."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pytest
import yaml

from examples.flights import flights
from tests.support.mlflow_template import empty_mlflow
from tests.support.waiting import free_ports
from trimtab.contracts import Source
from trimtab.loop import arbitrate, ingest, measure, monitor, retrain
from trimtab.loop.loop import Loop, open_loop
from trimtab.origin.commands import git
from trimtab.settings import Ports

ROOT = Path(__file__).parents[2]
MODEL = "flight-delay"
TASKS = (retrain.fit, retrain.ask, retrain.deploy)
"""What `retrain_model` does after the arbiter, in its order."""
ROWS = 1500
"""Rows of each week: enough that a model beats the baseline, few enough that a fit takes a blink."""
SUMMER = 24
"""Week 0 of these tests: in summer delays follow the weather, and a model has something to learn."""


@lru_cache(maxsize=1)
def weeks() -> list[flights.Week]:
    """The weeks of the year from summer on."""
    return list(flights.weeks())[SUMMER:]


def thin(week: flights.Week, rows: int = ROWS) -> pd.DataFrame:
    """Every k-th row of a week."""
    step = max(1, len(week.rows) // rows)
    return week.rows.iloc[::step].reset_index(drop=True)


def tree(folder: Path, **changes: object) -> Path:
    """Copy what git knows of this repository, with dotted changes to `params.yaml`, into a git checkout of its own."""
    folder.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file() and not name.startswith(("tests/", "docs/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    edit(folder / "params.yaml", **changes)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    return folder


def edit(params: Path, **changes: object) -> None:
    """Set values in a `params.yaml`; a key is written `train__start_batches`."""
    content = yaml.safe_load(params.read_text())
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = content
        for section in sections:
            place = place[section]
        place[last] = value
    params.write_text(yaml.safe_dump(content, sort_keys=False))


def land(landing: Path, batch: str, frame: pd.DataFrame, week: flights.Week) -> None:
    """Land one batch the way a producer does: the data, then the manifest renamed into place."""
    landing.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(landing / f"{batch}.parquet", index=False)
    manifest = {
        "batch": batch,
        "start": week.start.isoformat(),
        "end": week.end.isoformat(),
        "partial": week.partial,
    }
    draft = landing / f".{batch}.json.part"
    draft.write_text(json.dumps(manifest))
    draft.rename(landing / f"{batch}.json")


def land_weeks(loop: Loop, numbers: Sequence[int]) -> list[str]:
    """Land the given weeks of the year, counted from `SUMMER`; return their batch ids."""
    for number in numbers:
        week = weeks()[number]
        land(loop.stores.landing, week.batch, thin(week), week)
    return [weeks()[number].batch for number in numbers]


def push(loop: Loop, **changes: object) -> str:
    """Commit changes of `params.yaml` to the origin, as a person does; return the commit."""
    with tempfile.TemporaryDirectory() as clone:
        git("clone", "-q", loop.stores.origin, clone)
        edit(Path(clone) / "params.yaml", **changes)
        git("commit", "-qam", "Change parameters", cwd=Path(clone))
        git("push", "-q", "origin", "HEAD", cwd=Path(clone))
        return git("rev-parse", "HEAD", cwd=Path(clone)).strip()


@contextmanager
def without_data(loop: Loop) -> Iterator[None]:
    """Take the data away, as an outage of their storage does."""
    remote = Path(loop.stores.dvc_remote)
    shutil.rmtree(loop.stores.dvc_cache)
    away = remote.rename(remote.with_name("away"))
    yield
    away.rename(remote)


def take_in(loop: Loop, numbers: Sequence[int]) -> None:
    """Land the given weeks, and ingest each."""
    for batch in land_weeks(loop, numbers):
        assert ingest.ingest(batch)["outcome"] == "ingested"


def monitored(run_id: str = "monitor") -> int:
    """Do what `monitor_model` does; return how many requests wait."""
    measure.measure(measure.find_unmeasured(run_id), run_id)
    for item in monitor.find_unobserved():
        monitor.observe(**item)
    return monitor.assess(run_id)


def answered(
    run_id: str, source: Source | None = None, *, answer: str | None = None, **options: object
) -> dict[str, object] | None:
    """Do what `retrain_model` does; return what its last task says, None when no run was started.

    `answer` is that of a person who is asked, for example `keep:eve`.
    """
    run_key = arbitrate.arbitrate(run_id, source, **options)
    if run_key is None:
        return None
    retrain.fit(run_key, run_id)
    retrain.ask(run_key, run_id)
    outcome = retrain.deploy(run_key, run_id, answer)
    assert retrain.close(run_id) is None
    return outcome


def asked(run_id: str, **options: object) -> dict[str, object] | None:
    """Ask as a person for a deployment, and do what follows."""
    return answered(run_id, "ui", reason="test", **options)


def environment(home: Path) -> dict[str, str]:
    """Put an empty MLflow under `home`; return what a step finds in its environment when all stores lie there."""
    venv = Path(sys.executable).parent
    return {
        "TRIMTAB_HOME": str(home),
        "MLFLOW_TRACKING_URI": empty_mlflow(home / "mlflow.db"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{venv}{os.pathsep}{os.environ['PATH']}",
    }


def use_free_ports(patch: pytest.MonkeyPatch) -> None:
    """Let the servers of a stack listen on ports that are free."""
    for server, port in zip(Ports.model_fields, free_ports(len(Ports.model_fields)), strict=True):
        patch.setenv(Ports.variable(server), str(port))


def opened() -> Loop:
    """The loop that the environment names."""
    return open_loop()
