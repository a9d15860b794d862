"""The loop under real Airflow, MLflow server and service: as a user meets it, in one stack."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from playwright.sync_api import sync_playwright

from tests.support import playground
from tests.support.airflow import run_state
from tests.support.browser import CHROMIUM
from tests.support.ledger import lease_holder, unfinished
from tests.support.moments import SMALL
from tests.support.waiting import until
from trimtab.ledger import Answer, Batch, Measurement, Observation, Request, Shadow, Version, queries
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop, open_loop
from trimtab.stack import airflow_api, config, control

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

START = SMALL["train__start_batches"]


class Stack:
    """One running stack and how the tests look at it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.addresses = control.addresses(home)
        self.airflow = airflow_api.connect(home)
        self.loop: Loop = open_loop()

    def until(self, what: str, ready: Callable[[], object], seconds: float = 240) -> None:
        until(ready, what, seconds=seconds, every=1)

    def state(self, dag: str, run_id: str) -> str:
        return run_state(self.airflow, dag, run_id)

    def in_production(self) -> list[str]:
        return self.loop.registry.in_stage(self.loop.model, "Production")

    def consistent(self) -> None:
        """One version in Production, at most one in Staging, every batch measured once, nothing left open."""
        loop = self.loop
        assert len(self.in_production()) == 1
        assert loop.registry.in_stage(loop.model, "Staging") == queries.in_staging(
            queries.completed(loop.ledger)
        )
        assert len(loop.registry.in_stage(loop.model, "Staging")) <= 1
        assert unfinished(loop.ledger) == []
        assert {shadow.attempt for shadow in loop.ledger.all(Shadow)} == {1}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("e2e")
    home, tree = folder / "var", playground.tree(folder / "tree", **SMALL)
    patch = pytest.MonkeyPatch()
    for name, value in playground.environment(home).items():
        patch.setenv(name, value)
    patch.delenv("MLFLOW_TRACKING_URI")
    playground.use_free_ports(patch)
    try:
        initialise(tree)
        control.start(home, tree)
        control.wait_healthy(home, timeout=180)
        patch.setenv("MLFLOW_TRACKING_URI", control.addresses(home).mlflow)
        yield Stack(home)
    finally:
        control.stop(home)
        patch.undo()


def test_landed_batches_lead_to_a_first_model_by_themselves(stack: Stack) -> None:
    batches = playground.land_weeks(stack.loop, range(START))
    assert requests.get(f"{stack.addresses.service}/readyz", timeout=10).status_code == 503
    stack.airflow.trigger("ingest_batch", {}, run_id="start")
    stack.until("a first model", lambda: stack.in_production() == ["1"], seconds=600)
    stack.until("the end of the run", lambda: lease_holder(stack.loop) is None)
    assert sorted(record.manifest.batch for record in stack.loop.ledger.all(Batch)) == batches
    (request,) = stack.loop.ledger.all(Request)
    assert request.source == "first"
    stack.consistent()


def test_a_person_asks_from_the_airflow_page(stack: Stack, tmp_path: Path) -> None:
    """In a real browser: log in, open the form, give a reason, press Trigger."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{stack.addresses.airflow}/dags/retrain_model")
        page.locator('input[name="username"]').fill("admin")
        page.locator('input[name="password"]').fill(_password(stack.home))
        page.keyboard.press("Enter")
        page.wait_for_url("**/dags/retrain_model*")
        page.get_by_role("button", name="Trigger").first.click()
        page.locator('[name="element_reason"]').fill("is there a better one?")
        page.screenshot(path=str(tmp_path / "form.png"))
        page.get_by_role("button", name="Trigger").last.click()
        stack.until("a request", lambda: stack.loop.ledger.all(Request, source="ui"), seconds=60)
        browser.close()
    (request,) = stack.loop.ledger.all(Request, source="ui")
    assert request.reason == "is there a better one?"
    stack.until("an answer", lambda: stack.loop.ledger.get(Answer, request.key))
    answer = stack.loop.ledger.require(Answer, request.key)
    assert (answer.action, "no newer model of all is there" in answer.reason) == ("SKIP", True), answer
    stack.until("the end of the run", lambda: stack.state("retrain_model", request.episode) == "success")


def _password(home: Path) -> str:
    import json

    return str(json.loads(config.passwords_file(home).read_text())["admin"])


def test_the_service_follows_the_promotion_without_a_restart(stack: Stack) -> None:
    service = stack.addresses.service
    stack.until(
        "the service to be ready", lambda: requests.get(f"{service}/readyz", timeout=10).ok, seconds=60
    )
    week = playground.thin(playground.weeks()[START], rows=50)
    fields = ["row_id", "event_time", *stack.loop.params.data.features]
    rows = week[fields].astype(object).where(week[fields].notna(), None)
    rows["event_time"] = [time.isoformat() for time in week["event_time"]]
    answer = requests.post(f"{service}/predict", json={"rows": rows.to_dict("records")}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert [prediction["version"] for prediction in answer.json()["predictions"]] == ["1"] * len(rows)


def test_batches_landed_within_one_second_are_all_measured_and_a_killed_training_goes_on(
    stack: Stack,
) -> None:
    """SIGKILL to whatever trains: the task is tried again, and nothing is twice or half."""
    begun = time.monotonic()
    batches = playground.land_weeks(stack.loop, range(START, START + 4))
    assert time.monotonic() - begun < 5
    for batch in batches:  # one after the other: on SQLite, triggers at the same instant block each other
        stack.airflow.trigger("ingest_batch", {"batch": batch}, run_id=batch)
    stack.until("training", lambda: _trainers(stack.home), seconds=240)
    for process in _trainers(stack.home):
        os.kill(process.pid, signal.SIGKILL)

    def measured(kind: type[Measurement] | type[Observation]) -> set[str]:
        return {fact.batch for fact in stack.loop.ledger.all(kind)}

    stack.until("measurements", lambda: measured(Measurement) >= set(batches), seconds=600)
    stack.until("drift", lambda: measured(Observation) >= set(batches), seconds=600)
    stack.until("rest", lambda: not queries.waiting_requests(stack.loop.ledger), seconds=400)
    stack.until("no run in progress", lambda: lease_holder(stack.loop) is None, seconds=400)
    stack.consistent()
    assert len(stack.loop.ledger.keys(Version)) == len(stack.loop.registry.stages(stack.loop.model))


def _trainers(home: Path) -> list[psutil.Process]:
    trainers = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[-3:] == ["-m", "trimtab", "measure"] and process.environ().get("TRIMTAB_HOME") == str(
            home
        ):
            trainers.append(process)
    return trainers
