"""People overrule the loop by name and reason, and the loop takes back what disappoints."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest

from tests.support import playground
from tests.support.commands import trimtab
from tests.support.ledger import decisions, lease_holder, unfinished
from tests.support.moments import DUE, Site
from tests.support.playground import answered, asked, monitored, push, take_in
from trimtab.contracts import BatchRef, Training
from trimtab.errors import OrderRefused
from trimtab.ledger import Answer, Batch, Measurement, Order, Question, Shadow, Version, state
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate, ingest, measure, monitor, orders, reconcile, retrain
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
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
        seconds=1.0,
    )
    version = loop.registry.register(loop.model, run_id, source, {})
    loop.ledger.append(Version(version=version, candidate="all", training=training))


def agree(loop: Loop, version: str) -> None:
    """Ledger, stages and aliases name the same version."""
    assert loop.champion().version == version
    assert loop.registry.in_stage(loop.model, "Production") == [version]
    assert loop.registry.aliases(loop.model)["champion"] == version
    assert unfinished(loop.ledger) == []


@pytest.fixture
def forced(site: Site, led: Loop, tmp_path: Path) -> Loop:
    """A loop with a champion, and version 2, which is worse; one batch proves it, and asks for no fresh model."""

    def register() -> None:
        worse(led, tmp_path)
        push(led, watch__error=0.4, trigger__regret=100.0)

    loop = site.at("led, with a worse one", register)
    assert loop.registry.stages(loop.model) == {"1": "Production", "2": "None"}
    return loop


def test_a_worse_model_forced_with_watch_is_rolled_back_and_the_second_time_a_person_is_asked(
    forced: Loop, notices: list[dict[str, str]]
) -> None:
    loop = forced
    command = ["model", "promote", "2", "--force", "--watch", "--by", "eve", "--reason", "the launch"]
    assert trimtab(*command) == 0
    agree(loop, "2")
    take_in(loop, [4])
    assert monitored() == 1
    scored = loop.ledger.all(Measurement)[-1]
    former, bad = (loop.ledger.require(Version, version).training.run_id for version in ("1", "2"))
    assert scored.champion == bad
    assert scored.scores[bad].loss > scored.scores[former].loss
    assert answered("woken") is None, "a rollback needs no run"
    agree(loop, "1")
    (rolled,) = [decision for decision in decisions(loop.ledger) if decision.action == "ROLLBACK"]
    assert rolled.reason.startswith("the new champion loses ")
    assert [notice["kind"] for notice in notices] == ["rollback"]
    assert "2" in state.orders_in_force(loop.ledger.all(Order)).blocked
    with pytest.raises(OrderRefused, match="blocked by the watch rule"):
        orders.promote("2", actor="eve", reason="again", pin=False)
    assert answered("after", "ui", reason="and now?") is None
    said = decisions(loop.ledger)[-1]
    assert said.action == "SKIP"
    assert said.reason.endswith("no proof since the rollback that a fresh model is better")

    orders.order("unblock", version="2", actor="eve", reason="it was the weather")
    orders.promote("2", actor="eve", reason="again", pin=False)
    take_in(loop, [5])
    assert monitored() == 1
    run_key = arbitrate.arbitrate("asking", None)
    assert run_key is not None
    retrain.fit(run_key, "asking")
    question = retrain.ask(run_key, "asking")
    assert question is not None and question["subject"].startswith("Go back to the former champion of")
    assert lease_holder(loop) is None
    agree(loop, "2")
    outcome = retrain.deploy(run_key, "asking", "promote:eve")
    assert (outcome["action"], outcome["version"]) == ("ROLLBACK", "1")
    assert "approved by eve: the new champion loses " in outcome["reason"]
    agree(loop, "1")
    assert [notice["kind"] for notice in notices] == ["rollback", "ask", "rollback"]


def test_a_worse_model_forced_with_pin_stays_and_people_are_told_once(
    forced: Loop, notices: list[dict[str, str]]
) -> None:
    loop = forced
    assert trimtab("model", "promote", "2", "--force", "--pin", "--by", "eve", "--reason", "the launch") == 0
    take_in(loop, [4])
    for number in range(2):
        assert monitored(f"monitor-{number}") == 1
        assert answered(f"woken-{number}") is None
    agree(loop, "2")
    assert [notice["kind"] for notice in notices] == ["pinned"]
    assert notices[0]["text"].endswith("not rolled back, because the version is pinned by eve: the launch")
    assert decisions(loop.ledger)[-1].reason == "version 2 is pinned by eve: the launch"

    orders.order("unpin", actor="eve", reason="the launch is over")
    assert answered("woken-last") is None
    agree(loop, "1")
    assert [notice["kind"] for notice in notices] == ["pinned", "rollback"]


def test_a_person_rolls_back_to_what_served_before(forced: Loop) -> None:
    loop = forced
    orders.promote("2", actor="eve", reason="the launch", pin=False)
    said = orders.rollback(None, actor="eve", reason="complaints", key="run-1")
    assert said.startswith("version 1 is back in Production")
    assert "by eve: ROLLBACK: complaints" in orders.rollback(
        None, actor="eve", reason="complaints", key="run-1"
    )
    agree(loop, "1")
    for version, message in {"2": "blocked", "1": "in Production", "99": "unknown"}.items():
        with pytest.raises(OrderRefused):
            orders.rollback(version, actor="eve", reason=message)
    agree(loop, "1")


def test_a_rollback_to_a_version_whose_artifact_is_gone_is_refused_and_the_pointer_stays(
    forced: Loop,
) -> None:
    loop = forced
    orders.promote("2", actor="eve", reason="the launch", pin=False)
    digest = loop.ledger.require(Version, "1").training.digest
    shutil.rmtree(loop.stores.home / "models" / digest, ignore_errors=True)
    for folder in Path.cwd().rglob("model.skops"):
        folder.unlink()
    with pytest.raises(OrderRefused, match="a version that can be loaded, got version 1"):
        orders.rollback("1", actor="eve", reason="complaints")
    agree(loop, "2")
    assert [order.verb for order in loop.ledger.all(Order)] == ["promote"]


def test_paused_pinned_and_blocked_nothing_is_deployed_and_then_it_goes_on(due: Loop) -> None:
    loop = due
    orders.order("pause", actor="eve", reason="holiday")
    assert answered("paused") is None
    assert decisions(loop.ledger)[-1].reason == "paused by eve: holiday"
    orders.order("resume", actor="eve", reason="back")

    orders.order("pin", actor="eve", reason="the audit")
    assert asked("pinned") is None
    waits, refused = decisions(loop.ledger)[-2:]
    assert (waits.action, waits.reason) == ("WAIT", "version 1 is pinned by eve: the audit")
    assert (refused.action, refused.reason) == ("SKIP", "version 1 is pinned by eve: the audit")
    orders.order("unpin", actor="eve", reason="the audit is over")

    orders.order("block", version="4", actor="eve", reason="odd")
    outcome = asked("blocked")
    assert outcome is not None and outcome["action"] == "SKIP"
    assert str(outcome["reason"]).startswith("version 4 is blocked by eve: odd")
    agree(loop, "1")
    orders.order("unblock", version="4", actor="eve", reason="not odd")
    outcome = asked("at last")
    assert outcome is not None and outcome["version"] == "4"
    agree(loop, "4")


def test_the_budget_holds_for_people_unless_they_force(due: Loop) -> None:
    loop = due
    push(loop, trigger__max_per_event_month=1)
    assert asked("impatient") is None
    expected = "1 deployments within 30 days, trigger.max_per_event_month is 1"
    assert [decision.reason for decision in decisions(loop.ledger)[-2:]] == [
        expected,
        f"{expected}; tick force to go on",
    ]
    outcome = asked("forced", force=True)
    assert outcome is not None and outcome["version"] == "4"


def test_a_person_is_asked_before_a_deployment_and_without_an_answer_the_champion_stays(
    due: Loop, notices: list[dict[str, str]]
) -> None:
    loop = due
    push(loop, gate__ask="promotion")
    run_key = arbitrate.arbitrate("run", None)
    assert run_key is not None
    retrain.fit(run_key, "run")
    question = retrain.ask(run_key, "run")
    assert question is not None
    assert question["subject"] == f"Deploy the newest model of {loop.model}? version 1 is in Production"
    assert question["default"] == "keep"
    assert "| predictions | holds |" in question["body"]
    assert lease_holder(loop) is None, "a person may take hours"
    (question_asked,) = loop.ledger.all(Question)
    assert question_asked.key == run_key
    assert [notice["kind"] for notice in notices] == ["ask"]
    agree(loop, "1")
    outcome = retrain.deploy(run_key, "run", "keep:default, because nobody answered")
    assert outcome["action"] == "SKIP"
    assert outcome["reason"].startswith("kept by default, because nobody answered: the champion has lost ")
    agree(loop, "1")
    assert retrain.ask(run_key, "run") is None, "a cleared task asks nobody again"
    assert lease_holder(loop) is None

    outcome = asked("second", answer="promote:eve")
    assert outcome is not None and outcome["version"] == "4"
    assert str(outcome["reason"]).startswith("approved by eve: ")
    agree(loop, "4")


def reversed_from(loop: Loop, numbers: range) -> None:
    """From these weeks on the label is the opposite of what it was."""
    for number in numbers:
        week = playground.weeks()[number]
        frame = playground.thin(week)
        playground.land(loop.stores.landing, week.batch, frame.assign(label=1 - frame["label"]), week)
        assert ingest.ingest(week.batch)["outcome"] == "ingested"


def test_a_window_that_a_person_chose_is_deployed_only_if_it_is_better(site: Site, led: Loop) -> None:
    def turn() -> None:
        push(led, race__batches=2, trigger__regret=100.0)  # so that nobody else asks
        reversed_from(open_loop(), DUE)
        monitored()

    loop = site.at("turned", turn)
    before = loop.champion()
    batches = [batch.manifest.batch for batch in state.batches_in_force(loop.ledger.all(Batch))]
    outcome = asked("newest", window_batches=1)
    fitted = loop.ledger.all(Shadow, candidate="newest 1")
    assert [shadow.batch for shadow in fitted] == batches
    assert all([ref.batch for ref in shadow.training.batches] == [shadow.batch] for shadow in fitted)
    run_key = loop.ledger.require(Answer, "ui:newest").run
    measured = loop.ledger.all(Measurement, decision=run_key)
    assert [each.shadows["newest 1"] for each in measured] == [
        shadow.training.run_id for shadow in fitted[:-1]
    ], "each model is scored on the batch after it"
    assert [each.batch for each in measured] == batches[1:]
    assert outcome is not None and outcome["action"] == "DEPLOY", outcome
    assert loop.champion().run_id == fitted[-1].training.run_id
    assert loop.champion() != before


def test_a_window_without_proof_is_not_deployed(led: Loop) -> None:
    outcome = asked("newest", window_batches=2)
    assert outcome is not None and outcome["action"] == "SKIP"
    assert str(outcome["reason"]).startswith(
        "no proof that newest 2 is better than all, which leads: its log_loss "
    )
    agree(led, "1")
    assert waiting_requests(led.ledger) == []
    assert measure.unmeasured(led) == monitor.find_unobserved() == []


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


def test_a_stage_moved_by_hand_is_told_and_restored(forced: Loop, notices: list[dict[str, str]]) -> None:
    loop = forced
    loop.registry.set_stage(loop.model, "2", "Production", archive=True)
    reconcile.reconcile()
    agree(loop, "1")
    assert notices[0]["kind"] == "foreign_change"
    assert "version 2 was in Production, but the ledger put version 1 there" in notices[0]["text"]
    reconcile.reconcile()
    assert len(notices) == 1


def test_a_webhook_that_is_away_is_tried_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, notices: list[dict[str, str]]
) -> None:
    url = os.environ["TRIMTAB_WEBHOOK_URL"]
    for away in ("http://127.0.0.1:9/hook", "no address"):
        monkeypatch.setenv("TRIMTAB_WEBHOOK_URL", away)
        notify(loop, key="k", kind="rollback", text="it happened")
    monkeypatch.setenv("TRIMTAB_WEBHOOK_URL", url)
    notify(loop, key="k", kind="rollback", text="it happened")
    notify(loop, key="k", kind="rollback", text="it happened")
    assert notices == [{"model": loop.model, "kind": "rollback", "text": "it happened"}]
