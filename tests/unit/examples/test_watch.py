"""Waiting for the loop, against a server with the parts of Airflow's REST API that are read."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from examples.flights import watch
from examples.flights.progress import Progress
from examples.flights.watch import Watch
from trimtab.clock import system_clock
from trimtab.errors import RunFailed
from trimtab.stack.airflow_api import AirflowApi


class Airflow:
    """The state of the server."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.cleared: list[dict[str, Any]] = []
        self.url = ""

    def clear(self, **_: str) -> dict[str, Any]:
        self.cleared.append(request.get_json())
        return {}

    def run(self, state: str, run_id: str = "r1") -> None:
        self.runs.append({"dag_id": "retrain_model", "dag_run_id": run_id, "state": state})

    def event(self, *, created: list[str], asset: int = 1, age: timedelta = timedelta(0)) -> None:
        at = (system_clock() - age).isoformat()
        self.events.append({"asset_id": asset, "created_dagruns": created, "timestamp": at})

    def task(self, task: str, seconds: float | None, state: str = "success") -> None:
        self.tasks.append({"dag_id": "retrain_model", "task_id": task, "duration": seconds, "state": state})


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    state, app = Airflow(), Flask("airflow")

    def page(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        selected = [row for row in rows if request.args.get("state") in (None, row["state"])]
        offset, limit = int(request.args["offset"]), int(request.args["limit"])
        return selected[offset : offset + limit]

    with_listener = {"id": 1, "scheduled_dags": [{"dag_id": "monitor_model"}]}
    without = {"id": 2, "scheduled_dags": []}
    answers = {
        "/api/v2/dags/~/dagRuns": lambda: {"dag_runs": page(state.runs)},
        "/api/v2/dags/<_>/dagRuns/<__>/taskInstances": lambda **_: {"task_instances": page(state.tasks)},
        "/api/v2/assets": lambda: {"assets": [with_listener, without]},
        "/api/v2/assets/events": lambda: {"asset_events": state.events},
    }
    for path, answer in answers.items():
        app.add_url_rule(path, endpoint=path, view_func=answer)
    app.post("/api/v2/dags/<_>/clearTaskInstances")(state.clear)
    app.post("/auth/token")(lambda: {"access_token": "t"})
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def watching(airflow: Airflow, home: Path) -> Watch:
    return Watch(AirflowApi(airflow.url, "admin", "secret"), home, Progress())


def test_an_airflow_at_rest_is_quiet(airflow, tmp_path):
    airflow.run("success")
    airflow.event(created=["r1"])

    assert watching(airflow, tmp_path).quiet()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_active_run_is_not_quiet(airflow, tmp_path, state):
    airflow.run(state)

    assert not watching(airflow, tmp_path).quiet()


def test_an_event_that_has_not_yet_started_its_run_is_not_quiet(airflow, tmp_path):
    airflow.event(created=[])

    assert not watching(airflow, tmp_path).quiet()


def test_an_event_that_nobody_listens_to_is_quiet(airflow, tmp_path):
    airflow.event(created=[], asset=2)

    assert watching(airflow, tmp_path).quiet()


def test_an_event_that_airflow_lost_is_ignored(airflow, tmp_path):
    airflow.event(created=[], age=timedelta(minutes=2))

    assert watching(airflow, tmp_path).quiet()


def test_a_failed_task_is_named_with_its_log(airflow, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_CHECK_SECONDS", 0.0)
    log = tmp_path / "logs" / "tasks" / "dag_id=retrain_model" / "run_id=r1" / "task_id=deploy"
    log.mkdir(parents=True)
    watching_it = watching(airflow, tmp_path)
    airflow.run("failed")
    airflow.task("deploy", 3.0, state="failed")

    with pytest.raises(RunFailed) as error:
        watching_it.until("an answer", lambda: None, seconds=20)

    assert str(error.value) == (
        f"Expected an answer, got task deploy of retrain_model failed in run r1. Look at {log}"
    )


def test_a_loop_that_rests_because_a_run_failed_is_a_failure(airflow, tmp_path):
    airflow.run("failed")

    with pytest.raises(RunFailed, match="task \\(none\\) of retrain_model failed in run r1"):
        watching(airflow, tmp_path).until("the loop to finish", lambda: True, seconds=20)


def test_failed_runs_are_cleared_before_a_demo_resumes(airflow, tmp_path):
    airflow.run("failed", "r1")
    airflow.run("success", "r2")

    assert watching(airflow, tmp_path).clear_failed() == ["retrain_model r1"]
    assert airflow.cleared == [
        {"dry_run": False, "dag_run_id": "r1", "only_failed": True, "reset_dag_runs": True}
    ]


def test_a_time_out_says_which_runs_are_active(airflow, tmp_path):
    airflow.run("running")

    with pytest.raises(RunFailed, match=r"nothing within 0 s \(active: retrain_model running\)"):
        watching(airflow, tmp_path).until("an answer", lambda: None, seconds=0)


def test_task_times_are_summed_over_all_pages(airflow, tmp_path):
    for seconds in range(150):
        airflow.task("deploy", float(seconds))
    airflow.task("deploy", None)

    (times,) = watching(airflow, tmp_path).task_times(datetime(2026, 1, 1, tzinfo=UTC))

    assert (times.runs, times.mean_seconds, times.max_seconds) == (150, 74.5, 149.0)
