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
from trimtab.ledger import Batch, Judgement, Observation, Request, Version, state
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
        """One version in Production, and every version in Staging has an open judgement."""
        loop = self.loop
        assert len(self.in_production()) == 1
        assert set(loop.registry.in_stage(loop.model, "Staging")) <= state.under_judgement(
            loop.ledger.all(Judgement)
        )
        assert unfinished(loop.ledger) == []


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


def test_landed_batches_are_taken_in_by_the_dag(stack: Stack) -> None:
    batches = playground.land_weeks(stack.loop, range(START))
    stack.airflow.trigger("ingest_batch", {}, run_id="start")
    stack.until("ingest", lambda: len(stack.loop.ledger.all(Batch)) == START)
    assert sorted(record.manifest.batch for record in stack.loop.ledger.all(Batch)) == batches
    assert requests.get(f"{stack.addresses.service}/readyz", timeout=10).status_code == 503


def test_a_person_retrains_from_the_airflow_page(stack: Stack, tmp_path: Path) -> None:
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
        page.locator('[name="element_reason"]').fill("the first model, by hand")
        page.screenshot(path=str(tmp_path / "form.png"))
        page.get_by_role("button", name="Trigger").last.click()
        stack.until("a request", lambda: stack.loop.ledger.all(Request), seconds=60)
        browser.close()
    (record,) = stack.loop.ledger.all(Request)
    assert (record.source, record.reason) == ("ui", "the first model, by hand")
    stack.until("a promotion", lambda: stack.in_production() == ["2"])
    stack.until("the end of the run", lambda: stack.state("retrain_model", record.episode) == "success")
    stack.consistent()


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
    assert [prediction["version"] for prediction in answer.json()["predictions"]] == ["2"] * len(rows)


def test_five_batches_landed_within_one_second_are_all_monitored(stack: Stack) -> None:
    begun = time.monotonic()
    batches = playground.land_weeks(stack.loop, range(START, START + 5))
    assert time.monotonic() - begun < 5
    for batch in batches:  # one after the other: on SQLite, triggers at the same instant block each other
        stack.airflow.trigger("ingest_batch", {"batch": batch}, run_id=batch)

    def monitored() -> set[str]:
        return {record.batch for record in stack.loop.ledger.all(Observation)}

    stack.until("five observations", lambda: monitored() >= set(batches), seconds=400)


def test_a_retraining_killed_in_the_middle_goes_on_when_cleared(stack: Stack) -> None:
    """SIGKILL to whatever trains; the task fails or retries, and is cleared; nothing is twice or half."""
    stack.until("rest", lambda: lease_holder(stack.loop) is None, seconds=400)
    taken = START + 5
    for batch in playground.land_weeks(
        stack.loop, range(taken, taken + 2)
    ):  # which a new champion has not seen
        stack.airflow.trigger("ingest_batch", {"batch": batch}, run_id=batch)
    stack.until("ingest", lambda: len(stack.loop.ledger.all(Batch)) == taken + 2)
    stack.airflow.trigger("retrain_model", {"reason": "to be killed", "force": True}, run_id="killed")
    stack.until("training", lambda: _trainers(stack.home), seconds=120)
    for process in _trainers(stack.home):
        os.kill(process.pid, signal.SIGKILL)
    stack.until(
        "the end", lambda: stack.state("retrain_model", "killed") in ("success", "failed"), seconds=400
    )
    if stack.state("retrain_model", "killed") == "failed":
        stack.airflow.post(
            "/api/v2/dags/retrain_model/clearTaskInstances",
            {"dag_run_id": "killed", "dry_run": False, "only_failed": True},
        )
        stack.until("success", lambda: stack.state("retrain_model", "killed") == "success", seconds=400)
    stack.consistent()
    assert len(stack.loop.ledger.keys(Version)) == len(stack.loop.registry.stages(stack.loop.model))


def _trainers(home: Path) -> list[psutil.Process]:
    trainers = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[-3:] == ["-m", "trimtab", "train"]:
            with_home = process.environ().get("TRIMTAB_HOME")
            if with_home == str(home):
                trainers.append(process)
    return trainers
