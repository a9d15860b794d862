"""People overrule the loop by name and reason, and the loop takes back what disappoints."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import trimtab
from tests.support.ledger import decisions, unfinished
from tests.support.moments import Site
from tests.support.playground import retrained, take_in
from trimtab.contracts import BatchRef, Training
from trimtab.errors import OrderRefused
from trimtab.ledger import Batch, Judgement, Order, Version, state
from trimtab.loop import arbitrate, measure, monitor, orders, reconcile
from trimtab.loop.loop import Loop
from trimtab.registry import tracking
from trimtab.train.features import design
from trimtab.train.fit import build, fit


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """A webhook on loopback, and what came in."""
    came: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TRIMTAB_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook")
    yield came
    server.shutdown()


def worse(loop: Loop, tmp_path: Path) -> None:
    """Register a model that learned the opposite of the truth."""
    records = state.batches_in_force(loop.ledger.all(Batch))
    frame = pd.concat(
        loop.origin.fetch_batch(record.manifest.batch, md5=record.md5, commit=record.commit)
        for record in records
    )
    frame = frame[frame["label"].notna()].reset_index(drop=True)
    features = design(frame, loop.params.data)
    features.head(300).to_parquet(tmp_path / "reference.parquet", index=False)
    with tracking.open_run(loop.model, tags={}) as run_id:
        pipeline = fit(build(loop.params), loop.params, frame.assign(label=1 - frame["label"]))
        source, digest = tracking.log_pipeline(pipeline, features.head(5), loop.params.model.trusted_types)
        tracking.log(params={}, metrics={}, files=[tmp_path / "reference.parquet"])
    training = Training(
        run_id=run_id,
        source=source,
        digest=digest,
        rows=len(frame),
        batches=(BatchRef(batch=records[-1].manifest.batch, revision=1),),
        trained_through=records[-1].manifest.end,
        reference_losses={},
        seconds=1.0,
    )
    version = loop.registry.register(loop.model, run_id, source, {})
    now = records[-1].manifest.end
    loop.ledger.append(
        Version(version=version, run_key="worse", training=training),
        Judgement(run_key="worse", version=version, state="REJECT", reason="worse", event_time=now),
    )


def monitored() -> int:
    """One run of `monitor_model`; how many requests wait after it."""
    reconcile.reconcile()
    for item in monitor.find_unmonitored():
        measure.measure(item)
    return monitor.assess()


def agree(loop: Loop, version: str) -> None:
    """Ledger, stages and aliases name the same version."""
    assert loop.champion().version == version
    assert loop.registry.in_stage(loop.model, "Production") == [version]
    assert loop.registry.aliases(loop.model)["champion"] == version
    assert unfinished(loop.ledger) == []


@pytest.fixture
def forced(site: Site, led: Loop, tmp_path: Path) -> tuple[Loop, str]:
    """A loop with a champion, and a version that is worse."""
    loop = site.at("led, with a worse one", lambda: worse(led, tmp_path))
    (bad,) = set(loop.registry.stages(loop.model)) - {"1", "2"}
    return loop, bad


def test_a_worse_model_forced_with_watch_is_rolled_back_without_a_hand(
    forced: tuple[Loop, str], notices: list[dict[str, str]]
) -> None:
    loop, bad = forced
    command = ["model", "promote", bad, "--force", "--watch", "--by", "eve", "--reason", "the launch"]
    assert trimtab(*command) == 0
    agree(loop, bad)
    for number in range(4, 6):
        take_in(loop, range(number, number + 1))
        if monitored():
            arbitrate.arbitrate(f"woken-{number}", None)
    agree(loop, "2")
    assert loop.registry.stages(loop.model) == {"1": "Archived", "2": "Production", bad: "Archived"}
    (rolled,) = [decision for decision in decisions(loop.ledger) if decision.action == "ROLLBACK"]
    assert rolled.reason.endswith("back to version 2")
    assert [notice["kind"] for notice in notices] == ["rollback"]
    assert bad in state.orders_in_force(loop.ledger.all(Order)).blocked
    with pytest.raises(OrderRefused, match="blocked by the watch rule"):
        orders.promote(bad, actor="eve", reason="again", pin=False)
    arbitrate.arbitrate("after", "ui", reason="and now?")
    assert decisions(loop.ledger)[-1].action in ("SKIP", "WAIT")


def test_a_challenger_is_judged_against_the_champion_and_not_against_itself(
    forced: tuple[Loop, str],
) -> None:
    loop, bad = forced
    orders.promote(bad, actor="eve", reason="the launch", pin=False)
    take_in(loop, range(4, 6))
    outcome = retrained("second", force=True)
    verdict = [each for each in loop.ledger.all(Judgement) if each.verdict][-1].verdict
    assert (outcome["verdict"], verdict.champion) == ("PROMOTE", bad)
    assert verdict.comparison.gain > 0.1


def test_a_worse_model_forced_with_pin_stays_and_people_are_told_once(
    forced: tuple[Loop, str], notices: list[dict[str, str]]
) -> None:
    loop, bad = forced
    assert trimtab("model", "promote", bad, "--force", "--pin", "--by", "eve", "--reason", "the launch") == 0
    for number in range(4, 7):
        take_in(loop, range(number, number + 1))
        monitored()
        arbitrate.arbitrate(f"woken-{number}", None)
    agree(loop, bad)
    assert [notice["kind"] for notice in notices] == ["pinned"]
    assert notices[0]["text"].endswith("not rolled back, because the version is pinned by eve: the launch")
    assert not [decision for decision in decisions(loop.ledger) if decision.action == "ROLLBACK"]

    orders.order("unpin", actor="eve", reason="the launch is over")
    arbitrate.arbitrate("woken-last", None)
    agree(loop, "2")
    assert [notice["kind"] for notice in notices] == ["pinned", "rollback"]


def test_a_person_rolls_back_to_what_served_before(forced: tuple[Loop, str]) -> None:
    loop, bad = forced
    orders.promote(bad, actor="eve", reason="the launch", pin=False)
    said = orders.rollback(None, actor="eve", reason="complaints", key="run-1")
    assert said.startswith("version 2 is back in Production")
    assert "by eve: ROLLBACK: complaints" in orders.rollback(
        None, actor="eve", reason="complaints", key="run-1"
    )
    agree(loop, "2")
    for version, message in {"1": "never", bad: "blocked", "2": "2", "99": "99"}.items():
        with pytest.raises(OrderRefused):
            orders.rollback(version, actor="eve", reason=message)
    agree(loop, "2")


def test_a_rollback_to_a_version_whose_artifact_is_gone_is_refused_and_the_pointer_stays(
    forced: tuple[Loop, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    loop, bad = forced
    orders.promote(bad, actor="eve", reason="the launch", pin=False)
    digest = loop.ledger.require(Version, "2").training.digest
    shutil.rmtree(loop.stores.home / "models" / digest, ignore_errors=True)
    for folder in Path.cwd().rglob("model.skops"):
        folder.unlink()
    with pytest.raises(OrderRefused, match="a version that can be loaded, got version 2"):
        orders.rollback("2", actor="eve", reason="complaints")
    agree(loop, bad)
    assert [order.verb for order in loop.ledger.all(Order)] == ["promote"]


def test_paused_nothing_starts_and_resumed_it_goes_on(fed: Loop) -> None:
    loop = fed
    orders.order("pause", actor="eve", reason="holiday")
    assert arbitrate.arbitrate("run", "ui", reason="try") is None
    assert decisions(loop.ledger)[-1].reason == "paused by eve: holiday"
    orders.order("resume", actor="eve", reason="back")
    assert arbitrate.arbitrate("run 2", None) is not None


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["model", "pin"], "none is in Production"),
        (["model", "block", "7"], "got version 7"),
        (["model", "rollback"], "got none there"),
        (["loop", "pause"], None),
    ],
)
def test_an_order_that_cannot_be_done_says_why(
    loop: Loop, capsys: pytest.CaptureFixture[str], command: list[str], message: str | None
) -> None:
    code = trimtab(*command, "--by", "eve", "--reason", "test")
    assert code == (0 if message is None else 1)
    if message is not None:
        assert message in capsys.readouterr().err
        assert loop.ledger.all(Order) == []


def test_an_order_without_a_reason_is_refused(loop: Loop) -> None:
    with pytest.raises(OrderRefused, match="a name and a reason"):
        orders.order("pause", actor="eve", reason=" ")


def test_a_stage_moved_by_hand_is_told_and_restored(
    forced: tuple[Loop, str], notices: list[dict[str, str]]
) -> None:
    loop, bad = forced
    loop.registry.set_stage(loop.model, bad, "Production", archive=True)
    reconcile.reconcile()
    agree(loop, "2")
    assert notices[0]["kind"] == "foreign_change"
    assert f"version {bad} was in Production, but the ledger put version 2 there" in notices[0]["text"]
    reconcile.reconcile()
    assert len(notices) == 1


def test_a_webhook_that_is_away_is_tried_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, notices: list[dict[str, str]]
) -> None:
    import os

    from trimtab.loop.notify import notify

    url = os.environ["TRIMTAB_WEBHOOK_URL"]
    for away in ("http://127.0.0.1:9/hook", "no address"):
        monkeypatch.setenv("TRIMTAB_WEBHOOK_URL", away)
        notify(loop, key="k", kind="rollback", text="it happened")
    monkeypatch.setenv("TRIMTAB_WEBHOOK_URL", url)
    notify(loop, key="k", kind="rollback", text="it happened")
    notify(loop, key="k", kind="rollback", text="it happened")
    assert notices == [{"model": loop.model, "kind": "rollback", "text": "it happened"}]
