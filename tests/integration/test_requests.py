"""Requests in a crowd, and alerts that come back: each is answered once."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.ledger import decisions
from tests.support.moments import DUE
from tests.support.playground import TASKS, answered, monitored, push, take_in
from tests.support.processes import fresh
from trimtab.errors import RequestRejected
from trimtab.ledger import Answer, Batch, Request, Run, state
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import alerts, arbitrate, monitor
from trimtab.loop.loop import Loop, open_loop

PROCESSES, EACH = 8, 63
FIRED: dict[str, Any] = {
    "status": "firing",
    "fingerprint": "c0ffee",
    "startsAt": "2026-01-05T12:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "labels": {"alertname": "ModelLossHigh"},
    "annotations": {"summary": "the loss is high"},
}


def crowd(number: int) -> None:
    """Write requests of its own and ask the arbiter now and then, as a run of a DAG does."""
    loop = open_loop()
    for count in range(EACH):
        asked = Request(
            source="regret",
            episode=f"{number}-{count}",
            reason="loss is high",
            event_time=state.event_now(loop.ledger.all(Batch)),
        )
        loop.ledger.append(asked)
        loop.ledger.append(replace(asked, reason="the same again"))
        if count % 21 == number:
            arbitrate.arbitrate(f"run-{number}-{count}", None)


def test_500_requests_from_8_processes_start_one_run_and_get_500_answers(due: Loop) -> None:
    loop = due
    loop.registry.stages(
        loop.model
    )  # MLflow makes its tables at the first call, and not from eight processes at once
    children = [fresh(crowd, number) for number in range(PROCESSES)]
    for child in children:
        child.start()
    for child in children:
        child.join(240)
    assert [child.exitcode for child in children] == [0] * PROCESSES
    assert len(loop.ledger.all(Request)) == PROCESSES * EACH + 2

    first, run = loop.ledger.all(Run)
    for task in TASKS:
        task(run.key, run.holder)
    assert arbitrate.arbitrate("after", None) is None
    answers = loop.ledger.all(Answer)
    assert [answer.run for answer in answers if answer.action == "DEPLOY"] == [first.key, run.key]
    assert sorted(answer.request for answer in answers) == sorted(loop.ledger.keys(Request))
    assert all(answer.reason for answer in answers)
    assert waiting_requests(loop.ledger) == []


def received(**changes: object) -> dict[str, list[str]]:
    outcome = alerts.receive({"version": "4", "alerts": [FIRED | changes]})
    return {name: prints for name, prints in outcome.items() if prints}


def said(loop: Loop) -> list[tuple[str, str]]:
    return [
        (each.request.removeprefix("alert:"), each.action)
        for each in decisions(loop.ledger)
        if each.request.startswith("alert:") and each.action != "WAIT"
    ]


def test_an_alert_asks_while_it_fires_and_gets_a_deployment_as_soon_as_there_is_regret(led: Loop) -> None:
    loop = led
    assert received() == {"opened": ["c0ffee"]}
    assert received() == {"joined": ["c0ffee"]}
    assert received(startsAt="2026-01-05T12:00:30Z") == {"joined": ["c0ffee"]}  # of the other replica
    assert answered("woken") is None
    waits = decisions(loop.ledger)[-1]
    assert (waits.action, waits.reason) == ("WAIT", "regret +0.0% (limit 3.0%), age 0 of 8 batches")

    push(loop, trigger__regret=1.0)
    take_in(loop, DUE)
    assert monitored() == 1
    outcome = answered("second")
    assert outcome is not None and outcome["version"] == "2"
    assert said(loop) == [("c0ffee:2026-01-05T12:00:00+00:00", "DEPLOY")]

    resolved = {"status": "resolved", "endsAt": "2026-01-05T15:00:00Z"}
    assert received(**resolved) == {"closed": ["c0ffee"]}
    assert received(**resolved) == {"ignored": ["c0ffee"]}
    assert received() == {"ignored": ["c0ffee"]}  # sent late, of an episode that is over
    assert received(startsAt="2026-02-05T12:00:00Z") == {"opened": ["c0ffee"]}


def test_a_batch_whose_features_drifted_asks_once_for_each_champion(due: Loop) -> None:
    loop = due
    push(loop, drift__request_on=["data"], drift__data__max_share=0.0)
    for _ in range(2):
        assert monitor.assess("monitor") == 2
    assert [request.source for request in waiting_requests(loop.ledger)] == ["regret", "drift"]
    assert answered("run") is not None
    assert monitor.assess("monitor") == 0
    assert decisions(loop.ledger)[-1].reason.startswith("joined what the request regret:")


def test_an_alert_that_resolves_before_its_request_is_answered_withdraws_it(loop: Loop) -> None:
    received()
    assert arbitrate.arbitrate("too-early", None) is None
    assert [decision.action for decision in decisions(loop.ledger)] == ["WAIT"]
    received(status="resolved", endsAt="2026-01-05T15:00:00Z")
    assert waiting_requests(loop.ledger) == []
    withdrawn = decisions(loop.ledger)[-1]
    assert (withdrawn.action, withdrawn.holder) == ("SKIP", "alertmanager")
    assert withdrawn.reason == "the alert resolved before a retraining began, at 2026-01-05 15:00 UTC"


def test_only_the_request_of_the_episode_that_ended_is_withdrawn(loop: Loop) -> None:
    received(fingerprint="cafe")
    received()
    received(status="resolved", endsAt="2026-01-05T15:00:00Z")
    (left,) = waiting_requests(loop.ledger)
    assert left.episode.startswith("cafe:")


def test_an_episode_whose_end_was_lost_does_not_swallow_the_next_incident(loop: Loop) -> None:
    assert received() == {"opened": ["c0ffee"]}
    assert received(startsAt="2026-01-06T11:59:59Z") == {"joined": ["c0ffee"]}
    assert received(startsAt="2026-01-06T12:00:00Z") == {"opened": ["c0ffee"]}
    assert received(startsAt="2026-01-05T12:00:00Z") == {"joined": ["c0ffee"]}  # late, of the first


def test_labels_and_links_stand_in_the_request(loop: Loop) -> None:
    annotations = FIRED["annotations"] | {"runbook_url": "docs/how-to/runbooks.md#loss"}
    alerts.receive(
        {
            "version": "4",
            "externalURL": "http://alertmanager",
            "alerts": [FIRED | {"annotations": annotations, "generatorURL": "http://prometheus/graph"}],
        }
    )
    (record,) = loop.ledger.all(Request)
    assert record.labels == {"alertname": "ModelLossHigh"}
    assert record.links == {
        "generator": "http://prometheus/graph",
        "runbook": "docs/how-to/runbooks.md#loss",
        "alertmanager": "http://alertmanager",
    }


def test_a_request_is_unread_until_the_arbiter_has_looked_at_it(loop: Loop) -> None:
    assert not alerts.unread()
    received()
    assert alerts.unread()
    arbitrate.arbitrate("look", None)
    assert not alerts.unread()
    assert len(waiting_requests(loop.ledger)) == 1


def test_an_alert_about_another_model_is_left_alone(loop: Loop) -> None:
    assert received(labels={"model": "other"}) == {"ignored": ["c0ffee"]}
    assert loop.ledger.all(Request) == []


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (None, ""),
        ({"version": "3", "alerts": [FIRED]}, "version"),
        ({"version": "4", "alerts": []}, "alerts"),
        ({"version": "4", "alerts": [FIRED | {"startsAt": "noon"}]}, "alerts.0.startsAt"),
        ({"version": "4", "alerts": [FIRED | {"fingerprint": ""}]}, "alerts.0.fingerprint"),
    ],
)
def test_what_is_no_call_of_alertmanager_is_refused_by_field(loop: Loop, payload: object, field: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        alerts.receive(payload)
    assert caught.value.faults[0]["field"] == field
