"""Labels that come late: their batch is measured when they are there, and what was decided without them stands."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd

from tests.support import playground
from tests.support.ledger import decisions
from tests.support.playground import answered, monitored, take_in
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import Batch, Measurement, Observation, Shadow, state
from trimtab.loop import ingest, measure
from trimtab.loop.loop import Loop
from trimtab.trigger.standing import standing

PART = 10
"""Every tenth label of the second week is known three days after its end."""


def land(loop: Loop, number: int, frame: pd.DataFrame) -> dict[str, object]:
    week = playground.weeks()[number]
    playground.land(loop.stores.landing, week.batch, frame, week)
    return ingest.ingest(week.batch)


def without_labels(frame: pd.DataFrame) -> pd.DataFrame:
    there = frame["label"].notna()
    return frame.assign(label=frame["label"].mask(there), label_known_at=frame["label_known_at"].mask(there))


def labels_known(frames: Sequence[pd.DataFrame], number: int) -> int:
    """How many labels of these rows are known at the end of a week."""
    end = playground.weeks()[number].end
    return sum(int((frame["label_known_at"] <= end).sum()) for frame in frames)


def test_a_batch_is_measured_when_its_labels_are_there_with_models_that_know_nothing_of_it(led: Loop) -> None:
    loop = led
    frames = [playground.thin(playground.weeks()[number]) for number in range(7)]
    late, next_week = frames[4:6]
    assert land(loop, 4, without_labels(late))["outcome"] == "ingested"
    assert measure.unmeasured(loop) == []
    assert monitored("monitor-4") == 0
    assert len(loop.ledger.all(Observation)) == 1, "the drift of the features needs no labels"

    later = (next_week.index % PART == 0) & next_week["label"].notna()
    three_days_on = playground.weeks()[5].end + pd.Timedelta(days=3)
    frames[5] = next_week.assign(label_known_at=next_week["label_known_at"].mask(later, three_days_on))
    assert land(loop, 5, frames[5])["outcome"] == "ingested"
    monitored("monitor-5")
    measured, (before, fitted) = loop.ledger.all(Measurement)[-1], loop.ledger.all(Shadow)[-2:]
    champion = before.training
    assert measured.scores[BASELINE].rows == labels_known(frames[5:6], 5) < labels_known(frames[5:6], 6)
    assert fitted.training.rows == labels_known([*frames[:4], frames[5]], 5)

    decided = (decisions(loop.ledger), loop.champion(), loop.ledger.all(Shadow))
    assert str(land(loop, 4, late)["reason"]).startswith("revision 2")
    (manifest,) = measure.unmeasured(loop)
    assert (manifest.batch, manifest.revision) == (playground.weeks()[4].batch, 2)
    monitored("monitor-late")
    again = loop.ledger.all(Measurement)[-1]
    assert again.scores.keys() == {
        BASELINE,
        champion.run_id,
    }, "the model through the week after is not scored"
    assert (again.batch, again.shadows) == (manifest.batch, {"all": champion.run_id})
    assert loop.ledger.all(Measurement)[-2] == measured
    assert (decisions(loop.ledger), loop.champion(), loop.ledger.all(Shadow)) == decided

    take_in(loop, [6])
    monitored("monitor-6")
    newest = loop.ledger.all(Shadow)[-1].training
    assert newest.rows == labels_known(frames, 6), "the next model knows the late labels as well"


def test_a_batch_whose_labels_come_after_its_end_waits_for_the_next_one(led: Loop) -> None:
    loop, week = led, playground.weeks()[4]
    frame = playground.thin(week)
    a_day_later = frame["label_known_at"].mask(frame["label"].notna(), week.end + pd.Timedelta(days=1))
    assert land(loop, 4, frame.assign(label_known_at=a_day_later))["outcome"] == "ingested"
    before = loop.ledger.keys(Measurement)
    assert measure.unmeasured(loop) == []

    take_in(loop, [5])
    monitored("monitor-5")
    measured = loop.ledger.keys(Measurement)[len(before) :]
    assert measured == [f"{playground.weeks()[number].batch}:r1" for number in (4, 5)]


def test_labels_that_are_many_batches_late_keep_no_model_from_being_deployed(due: Loop) -> None:
    loop = due
    newest = state.batches_in_force(loop.ledger.all(Batch))[-1]
    for number in range(1, 12):
        later = timedelta(weeks=number)
        manifest = replace(
            newest.manifest,
            batch=f"later-{number}",
            start=newest.manifest.start + later,
            end=newest.manifest.end + later,
            labelled=0,
        )
        loop.ledger.append(replace(newest, manifest=manifest))
    assert measure.unmeasured(loop) == []
    assert standing(loop.ledger, loop.params).shadows == {"all": loop.ledger.all(Shadow)[-1]}
    outcome = answered("run")
    assert outcome is not None and outcome["version"] == "4"
