"""The whole loop through its steps, as the DAGs call them, on real git, DVC and MLflow."""

import json
from datetime import datetime, timedelta

import mlflow

from tests.support import playground
from tests.support.ledger import batch, decisions, lease_holder, unfinished
from tests.support.playground import answered, asked, monitored, push, take_in
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import (
    Answer,
    Batch,
    Measurement,
    Observation,
    Request,
    Shadow,
    Transition,
    Version,
    state,
)
from trimtab.ledger.queries import completed, waiting_requests
from trimtab.loop import arbitrate, ingest, measure, monitor, retrain, sweep
from trimtab.loop.loop import Loop, open_loop

BATCHES = [week.batch for week in playground.weeks()[:8]]


def fits(loop: Loop) -> tuple[int, int]:
    """How many models the ledger and MLflow know."""
    models = mlflow.search_runs(
        experiment_names=[loop.model], filter_string="tags.`trimtab.candidate` = 'all'", output_format="list"
    )
    return len(loop.ledger.all(Shadow)), len(models)


def test_the_loop_closes(due: Loop) -> None:
    loop = due
    measurements, shadows = loop.ledger.all(Measurement), loop.ledger.all(Shadow)
    assert [each.batch for each in measurements] == [each.batch for each in shadows] == BATCHES[1:7]
    trained = [shadow.training for shadow in shadows]
    champion = trained[2].run_id
    for measurement, before in zip(measurements[1:], trained, strict=False):
        assert measurement.shadows == {"all": before.run_id}
        since = {champion} if measurement.batch > BATCHES[3] else set()
        assert measurement.scores.keys() == {BASELINE, before.run_id} | since
    assert [len(training.batches) for training in trained] == [2, 3, 4, 5, 6, 7]
    assert measure.unmeasured(loop) == monitor.find_unobserved() == []
    assert [seen.batch for seen in loop.ledger.all(Observation)] == BATCHES[4:7]

    assert loop.registry.stages(loop.model) == {
        "1": "Production",
        "2": "Archived",
        "3": "Archived",
        "4": "Staging",
    }
    assert loop.registry.aliases(loop.model) == {"champion": "1", "challenger": "4"}
    assert loop.ledger.require(Version, "4").training == trained[-1]
    (waiting,) = waiting_requests(loop.ledger)
    assert (waiting.source, waiting.champion) == ("regret", "1")
    assert set(sweep.waiting()) == {"landed", "unmonitored", "requests"}

    before = fits(loop)
    outcome = answered("run")
    assert outcome is not None and (outcome["action"], outcome["version"]) == ("DEPLOY", "4")
    assert fits(loop) == before == (6, 6), "nothing is trained a second time for a deployment"
    assert loop.registry.in_stage(loop.model, "Production") == ["4"]
    assert loop.registry.in_stage(loop.model, "Staging") == []
    answer = loop.ledger.require(Answer, waiting.key)
    assert (answer.action, answer.version, answer.run) == ("DEPLOY", "4", f"{loop.model}-2")
    assert answer.evidence is not None and answer.evidence.regret is not None
    assert answer.evidence.regret.share >= loop.params.trigger.regret
    assert len(loop.ledger.all(Answer)) == len(loop.ledger.all(Request)) == 2
    assert lease_holder(loop) is None
    assert answered("again") is None
    assert not any(sweep.waiting().values())
    run = mlflow.MlflowClient().get_run(trained[-1].run_id).data
    assert (run.params["max_iter"], run.params["random_state"]) == ("30", "7")
    assert run.tags["trimtab.source"] == "regret"


def test_every_task_can_be_cleared_and_run_again(due: Loop) -> None:
    loop = due
    take_in(loop, [7])
    items = measure.find_unmeasured("monitor")
    (unseen,) = monitor.find_unobserved()
    measure.measure(items, "monitor")
    monitor.observe(**unseen)
    asking = monitor.assess("monitor")
    facts = [
        loop.ledger.all(kind) for kind in (Measurement, Shadow, Observation, Version, Request, Transition)
    ]
    measure.measure(items, "monitor")
    monitor.observe(**unseen)
    assert monitor.assess("monitor") == asking == 1
    assert [
        loop.ledger.all(kind) for kind in (Measurement, Shadow, Observation, Version, Request, Transition)
    ] == facts

    tasks = (retrain.fit, retrain.ask, retrain.deploy)
    run_key = arbitrate.arbitrate("run", None)
    assert run_key is not None
    for done in range(1, len(tasks) + 1):
        assert arbitrate.arbitrate("run", None) == run_key
        outcomes = [task(run_key, "run") for task in tasks[:done]]
    for task in tasks:  # of a run that is over
        assert task(run_key, "run") == outcomes[tasks.index(task)]
        assert lease_holder(loop) is None
    assert retrain.close("run") is None
    assert (outcomes[-1]["action"], outcomes[-1]["version"]) == ("DEPLOY", "5")
    moves = [(move.version, move.to_stage) for move in completed(loop.ledger)]
    assert moves[-3:] == [("4", "Archived"), ("5", "Staging"), ("5", "Production")]
    assert loop.registry.in_stage(loop.model, "Production") == ["5"]
    assert len(loop.ledger.all(Answer)) == 2
    assert unfinished(loop.ledger) == []


def test_a_dry_run_registers_and_moves_nothing_also_while_an_older_request_is_due(due: Loop) -> None:
    loop = due
    before = (loop.registry.stages(loop.model), loop.ledger.all(Transition), fits(loop))
    (older,) = waiting_requests(loop.ledger)
    assert asked("dry", dry_run=True) is None
    assert loop.ledger.require(Answer, "ui:dry").reason.startswith("dry run: DEPLOY: ")
    outcome = asked("dry-window", dry_run=True, window_batches=2)
    assert outcome is not None and outcome["action"] == "SKIP"
    assert str(outcome["reason"]).startswith("dry run: SKIP: no proof that newest 2 is better than all")
    assert (loop.registry.stages(loop.model), loop.ledger.all(Transition)) == before[:2]
    assert waiting_requests(loop.ledger) == [older]
    assert lease_holder(loop) is None


def test_a_history_of_three_batches_is_measured_and_what_is_missing_is_said(loop: Loop) -> None:
    take_in(loop, range(3))
    assert monitored() == 1
    assert [each.batch for each in loop.ledger.all(Measurement)] == BATCHES[1:3]
    assert asked("impatient") is None
    assert [
        (said.request.partition(":")[0], said.action, said.reason) for said in decisions(loop.ledger)
    ] == [
        (source, "WAIT", "3 of the 4 labelled batches of train.start_batches are in")
        for source in ("first", "ui")
    ]
    assert loop.registry.stages(loop.model) == {"1": "Staging"}


def test_a_first_model_that_does_not_beat_the_baseline_waits_and_says_what_can_change_that(fed: Loop) -> None:
    loop = fed
    push(loop, model__estimator="sklearn.dummy.DummyClassifier", model__settings={"strategy": "prior"})
    assert monitored() == 1
    assert answered("first") is None
    assert asked("impatient") is None
    waits, refused = decisions(loop.ledger)[-2:]
    assert (waits.action, refused.action) == ("WAIT", "SKIP")
    assert waits.reason == refused.reason
    assert waits.reason.startswith(
        "first model: no proof yet that a model of all is better than the baseline (sklearn.dummy.DummyClassifier): its log_loss "
    )
    assert waits.reason.endswith(
        "more labelled batches, better features or another estimator can change that"
    )
    assert loop.registry.in_stage(loop.model, "Production") == []


def test_a_loop_that_begins_on_a_long_history_measures_the_newest_six_batches(loop: Loop) -> None:
    history = [batch(week) for week in range(12)]
    loop.ledger.append(*history)
    pending = measure.without_measurement(loop.ledger, loop.params, history)
    first, *scored = [manifest.batch for manifest in pending]
    assert (first, scored) == ("W05", ["W06", "W07", "W08", "W09", "W10", "W11"])


def test_two_ingests_at_once_both_get_in(loop: Loop) -> None:
    from concurrent.futures import ThreadPoolExecutor

    batches = playground.land_weeks(loop, range(2))
    with ThreadPoolExecutor(2) as pool:
        outcomes = [result["outcome"] for result in pool.map(ingest.ingest, batches)]
    assert outcomes == ["ingested", "ingested"]
    assert [record.manifest.batch for record in state.batches_in_force(loop.ledger.all(Batch))] == batches
    assert [manifest.batch for manifest in open_loop().origin.manifests(open_loop().origin.head())] == batches


def test_the_same_batch_twice_is_taken_in_once(loop: Loop) -> None:
    take_in(loop, range(1))
    playground.land_weeks(loop, range(1))
    assert ingest.ingest("2013-W25")["outcome"] == "unchanged"
    assert ingest.ingest("2013-W25")["outcome"] == "gone"
    assert [record.manifest.revision for record in state.batches_in_force(loop.ledger.all(Batch))] == [1]


def test_corrected_bounds_over_the_same_rows_make_a_revision(loop: Loop) -> None:
    take_in(loop, range(1))
    (batch,) = playground.land_weeks(loop, range(1))
    path = loop.stores.landing / f"{batch}.json"
    note = json.loads(path.read_text())
    end = datetime.fromisoformat(note["end"]) + timedelta(hours=1)
    path.write_text(json.dumps({**note, "end": end.isoformat()}))
    assert ingest.ingest(batch)["outcome"] == "ingested"
    newest = state.batches_in_force(loop.ledger.all(Batch))[-1].manifest
    assert (newest.revision, newest.end) == (2, end)
