"""A task of the loop killed at any place, then cleared: nothing is half done, and nothing is done twice."""

import importlib
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from tests.support.ledger import lease_holder, unfinished
from tests.support.playground import push, take_in
from tests.support.processes import fresh
from trimtab.contracts import BatchRef
from trimtab.ledger import Answer, Measurement, Observation, Question, Request, Run, RunEnd, Shadow, Version
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, measure, monitor, retrain
from trimtab.loop.loop import Loop

pytestmark = pytest.mark.timeout(600)

LEDGER, STORE = "trimtab.ledger.ledger:Ledger", "trimtab.registry.mlflow_store:Store"
APPEND, COMMITTED = f"{LEDGER}.append", f"{LEDGER}._insert"
LEASES, TRACKING = "trimtab.ledger.leases:Leases", "trimtab.registry.tracking"
DURING = "while its MLflow Project runs"
"""After which call a task is killed. `#Run` means a call that gets such a fact; `_insert` is within a transaction, which is
then lost.

What lies between the writes of a transition is killed in `test_transitions.py`.
"""


def mortal(task: Callable[..., object], arguments: tuple[object, ...], point: str) -> None:
    """Do one task, and die at a point of it."""
    if point == DURING:
        threading.Thread(target=die_with_the_project, daemon=True).start()
    else:
        point, _, kind = point.partition("#")
        place, _, name = point.rpartition(".") if "." in point.partition(":")[2] else point.rpartition(":")
        module, _, owner = place.partition(":")
        holder = getattr(importlib.import_module(module), owner) if owner else importlib.import_module(module)
        real = getattr(holder, name)

        def deadly(*given: object, **named: object) -> object:
            result = real(*given, **named)
            if not kind or any(type(argument).__name__ == kind for argument in given):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(holder, name, deadly)
    task(*arguments)


def die_with_the_project() -> None:
    while not projects():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def projects() -> list[psutil.Process]:
    """The processes of this loop in which its MLflow Project runs."""
    home = os.environ["TRIMTAB_HOME"]
    running = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # one that ended while it was looked at
            command = ["-m", "trimtab", "measure"]
            if process.cmdline()[-3:] == command and process.environ()["TRIMTAB_HOME"] == home:
                running.append(process)
    return running


def survives(task: Callable[..., object], *arguments: object, killed_at: tuple[str, ...]) -> object:
    """Do a task that is killed at each of these points before it may end."""
    for point in killed_at:
        child = fresh(mortal, task, arguments, point)
        child.start()
        child.join(240)
        assert child.exitcode == -signal.SIGKILL, f"{task.__name__} was not killed at {point}"
        patience = time.monotonic() + 20
        while (left := projects()) and time.monotonic() < patience:
            time.sleep(0.1)
        assert left == [], f"{task.__name__} was killed at {point}, its project lives on"
    return task(*arguments)


def one_serves(loop: Loop) -> str:
    """One version is in Production, one at most in Staging, and no version is unknown to the ledger and waits for use."""
    (serving,) = loop.registry.in_stage(loop.model, "Production")
    in_ledger = set(loop.ledger.keys(Version))
    stages = loop.registry.stages(loop.model)
    assert {version for version, stage in stages.items() if stage != "Archived"} <= in_ledger
    assert list(stages.values()).count("Staging") <= 1
    assert unfinished(loop.ledger) == []
    assert loop.champion().version == serving
    return serving


def test_a_batch_whose_tasks_are_killed_is_measured_once_and_its_model_is_deployed_once(due: Loop) -> None:
    loop = due
    take_in(loop, [7])
    (item,), (unseen,) = measure.find_unmeasured("monitor"), monitor.find_unobserved()
    survives(
        measure.measure,
        [item],
        "monitor",
        killed_at=(DURING, f"{TRACKING}:project_run", f"{APPEND}#Measurement"),
    )
    survives(monitor.observe, *unseen.values(), killed_at=(f"{TRACKING}:log_drift", f"{APPEND}#Observation"))
    staged_at = (
        f"{LEASES}.take",
        f"{STORE}.register",
        f"{APPEND}#Version",
        f"{APPEND}#Transition",
        f"{STORE}.set_stage",
    )
    assert survives(monitor.assess, "monitor", killed_at=staged_at) == 1
    ref = BatchRef(batch=item["batch"], revision=item["revision"])
    for kind in (Measurement, Shadow, Observation):
        newest = [each for each in loop.ledger.all(kind) if each.batch == ref.batch]
        assert len(newest) == 1, kind
    assert one_serves(loop) == "1"
    (staged,) = loop.registry.in_stage(loop.model, "Staging")
    assert loop.ledger.require(Version, staged).training == loop.ledger.all(Shadow)[-1].training
    assert lease_holder(loop) is None

    push(loop, gate__ask="promotion")
    versions = loop.ledger.keys(Version)
    run_key = survives(
        arbitrate.arbitrate,
        "run",
        None,
        killed_at=(f"{LEASES}.take", f"{COMMITTED}#Run", f"{APPEND}#Run"),
    )
    assert run_key is not None
    survives(retrain.fit, run_key, "run", killed_at=(f"{LEASES}.take",))
    survives(retrain.ask, run_key, "run", killed_at=(f"{APPEND}#Question", f"{LEASES}.release"))
    deployed_at = (
        f"{TRACKING}:tag",
        f"{COMMITTED}#Answer",
        f"{APPEND}#Answer",
        f"{STORE}.set_stage",
        f"{STORE}.set_alias",
        f"{LEASES}.release",
    )
    outcome = survives(retrain.deploy, run_key, "run", "promote:eve", killed_at=deployed_at)
    assert outcome["version"] == one_serves(loop) == staged
    assert retrain.close("run") is None
    assert lease_holder(loop) is None
    assert len(loop.ledger.all(Run)) == len(loop.ledger.all(Answer)) == 2
    assert len(loop.ledger.all(Question)) == 1
    assert loop.ledger.keys(Version) == versions
    assert waiting_requests(loop.ledger) == []


def test_a_run_that_is_killed_while_it_fits_or_ends_works_on_one_request(led: Loop) -> None:
    loop = led
    run_key = survives(ask_for_a_window, "run", killed_at=(f"{APPEND}#Request",))
    survives(
        retrain.fit,
        run_key,
        "run",
        killed_at=(DURING, f"{COMMITTED}#Measurement", f"{APPEND}#Measurement"),
    )
    fitted = loop.ledger.all(Shadow, candidate="newest 2")
    assert len(fitted) == len({shadow.batch for shadow in fitted})
    assert survives(retrain.close, "run", killed_at=(f"{APPEND}#RunEnd",)) is None
    assert [end.outcome for end in loop.ledger.all(RunEnd)] == ["concluded", "failed"]
    assert "ui:run" in [request.key for request in waiting_requests(loop.ledger)]
    assert len(loop.ledger.all(Request)) == 2
    assert one_serves(loop) == "1"
    assert lease_holder(loop) is None, "close gives the lease back, also when it was killed before"


def ask_for_a_window(run_id: str) -> str | None:
    """Ask as a person for a training window, as the form of `retrain_model` does."""
    return arbitrate.arbitrate(run_id, "ui", reason="test", window_batches=2)
