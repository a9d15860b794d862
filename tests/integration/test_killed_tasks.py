"""A retraining killed at any of its tasks, then cleared: nothing is half done, and nothing is done twice."""

import importlib
import os
import signal
import threading
import time
from contextlib import suppress

import psutil
import pytest

from tests.support import playground
from tests.support.ledger import lease_holder, unfinished
from tests.support.playground import take_in
from tests.support.processes import fresh
from trimtab.ledger import Judgement, Request, Run, Version, state
from trimtab.loop import arbitrate, conclude, retrain
from trimtab.loop.loop import Loop

pytestmark = pytest.mark.timeout(600)

LEDGER, STORE = "trimtab.ledger.ledger:Ledger", "trimtab.registry.mlflow_store:Store"
APPEND = f"{LEDGER}.append"
DURING = "while its MLflow Project runs"
POINTS = {
    "arbitrate": (f"{APPEND}#Request", f"{APPEND}#Run", "trimtab.ledger.leases:Leases.take"),
    "checkout": (
        "trimtab.origin.origin:Origin.checkout",
        "trimtab.trigger.planning:write_run",
        "trimtab.trigger.planning:write_champion",
    ),
    "prepare": (DURING, "trimtab.registry.tracking:project_run", DURING),
    "train": (f"{STORE}.register", f"{APPEND}#Version", f"{STORE}.set_stage"),
    "evaluate": (DURING, DURING, "trimtab.registry.tracking:project_run"),
    "refit": (f"{APPEND}#Version", "trimtab.registry.tracking:project_run", DURING),
    "conclude": (f"{LEDGER}._insert#Judgement", f"{APPEND}#Judgement", f"{STORE}.set_tag"),
}
"""After which call each task is killed: once in each of three retrainings, the first of which promotes.

`#Run` means a call that gets such a fact; `_insert` is within the transaction, which is then lost.

What lies between the writes of a transition is killed in `test_transitions.py`.
"""


def perform(task: str, run_id: str, run_key: str | None) -> str | None:
    """Run one task as its DAG does."""
    if task == "arbitrate":
        return arbitrate.arbitrate(run_id, "ui", reason="to be killed", force=True)
    getattr(conclude if task == "conclude" else retrain, task)(run_key, run_id)
    return run_key


def mortal(task: str, run_id: str, run_key: str | None, point: str) -> None:
    """Run one task, and die at a point of it."""
    if point == DURING:
        threading.Thread(target=die_with_the_project, args=(task,), daemon=True).start()
    else:
        point, _, kind = point.partition("#")
        place, _, name = point.rpartition(".") if "." in point.partition(":")[2] else point.rpartition(":")
        module, _, owner = place.partition(":")
        holder = getattr(importlib.import_module(module), owner) if owner else importlib.import_module(module)
        real = getattr(holder, name)

        def deadly(*args: object, **kwargs: object) -> object:
            result = real(*args, **kwargs)
            if not kind or any(type(argument).__name__ == kind for argument in args):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(holder, name, deadly)
    perform(task, run_id, run_key)


def die_with_the_project(task: str) -> None:
    me = psutil.Process()
    while True:
        with suppress(psutil.NoSuchProcess):  # one that ended while it was looked at
            if any(child.cmdline()[-3:] == ["-m", "trimtab", task] for child in me.children(recursive=True)):
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)


def killed(task: str, run_id: str, run_key: str | None, point: str) -> None:
    child = fresh(mortal, task, run_id, run_key, point)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL, f"{task} was not killed at {point}"
    patience = time.monotonic() + 20
    while (left := projects(task)) and time.monotonic() < patience:
        time.sleep(0.1)
    assert left == [], f"{task} was killed at {point}, its project lives on"


def projects(task: str) -> list[psutil.Process]:
    """The processes of this loop in which an entry point runs."""
    home = os.environ["TRIMTAB_HOME"]
    running = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if (
                process.cmdline()[-3:] == ["-m", "trimtab", task]
                and process.environ()["TRIMTAB_HOME"] == home
            ):
                running.append(process)
    return running


def test_a_retraining_killed_at_every_task_ends_as_if_it_had_not_been(fed: Loop) -> None:
    loop = fed
    for number in range(3):
        run_id, run_key = f"run-{number}", None
        for task, points in POINTS.items():
            killed(task, run_id, run_key, points[number])
            assert len(loop.registry.in_stage(loop.model, "Production")) <= 1
            run_key = perform(task, run_id, run_key)
            assert run_key is not None
        assert len(loop.registry.in_stage(loop.model, "Production")) == 1
        staged = set(loop.registry.in_stage(loop.model, "Staging"))
        assert staged <= state.under_judgement(loop.ledger.all(Judgement))
        assert unfinished(loop.ledger) == []
        assert lease_holder(loop) is None
        take_in(loop, range(4 + 2 * number, 6 + 2 * number))
    challengers = [version for version in loop.ledger.all(Version) if version.refit_of is None]
    assert len(loop.ledger.all(Run)) == len(challengers) == 3
    assert [record.episode for record in loop.ledger.all(Request)] == [
        "run-0",
        "run-1",
        "run-2",
    ]
    assert playground.opened().champion() is not None
