"""The whole loop through its steps, as the DAGs call them, on real git, DVC and MLflow."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import mlflow
import pandas as pd

from tests.support import playground
from tests.support.ledger import lease_holder, unfinished
from tests.support.playground import TASKS, retrained, take_in
from trimtab.ledger import Batch, Judgement, Observation, Run, Transition, Version, queries, state
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, ingest, measure, monitor, sweep
from trimtab.loop.loop import Loop, open_loop


def test_without_a_champion_nothing_is_measured_and_nothing_starts_by_itself(fed: Loop) -> None:
    assert monitor.find_unmonitored() == []
    assert arbitrate.arbitrate("woken", None) is None


def test_the_loop_closes(led: Loop) -> None:
    loop = led
    (first,) = [each for each in loop.ledger.all(Judgement) if each.verdict]
    assert first.verdict is not None and first.verdict.kind == "PROMOTE", first
    assert loop.registry.stages(loop.model) == {"1": "Archived", "2": "Production"}
    assert loop.registry.aliases(loop.model) == {"champion": "2"}
    judged, serves = loop.ledger.all(Version)
    assert (serves.refit_of, judged.training.reference_losses) == ("1", {})
    assert [ref.batch for ref in serves.training.batches] == [week.batch for week in playground.weeks()[:4]]
    assert [ref.batch for ref in judged.training.batches] == [week.batch for week in playground.weeks()[:2]]
    assert serves.training.reference_losses
    assert lease_holder(loop) is None

    take_in(loop, range(4, 6))
    items = monitor.find_unmonitored()
    assert [item["batch"] for item in items] == ["2013-W29", "2013-W30"]
    for item in items:
        measure.measure(item)
    assert monitor.find_unmonitored() == []
    for concept in (record.concept for record in loop.ledger.all(Observation)):
        assert concept.lower < concept.score.loss < concept.upper
    assert monitor.assess() == len(waiting_requests(loop.ledger))

    second = retrained("second", force=True)
    assert second["version"] in ("3", "4"), second
    settings = mlflow.MlflowClient().get_run(judged.training.run_id).data.params
    assert (settings["max_iter"], settings["random_state"]) == ("30", "7")
    assert len(loop.registry.in_stage(loop.model, "Production")) == 1
    staged = set(loop.registry.in_stage(loop.model, "Staging"))
    assert staged <= state.under_judgement(loop.ledger.all(Judgement))
    assert set(sweep.waiting()) == {"landed", "unmonitored", "requests"}


def test_every_task_can_be_cleared_and_run_again(fed: Loop) -> None:
    loop = fed
    run_key = arbitrate.arbitrate("run", "ui", reason="test")
    assert run_key is not None
    for done in range(1, len(TASKS) + 1):
        assert arbitrate.arbitrate("run", "ui", reason="test") == run_key
        for task in TASKS[:done]:
            result = task(run_key, "run")
    assert loop.registry.stages(loop.model) == {"1": "Archived", "2": "Production"}
    moves = [(move.version, move.to_stage) for move in queries.completed(loop.ledger)]
    assert moves == [("1", "Staging"), ("2", "Production"), ("1", "Archived")]
    assert unfinished(loop.ledger) == []
    assert result["verdict"] == "PROMOTE"


def test_a_dry_run_registers_and_moves_nothing(fed: Loop) -> None:
    loop = fed
    outcome = retrained("dry", dry_run=True)
    assert outcome["version"] is None
    assert outcome["verdict"] == "PROMOTE"
    assert loop.registry.stages(loop.model) == {}
    assert loop.ledger.all(Transition) == []
    assert lease_holder(loop) is None


def test_labels_that_become_known_later_change_no_earlier_decision(loop: Loop) -> None:
    """The same batches judged twice: once as they were, once after labels came that the cut-off may not see."""
    take_in(loop, range(3))
    week = playground.weeks()[3]
    frame = playground.thin(week)
    late = frame.index % 10 == 0
    unknown = frame.assign(label=frame["label"].mask(late), label_known_at=frame["label_known_at"].mask(late))
    playground.land(loop.stores.landing, week.batch, unknown, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"
    retrained("before")
    before = [each for each in loop.ledger.all(Judgement) if each.verdict][-1]

    known_later = frame.assign(
        label_known_at=frame["label_known_at"].mask(
            late & frame["label"].notna(), week.end + pd.Timedelta(days=3)
        )
    )
    playground.land(loop.stores.landing, week.batch, known_later, week)
    assert "revision 2" in ingest.ingest(week.batch)["reason"]
    assert [each for each in loop.ledger.all(Judgement) if each.verdict] == [before]

    judged_again = retrained_at(open_loop(), "after")
    assert judged_again.comparison == before.verdict.comparison  # type: ignore[union-attr]  # a verdict has one


def retrained_at(loop: Loop, run_id: str):  # type: ignore[no-untyped-def]  # Verdict
    """Judge the same plan again on today's revisions: champion None, the same cut-off."""
    from trimtab.contracts import BatchRef, Verdict, from_json
    from trimtab.project import evaluate, prepare, train
    from trimtab.trigger.planning import write_champion, write_run

    plan = loop.ledger.all(Run)[0].plan
    revisions = {manifest.batch: manifest.revision for manifest in loop.origin.manifests(loop.commit)}
    newest = [
        tuple(BatchRef(batch=ref.batch, revision=revisions[ref.batch]) for ref in refs)
        for refs in (plan.train, plan.judge)
    ]
    again = replace(plan, commit=loop.commit, train=newest[0], judge=newest[1], decision=None)
    folder = loop.stores.work / run_id
    loop.origin.checkout(folder, loop.commit, list(revisions))
    write_run(folder / "run.yaml", again)
    write_champion(folder / "champion.yaml", None)
    for verb in (prepare.prepare, train.train, evaluate.evaluate):
        verb(folder)
    return from_json(Verdict, (folder / "build" / "verdict.json").read_bytes())


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
