"""A run that fails or is lost gives its lease back, counts for nothing, and is asked for again."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import playground
from tests.support.ledger import decisions, lease_holder
from trimtab.errors import CommandFailed, LeaseLost, RunOver
from trimtab.ledger import Answer, Request, Run, RunEnd, Version
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, retrain
from trimtab.loop.loop import Loop
from trimtab.origin.commands import git


def push(loop: Loop, tmp_path: Path, **changes: object) -> str:
    """Commit changes of `params.yaml` to the origin, as a person does; return the commit."""
    clone = tmp_path / f"clone-{len(list(tmp_path.iterdir()))}"
    git("clone", "-q", str(loop.stores.home / "origin.git"), str(clone))
    playground.edit(clone / "params.yaml", **changes)
    git("commit", "-qam", "Change parameters", cwd=clone)
    git("push", "-q", "origin", "HEAD", cwd=clone)
    return git("rev-parse", "HEAD", cwd=clone).strip()


def fail(run_id: str, run_key: str) -> None:
    """Do the tasks of a run up to its training, which fails, as Airflow does: `close` comes last."""
    for task in (retrain.checkout, retrain.prepare):
        task(run_key, run_id)
    with pytest.raises(CommandFailed):
        retrain.train(run_key, run_id)
    assert "no_such_setting" in retrain.close(run_id)


def test_a_training_that_fails_is_over_and_its_request_waits_for_a_correction(
    fed: Loop, tmp_path: Path
) -> None:
    loop = fed
    broken = push(loop, tmp_path, model__settings={"no_such_setting": 1})
    first = arbitrate.arbitrate("first", "ui", reason="try")
    assert loop.ledger.require(Run, first).plan.commit == broken
    fail("first", first)

    end = loop.ledger.require(RunEnd, first)
    assert (end.outcome, end.request) == ("failed", "ui:first")
    assert "unexpected keyword argument 'no_such_setting'" in end.reason
    assert lease_holder(loop) is None
    assert [request.key for request in waiting_requests(loop.ledger)] == ["ui:first"]
    with pytest.raises(RunOver, match="Clear the Airflow run from `arbitrate`, which makes a new plan"):
        retrain.train(first, "first")
    assert retrain.close("first") is None

    for run_id in ("woken-2", "woken-3"):
        run_key = arbitrate.arbitrate(run_id, None)
        assert run_key not in (None, first)
        loop.ledger.append(arbitrate.run_end(loop.ledger.require(Run, run_key), "failed", "the same again"))
        loop.ledger.leases.release(loop.ledger.leases.current(loop.lease_name))
    assert arbitrate.arbitrate("woken-4", None) is None
    assert decisions(loop.ledger)[-1].reason == (
        f"3 runs failed at commit {broken[:12]}, the last one so: the same again. Push a correction to the origin, or "
        "clear the failed Airflow run to try again"
    )

    cleared = arbitrate.arbitrate("first", "ui", reason="try")
    assert cleared == f"{loop.model}-4"
    loop.ledger.append(arbitrate.run_end(loop.ledger.require(Run, cleared), "failed", "again"))
    loop.ledger.leases.release(loop.ledger.leases.current(loop.lease_name))
    corrected = push(loop, tmp_path, model__settings={"max_iter": 20})
    last = arbitrate.arbitrate("woken-5", None)
    assert loop.ledger.require(Run, last).plan.commit == corrected
    assert loop.ledger.all(Answer) == []


def test_a_run_without_a_sign_of_life_is_lost_and_asked_for_again(
    fed: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = fed
    lost = arbitrate.arbitrate("lost", "ui", reason="try")
    assert arbitrate.arbitrate("meanwhile", None) is None  # nothing waits: the run works on the only request
    later = loop.ledger.now() + timedelta(minutes=31)
    monkeypatch.setenv("TRIMTAB_NOW", later.isoformat())
    loop.ledger.append(
        Request(source="alert", episode="e", reason="the loss is high", event_time=loop.event_now())
    )

    again = arbitrate.arbitrate("again", None)

    end = loop.ledger.require(RunEnd, lost)
    assert (end.outcome, end.reason) == (
        "lost",
        "it showed no sign of life for 30 minutes (trigger.lease_minutes); see the log of the Airflow run lost",
    )
    assert loop.ledger.require(Run, again).request == "ui:lost"
    assert lease_holder(loop) == "again"
    with pytest.raises(RunOver, match="which has been given up"):
        retrain.checkout(lost, "lost")


def test_a_task_whose_lease_was_taken_over_registers_and_moves_nothing(
    led: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run A, 31 minutes into a training without a sign of life, meets run B."""
    loop = led
    playground.take_in(loop, range(4, 6))
    paused = arbitrate.arbitrate("paused", "ui", reason="try", force=True)
    for task in (retrain.checkout, retrain.prepare):
        task(paused, "paused")
    real = retrain._project

    def overtaken(run: retrain.Run, entry_point: str) -> str:
        result = real(run, entry_point)
        loop.ledger.leases.release(loop.ledger.leases.current(loop.lease_name))
        loop.take_lease("other")
        return result

    monkeypatch.setattr(retrain, "_project", overtaken)
    before = loop.registry.stages(loop.model)
    with pytest.raises(LeaseLost, match="Nothing was written"):
        retrain.train(paused, "paused")
    assert loop.registry.stages(loop.model) == before
    assert len(loop.ledger.keys(Version)) == len(before)


def test_a_run_keeps_the_parameters_of_its_commit(fed: Loop, tmp_path: Path) -> None:
    loop = fed
    run_key = arbitrate.arbitrate("run", "ui", reason="try")
    planned = loop.ledger.require(Run, run_key).plan.commit
    push(loop, tmp_path, gate__looks=3)
    with retrain.opened(run_key, "run") as run:
        assert (run.loop.commit, run.loop.params.gate.looks) == (planned, loop.params.gate.looks)
    assert playground.opened().params.gate.looks == 3
