"""What happened, which version was live, and why: through the command line and on the Model health page."""

import json
from datetime import datetime, timedelta

import pytest

from tests.support import playground
from tests.support.commands import trimtab
from tests.support.moments import Site
from tests.support.playground import take_in
from trimtab.loop import arbitrate, orders
from trimtab.loop.loop import Loop
from trimtab.views import health
from trimtab.views.page import html


@pytest.fixture
def loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop with a champion that was measured on a batch, a request that was answered, and an order."""
    loop = site.led(monkeypatch)
    take_in(loop, range(4, 5))
    playground.monitored()
    arbitrate.arbitrate("second", "ui", reason="impatience")
    orders.order("pin", actor="eve", reason="launch")
    return loop


def output(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    capsys.readouterr()
    code = trimtab("model", *command)
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_the_views_say_what_happened_and_why(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    everything = json.loads(output(capsys, "history", "--json"))
    kinds = [entry["what"] for entry in everything]
    assert {"Staging", "DEPLOY", "Production", "pin"} <= set(kinds)
    assert all(entry["text"] for entry in everything)
    assert [entry["at"] for entry in everything] == sorted(entry["at"] for entry in everything)
    assert json.loads(output(capsys, "history", "--json", "--last", "2")) == everything[-2:]
    text = output(capsys, "history")
    assert "eve: launch" in text
    assert "impatience -> " in text

    (deployed,) = [entry for entry in everything if entry["what"] == "Production"]
    at = datetime.fromisoformat(deployed["at"])
    for when, version in ((at - timedelta(seconds=1), None), (at + timedelta(seconds=1), "1")):
        moves = json.loads(output(capsys, "live-at", when.isoformat(), "--json"))
        assert [entry["version"] for entry in moves] == ([version] if version else [])
    end = playground.weeks()[3].end.isoformat()
    assert "v1" in output(capsys, "live-at", "--event-time", end)
    assert output(capsys, "live-at", "2000-01-01") == "Nothing yet.\n"

    version = output(capsys, "why", "1")
    assert version.index("trained") < version.index("DEPLOY") < version.index("pin")
    batch = output(capsys, "why", playground.weeks()[4].batch)
    assert batch.index("revision 1: ") < batch.index("measured")
    assert "trained on" in output(capsys, "why", playground.weeks()[0].batch)

    assert "Expected a version (newest: " in output(capsys, "why", "W99")
    assert "Invalid value for 'time'" in output(capsys, "live-at", "yesterday")


def test_the_page_agrees_with_the_loop(loop: Loop) -> None:
    shown = health.health(53)
    quality = shown.batches[-1].quality
    assert (quality.version, shown.champion.version.version) == ("1", "1")
    assert quality.score == quality.fresh  # the newest model of the batch before is the champion
    assert [(each.name, each.leads, each.error) for each in shown.race.candidates] == [("all", True, None)]
    assert shown.race.candidates[0].shadow.batch == playground.weeks()[4].batch
    request, answer = health.evidence(shown.champion.answer.request)
    assert (request.source, answer.version) == ("first", "1")
    assert answer.reason in html.evidence(request, answer, nonce="n")
    assert "<title>" in html.page(shown, nonce="n", mlflow=None)
