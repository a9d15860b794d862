"""Four weeks whose labels come late: no alarm meanwhile, and a second look when they are there."""

from tests.support import playground
from tests.support.ledger import decisions
from tests.support.playground import retrained
from trimtab.ledger import Judgement, Observation
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, ingest, measure, monitor
from trimtab.loop.loop import Loop
from trimtab.views import history

LATE = range(4, 8)


def land_unlabelled(loop: Loop, number: int) -> None:
    week = playground.weeks()[number]
    frame = playground.thin(week)
    there = frame["label"].notna()
    nothing = frame.assign(
        label=frame["label"].mask(there), label_known_at=frame["label_known_at"].mask(there)
    )
    playground.land(loop.stores.landing, week.batch, nothing, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"


def measured(loop: Loop) -> list[dict[str, object]]:
    return [measure.measure(item) for item in monitor.find_unmonitored()]


def test_labels_that_come_late_raise_no_alarm_and_are_looked_at_when_they_are_there(led: Loop) -> None:
    loop = led
    served = loop.champion()
    for number in LATE:
        land_unlabelled(loop, number)
        (seen,) = measured(loop)
        assert seen["concept"]["sigmas"] is None
        assert seen["concept"]["abstained"] == "0 labelled rows, drift.concept.min_labels is 100"
        assert seen["data"]["columns"]
    monitor.assess()
    assert [request.source for request in waiting_requests(loop.ledger)] == ["age"]
    assert arbitrate.arbitrate("woken", None) is None
    text = "0 of the 2 labelled batches of gate.judge_batches came after the champion's training"
    assert decisions(loop.ledger)[-1].reason == text

    before = (loop.ledger.all(Observation), decisions(loop.ledger))
    for number in LATE:
        week = playground.weeks()[number]
        playground.land(loop.stores.landing, week.batch, playground.thin(week), week)
        assert ingest.ingest(week.batch)["reason"].startswith("revision 2")
    again = measured(loop)
    assert [(seen["batch"], seen["revision"]) for seen in again] == [
        (playground.weeks()[number].batch, 2) for number in LATE
    ]
    assert all(seen["concept"]["sigmas"] is not None for seen in again)
    assert loop.ledger.all(Observation)[:4] == before[0]
    assert decisions(loop.ledger) == before[1]
    assert loop.champion() == served

    texts = [entry.text for entry in history.why(playground.weeks()[4].batch) if entry.what == "measured"]
    assert "not judged: 0 labelled rows" in texts[0]
    assert "% labelled)" in texts[1]
    assert retrained("second", force=True)["verdict"] in ("PROMOTE", "REJECT")
    judged = [each for each in loop.ledger.all(Judgement) if each.verdict][-1].verdict
    assert judged is not None
    assert [(ref.batch, ref.revision) for ref in judged.judged_on] == [
        (playground.weeks()[number].batch, 2) for number in (6, 7)
    ]
