"""Batches that cannot be measured, and models that cannot be fitted or loaded: they say why, and stop no other."""

import shutil
from pathlib import Path

import pytest

from tests.support import playground
from tests.support.moments import Site
from tests.support.playground import monitored, take_in
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import Measurement, Shadow
from trimtab.loop import ingest, measure
from trimtab.loop.loop import Loop


def land_with_one_class(loop: Loop, number: int) -> str:
    week = playground.weeks()[number]
    frame = playground.thin(week)
    frame = frame.assign(label=frame["label"].mask(frame["label"].notna(), 0))
    playground.land(loop.stores.landing, week.batch, frame, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"
    return week.batch


def lose(loop: Loop, shadow: Shadow) -> None:
    """Delete the file of a model wherever it is."""
    assert shadow.training is not None
    shutil.rmtree(loop.stores.home / "models" / shadow.training.digest, ignore_errors=True)
    (path,) = Path.cwd().glob(f"mlruns/**/{shadow.training.source.removeprefix('models:/')}/**/model.skops")
    path.unlink()


def test_a_fit_that_fails_and_a_model_that_is_lost_stop_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = site.empty(monkeypatch, "two windows", train__windows=["all", 1])
    take_in(loop, range(2))
    monitored("monitor-first")
    all_batches, newest_one = loop.ledger.all(Shadow)
    assert [len(each.training.batches) for each in (all_batches, newest_one)] == [2, 1]
    lose(loop, newest_one)

    batch = land_with_one_class(loop, 2)
    for attempt in range(1, measure.ATTEMPTS + 1):
        (item,) = measure.find_unmeasured("monitor")
        assert item["batch"] == batch
        measure.measure([item], "monitor")
        failed = loop.ledger.all(Shadow, candidate="newest 1")[1:]
        assert [shadow.attempt for shadow in failed] == list(range(1, attempt + 1))
        assert all(shadow.training is None for shadow in failed)
        assert all(
            str(shadow.error).startswith("OneClass: A training needs labels of at least two classes")
            for shadow in failed
        ), failed
        assert len(loop.ledger.all(Shadow, candidate="all")) == 2, "the other window goes on, and only once"
    assert measure.unmeasured(loop) == []

    (measured,) = loop.ledger.all(Measurement, batch=batch)
    assert measured.scores.keys() == {BASELINE, all_batches.training.run_id}
    assert measured.shadows == {
        "all": all_batches.training.run_id,
        "newest 1": newest_one.training.run_id,
    }
    (reason,) = measured.failed.values()
    assert measured.failed.keys() == {newest_one.training.run_id}
    assert reason.startswith(f"no score on batch {batch}: "), reason
    assert measured.scores[BASELINE].auc is None, "the batch has one class"


def test_a_batch_that_cannot_be_measured_stops_no_other_and_is_measured_later(led: Loop) -> None:
    loop = led
    take_in(loop, range(4, 6))
    first, second = measure.find_unmeasured("monitor")
    assert measure.find_unmeasured("another") == [], "one run measures at a time"
    champion = loop.champion().run_id
    with pytest.raises(ExceptionGroup, match="1 of 2 batches could not be measured"):
        measure.measure([first | {"commit": "0" * 40}, second], "monitor")
    assert [manifest.batch for manifest in measure.unmeasured(loop)] == [first["batch"]]
    measure.measure([first], "monitor")
    assert measure.unmeasured(loop) == []
    newer, older = loop.ledger.all(Measurement)[-2:]
    assert [newer.batch, older.batch] == [second["batch"], first["batch"]]
    for measured in (newer, older):
        assert measured.scores.keys() == {BASELINE, champion}
        assert measured.shadows == {"all": champion}
    assert (
        loop.ledger.all(Shadow)[-1].batch == newer.batch
    ), "nothing is fitted through the older one any more"
