"""The whole stack, really started: slow, so that one start serves all of it; the last test stops it."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import psutil
import pytest
import requests
from playwright.sync_api import expect

from tests.support import playground
from tests.support.airflow import patch, run_state, task_states
from tests.support.browser import visit
from tests.support.ledger import lease_holder
from tests.support.moments import SMALL
from tests.support.waiting import until
from trimtab.errors import CommandFailed, Unfit
from trimtab.ledger import Answer, Question, Run
from trimtab.loop.initialise import initialise
from trimtab.stack import airflow_api, config, control, supervision


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a stack that is healthy."""
    folder = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in playground.environment(folder / "var").items():
            patch.setenv(name, value)
        playground.use_free_ports(patch)
        patch.setenv("TRIMTAB_BACKUPS", str(folder / "backups"))
        asking = SMALL | {"gate__ask": "promotion", "gate__ask_minutes": 0.5}
        tree = playground.tree(folder / "tree", **asking)
        initialise(tree)
        control.start(folder / "var", tree)
        try:
            control.wait_healthy(folder / "var", timeout=240)
            yield folder / "var"
        finally:
            control.stop(folder / "var")


def test_every_server_answers_where_the_addresses_say(home):
    addresses = control.addresses(home)
    assert requests.get(f"{addresses.mlflow}/health", timeout=10).text == "OK"
    assert requests.get(f"{addresses.service}/healthz", timeout=10).status_code == 200
    assert "<title>Airflow" in requests.get(addresses.airflow, timeout=10).text


def test_the_status_names_addresses_password_file_and_processes(home):
    text, addresses = control.status(home), control.addresses(home)
    assert all(
        address in text
        for address in (addresses.airflow, addresses.mlflow, addresses.service, str(addresses.passwords))
    )
    assert "airflow-scheduler running" in text


def test_airflow_knows_all_dags_and_none_is_paused(home):
    dags = airflow_api.connect(home).get("/api/v2/dags")["dags"]
    paused = {dag["dag_id"]: dag["is_paused"] for dag in dags}
    assert paused == dict.fromkeys(
        (
            "back_up_stores",
            "gather_batches",
            "ingest_batch",
            "monitor_model",
            "retrain_model",
            "rollback_model",
            "sweep",
        ),
        False,
    )


def test_a_backup_is_taken_where_the_environment_says(home):
    assert _run(home, "back_up_stores", {"keep": 2}) == "success"
    (taken,) = (home.parent / "backups").iterdir()
    assert {"ledger", "mlflow", "origin.git", "manifest.json"} <= {path.name for path in taken.iterdir()}


def test_a_sweep_of_an_empty_loop_wakes_nobody(home):
    assert _run(home, "sweep", {}) == "success"
    assert task_states(airflow_api.connect(home), "sweep", "test") == {
        "reconcile": "success",
        "waiting": "success",
        "wake_monitor": "skipped",
        "wake_retrain": "skipped",
    }


def test_the_same_run_id_triggers_once(home):
    assert airflow_api.connect(home).trigger("sweep", run_id="test") == "test"


def test_a_retraining_that_nobody_gave_a_reason_for_fails_at_once(home):
    assert _run(home, "retrain_model", {"dry_run": True}) == "failed"
    assert task_states(airflow_api.connect(home), "retrain_model", "test")["arbitrate"] == "failed"


def test_a_rollback_that_cannot_be_fails_at_once_and_says_why(home):
    assert _run(home, "rollback_model", {"reason": "complaints"}) == "failed"
    assert task_states(airflow_api.connect(home), "rollback_model", "test") == {
        "reconcile": "success",
        "rollback": "failed",
    }


def test_a_window_of_no_batches_is_refused(home):
    with pytest.raises(CommandFailed, match="0 is less than the minimum of 1"):
        airflow_api.connect(home).trigger("retrain_model", {"window_batches": 0}, run_id="wrong")


def test_a_viewer_triggers_nothing(home):
    with pytest.raises(CommandFailed, match="403"):
        airflow_api.connect(home, "viewer").trigger("sweep", run_id="viewed")


def test_the_health_page_stands_in_airflow_and_says_how_to_begin(home):
    with visit(home, "/plugin/model-health") as visited:
        page = visited.page.frame_locator("iframe")
        # The first page of an API server imports what it needs, on a machine with two busy cores.
        first = "0 of the 4 batches of train.start_batches"
        expect(page.locator("#champion")).to_contain_text(first, timeout=60_000)
        expect(visited.page.get_by_role("link", name="Model health")).to_be_visible()
        assert (visited.errors, visited.foreign) == ([], [])


@pytest.mark.parametrize(
    ("path", "token", "status", "said"),
    [
        ("health", None, 307, ""),
        ("evidence?request=ui:a", None, 307, ""),
        ("health", "forged", 403, "Airflow refused: Invalid JWT token."),
        (
            "health?last=0",
            "admin",
            422,
            "Expected a number of newest batches from 1 to 520 as last, got &#39;0&#39;",
        ),
        ("health?last=all", "admin", 422, "got &#39;all&#39;"),
        ("evidence?request=ui:a", "admin", 404, "Expected the key of a request whose answer holds evidence"),
        ("health", "viewer", 200, "No batch has come in yet."),
    ],
)
def test_the_health_page_asks_who_comes_and_says_what_is_wrong(home, path, token, status, said):
    answer = _health(home, path, token)
    assert (answer.status_code, answer.headers["Cache-Control"] if said else None) == (
        status,
        "no-store" if said else None,
    )
    assert said in answer.text
    if status == 307:
        login = f"/api/v2/auth/login?next={quote(f'/trimtab/{path}', safe='')}"
        assert answer.headers["Location"] == login


def test_a_person_is_asked_on_the_page_and_the_default_counts_when_nobody_answers(home):
    api, loop = airflow_api.connect(home), playground.opened()
    playground.land_weeks(loop, range(4))
    api.trigger("ingest_batch", run_id="four")
    until(lambda: loop.ledger.all(Question), "the first model to be asked about", seconds=300, every=1)
    (run,) = loop.ledger.all(Run)
    detail = _asked(api, run.holder)
    assert detail["subject"] == f"Deploy the newest model of {loop.model}? no version is in Production"
    assert "first model: it loses" in detail["body"]
    assert (detail["options"], detail["defaults"]) == (["promote", "keep"], ["keep"])
    assert lease_holder(loop) is None
    _ended(api, "retrain_model", run.holder, "success")
    answer = loop.ledger.require(Answer, run.request)
    assert (answer.action, answer.reason.partition(":")[0]) == (
        "SKIP",
        "kept by default, because nobody answered",
    )
    assert loop.registry.in_stage(loop.model, "Production") == []

    api.trigger("retrain_model", {"reason": "again"}, run_id="answered")
    _asked(api, "answered")
    # An answer before the executor's own "ended" is taken for a task that died, which Airflow tries again: it asks once more.
    time.sleep(5)
    patch(
        api,
        f"{_PLACE}/answered/taskInstances/wait_for_answer/-1/hitlDetails",
        {"chosen_options": ["promote"]},
    )
    _ended(api, "retrain_model", "answered", "success")
    deployed = loop.ledger.require(Answer, "ui:answered")
    assert deployed.reason.startswith("approved by admin: first model: "), deployed
    assert loop.registry.in_stage(loop.model, "Production") == [deployed.version]


_PLACE = "/api/v2/dags/retrain_model/dagRuns"


def _asked(api: airflow_api.AirflowApi, run_id: str) -> dict[str, object]:
    """Wait until the run asks; return what the page shows."""
    until(
        lambda: task_states(api, "retrain_model", run_id).get("wait_for_answer")
        in ("awaiting_input", "deferred"),
        "the question",
        seconds=180,
        every=1,
    )
    return api.get(f"{_PLACE}/{run_id}/taskInstances/wait_for_answer/-1/hitlDetails")


def test_an_admin_rolls_back_from_the_health_page(home):
    api = airflow_api.connect(home)
    with visit(home, "/trimtab/health") as visited:
        form = visited.page.locator('form[data-dag="rollback_model"]')
        form.get_by_label("because").fill("complaints from the page")
        form.get_by_role("button", name="Roll back").click()
        expect(form.locator("output")).to_have_text("Started. See the run")
        link = form.get_by_role("link").get_attribute("href")
        assert (visited.errors, visited.foreign) == ([], [])
    run = api.get(f"/api/v2/dags/rollback_model/dagRuns/{unquote(link.rpartition('/')[2])}")
    assert run["conf"] == {"version": None, "reason": "complaints from the page"}
    assert run["triggering_user_name"] == "admin"
    _ended(api, "rollback_model", run["dag_run_id"], "success", "failed")


def test_a_viewer_is_refused_by_airflow_and_told_so(home):
    before = airflow_api.connect(home).get("/api/v2/dags/retrain_model/dagRuns")["total_entries"]
    with visit(home, "/trimtab/health", "viewer") as visited:
        form = visited.page.locator('form[data-dag="retrain_model"]')
        form.get_by_label("because").fill("curiosity")
        assert (visited.errors, visited.foreign) == ([], [])
        form.get_by_role("button", name="Retrain").click()
        expect(form.locator("output")).to_contain_text("Airflow refused: your user may not trigger this DAG.")
    assert airflow_api.connect(home).get("/api/v2/dags/retrain_model/dagRuns")["total_entries"] == before


def test_a_button_needs_a_reason(home):
    with visit(home, "/trimtab/health") as visited:
        visited.page.get_by_role("button", name="Retrain").click()
        visited.page.keyboard.press("Escape")
        assert visited.page.locator('form[data-dag="retrain_model"] output').text_content() == ""


def test_without_its_ledger_the_health_page_says_what_to_check_and_comes_back(home):
    files = [home / f"ledger.db{end}" for end in ("", "-wal", "-shm") if (home / f"ledger.db{end}").exists()]
    for file in files:
        file.rename(file.with_name(f"kept-{file.name}"))
    (home / "ledger.db").mkdir()
    try:
        answer = _health(home, "health", "admin")
    finally:
        (home / "ledger.db").rmdir()
        for file in files:
            file.with_name(f"kept-{file.name}").rename(file)
    assert answer.status_code == 503
    assert "Check that it runs and that TRIMTAB_LEDGER_URL names it" in answer.text
    assert _health(home, "health", "admin").status_code == 200


def test_a_second_start_leaves_the_first_alone(home):
    before = _members(home)
    assert control.start(home, playground.ROOT) == control.addresses(home)
    assert before <= _members(home)


def test_a_second_stack_on_the_same_ports_is_refused_before_anything_starts(home, tmp_path):
    with pytest.raises(Unfit, match=r"Port \d+ is in use .*TRIMTAB_AIRFLOW_PORT"):
        control.start(tmp_path / "other", playground.ROOT)
    assert not (tmp_path / "other").exists()


def test_a_process_that_dies_is_started_again(home):
    state = supervision.load(home)
    assert state is not None
    died = state.call("getProcessInfo", "service")["pid"]
    os.kill(died, signal.SIGKILL)
    until(lambda: state.call("getProcessInfo", "service")["pid"] not in (0, died), "a new service")


def test_stopping_leaves_no_process(home):
    members = _members(home)
    assert len(members) > 5
    control.stop(home)
    assert not control.running(home)
    assert [pid for pid in members if _alive(pid)] == []
    assert [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(home) in " ".join(process.info["cmdline"] or ())
    ] == []


def _health(home: Path, path: str, user: str | None) -> requests.Response:
    """Ask for the page with a user's token, or one that nobody made."""
    airflow, passwords = control.addresses(home).airflow, json.loads(config.passwords_file(home).read_text())
    token = user
    if user in passwords:
        login = {"username": user, "password": passwords[user]}
        token = requests.post(f"{airflow}/auth/token", json=login, timeout=10).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(f"{airflow}/trimtab/{path}", headers=headers, timeout=30, allow_redirects=False)


def _run(home: Path, dag: str, conf: dict[str, object]) -> str:
    api = airflow_api.connect(home)
    api.trigger(dag, conf, run_id="test")
    _ended(api, dag, "test", "success", "failed", seconds=60)
    return run_state(api, dag, "test")


def _ended(api: airflow_api.AirflowApi, dag: str, run_id: str, *states: str, seconds: float = 120) -> None:
    until(lambda: run_state(api, dag, run_id) in states, f"the end of {dag}", seconds=seconds, every=1)


def _members(home: Path) -> set[int]:
    state = supervision.load(home)
    assert state is not None and state.session is not None
    return set(state.session.members())


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
