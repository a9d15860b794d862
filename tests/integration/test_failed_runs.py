"""A run that fails or is lost gives its lease back, counts for nothing, and is asked for again."""

from datetime import timedelta

import pytest

from tests.support import playground
from tests.support.ledger import decisions, lease_holder
from tests.support.playground import push, without_data
from trimtab.errors import LeaseLost, RunOver, TrimtabError
from trimtab.ledger import Answer, Request, Run, RunEnd, Shadow, Version
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, retrain
from trimtab.loop.loop import Loop


def fail(run_id: str, run_key: str) -> str:
    """Do the tasks of a run up to its training, which fails, as Airflow does: `close` comes last."""
    with pytest.raises(TrimtabError):
        retrain.fit(run_key, run_id)
    said = retrain.close(run_id)
    assert said is not None
    return said


def test_a_run_that_fails_says_why_and_after_three_its_request_waits_for_another_commit(led: Loop) -> None:
    loop = led
    shadows = loop.ledger.all(Shadow)
    with without_data(loop):
        first = arbitrate.arbitrate("trying", "ui", reason="try", window_batches=2)
        assert loop.ledger.require(Run, first).plan.commit == loop.commit
        said = fail("trying", first)
        end = loop.ledger.require(RunEnd, first)
        assert (end.outcome, end.request, end.reason) == ("failed", "ui:trying", said)
        assert "DVC" in said, said
        assert lease_holder(loop) is None
        assert "ui:trying" in [request.key for request in waiting_requests(loop.ledger)]
        with pytest.raises(RunOver):
            retrain.fit(first, "trying")
        assert retrain.close("trying") is None
        for run_id in ("woken-2", "woken-3"):
            run_key = arbitrate.arbitrate(run_id, None)
            assert run_key not in (None, first)
            fail(run_id, run_key)
        assert arbitrate.arbitrate("woken-4", None) is None
        assert decisions(loop.ledger)[-1].reason == (
            f"3 runs failed at commit {loop.commit[:12]}, the last one so: {said}. Push a correction to the origin, or "
            "clear the failed Airflow run to try again"
        )
        cleared = arbitrate.arbitrate("trying", "ui", reason="try", window_batches=2)
        assert cleared is not None
        fail("trying", cleared)
    corrected = push(loop, model__settings={"max_iter": 20})
    last = arbitrate.arbitrate("woken-5", None)
    assert loop.ledger.require(Run, last).plan.commit == corrected
    assert loop.ledger.get(Answer, "ui:trying") is None
    assert loop.ledger.all(Shadow) == shadows


def test_a_run_without_a_sign_of_life_is_lost_and_asked_for_again(
    due: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = due
    lost = arbitrate.arbitrate("lost", None)
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
    assert loop.ledger.require(Run, again).request == end.request
    assert lease_holder(loop) == "again"
    with pytest.raises(RunOver, match="which has been given up"):
        retrain.deploy(lost, "lost")


def test_a_task_whose_lease_was_taken_over_registers_and_moves_nothing(
    due: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run A, 31 minutes without a sign of life before it registers its model, meets run B."""
    loop = due
    paused = arbitrate.arbitrate("paused", None)
    real = retrain.register

    def overtaken(*arguments: object) -> Version:
        loop.ledger.leases.release(loop.ledger.leases.current(loop.lease_name))
        loop.take_lease("other")
        return real(*arguments)

    monkeypatch.setattr(retrain, "register", overtaken)
    before = loop.registry.stages(loop.model)
    with pytest.raises(LeaseLost, match="Nothing was written"):
        retrain.deploy(paused, "paused")
    assert loop.registry.stages(loop.model) == before
    assert loop.ledger.get(Answer, loop.ledger.require(Run, paused).request) is None


def test_a_run_keeps_the_parameters_of_its_commit(due: Loop) -> None:
    loop = due
    run_key = arbitrate.arbitrate("run", None)
    planned = loop.ledger.require(Run, run_key).commit
    push(loop, gate__min_blocks=9)
    with retrain.opened(run_key, "run") as run:
        assert (run.loop.commit, run.loop.params.gate.min_blocks) == (planned, loop.params.gate.min_blocks)
    assert playground.opened().params.gate.min_blocks == 9
