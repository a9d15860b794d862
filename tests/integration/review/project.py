"""A project with a champion of few trees, and pull requests that change its settings."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import playground
from tests.support.builders import ROOT
from tests.support.moments import Site
from trimtab.loop.loop import Loop
from trimtab.project.champion import champion
from trimtab.project.evaluate import evaluate
from trimtab.project.plan import plan
from trimtab.project.prepare import prepare
from trimtab.project.train import train

CHAMPION = {"max_iter": 2, "learning_rate": 0.1, "min_samples_leaf": 50, "early_stopping": False}
PULLS = {
    "worse": {**CHAMPION, "max_iter": 1, "learning_rate": 0.01},
    "equal": CHAMPION,
    "better": {**CHAMPION, "max_iter": 12},
}


def live(site: Site, patch: pytest.MonkeyPatch) -> Loop:
    """A loop whose champion was fitted on four weeks, and serves while three more came in."""
    loop = site.empty(patch, "review", model__settings=CHAMPION)

    def reach() -> None:
        playground.take_in(loop, range(4))
        assert playground.monitored() == 1
        playground.answered("first")
        playground.take_in(loop, range(4, 7))

    return site.at("reviewed", reach)


def clone(loop: Loop, folder: Path, settings: dict[str, Any]) -> Path:
    """The checkout of a pull request that changes the model's settings."""
    run("git", "clone", "-q", loop.stores.origin, str(folder))
    playground.edit(folder / "params.yaml", model__settings=settings)
    run(
        "git",
        "-c",
        "user.name=somebody",
        "-c",
        "user.email=s@localhost",
        "commit",
        "-qam",
        "Change",
        "--allow-empty",
        cwd=folder,
    )
    return folder


def measured(checkout: Path) -> Path:
    """Do in this process what `make review` does; return the folder that it hands over."""
    run(sys.executable, "-m", "dvc", "pull", "-q", cwd=checkout)
    champion(checkout)
    for step in (plan, prepare, train, evaluate):
        step(checkout)
    shutil.copy2(checkout / "champion.yaml", checkout / "build")
    return checkout / "build"


def run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a command, and show what it said when it failed."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def material(loop: Loop, folder: Path, trusted: Path) -> Path:
    """What the trusted job collects."""
    clone(loop, trusted, CHAMPION)
    run("git", "checkout", "-q", "HEAD~1", cwd=trusted)
    run("bash", str(ROOT / "deploy/review/collect.sh"), str(folder), cwd=trusted)
    return folder


def event(path: Path, name: str, sha: str) -> Path:
    """The event file that GitHub gives a job, with the fields that anybody here reads, and some more."""
    head = {
        "label": "stranger:faster",
        "ref": "faster",
        "sha": sha,
        "repo": {"full_name": "stranger/project", "fork": True},
    }
    run_ = {
        "event": "pull_request",
        "conclusion": "success",
        "head_sha": sha,
        "head_branch": "faster",
        "head_repository": {"full_name": "stranger/project", "owner": {"login": "stranger"}},
        "html_url": "https://github.com/somebody/project/actions/runs/42",
        "pull_requests": [],
        "id": 42,
    }
    content = {
        "pull_request": {
            "action": "synchronize",
            "number": 7,
            "pull_request": {"number": 7, "head": head, "base": {"ref": "main"}},
        },
        "workflow_run": {"action": "completed", "workflow_run": run_},
    }[name]
    path.write_text(
        json.dumps({**content, "repository": {"full_name": "somebody/project", "default_branch": "main"}})
    )
    return path
