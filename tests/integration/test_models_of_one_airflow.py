"""Two models in one real Airflow: an origin and a home each, one ledger and one MLflow for both."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.integration.test_celery import FIVE_MINUTES, Cluster, knows
from tests.integration.test_requests import FIRED
from tests.support import playground
from tests.support.airflow import patch, reparse, task_states
from tests.support.ledger import decisions
from tests.support.moments import SMALL
from tests.support.waiting import free_port, until
from trimtab import settings
from trimtab.ledger import Batch, Request, state
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop
from trimtab.settings import Ports
from trimtab.stack import config
from trimtab.stack.airflow_api import AirflowApi

pytestmark = pytest.mark.timeout(600)

MODELS = ("delay", "late")


@dataclass(frozen=True)
class Site:
    """An Airflow that runs, and the loops of its models."""

    url: str
    passwords: dict[str, str]
    secret: str
    folder: Path
    loops: dict[str, Loop]

    @property
    def api(self) -> AirflowApi:
        return AirflowApi(self.url, "admin", self.passwords["admin"])

    def page(self, path: str, user: str = "viewer") -> requests.Response:
        """Ask for a page with a user's token."""
        login = {"username": user, "password": self.passwords[user]}
        token = requests.post(f"{self.url}/auth/token", json=login, timeout=60).json()["access_token"]
        there = f"{self.url}/trimtab/{path}"
        return requests.get(there, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def metrics(self) -> list[str]:
        there = f"{self.url}/trimtab/prometheus/metrics"
        return requests.get(there, headers=self._bearer, timeout=60).text.splitlines()

    def alert(self, *alerts: dict[str, object]) -> requests.Response:
        body = {"version": "4", "alerts": alerts}
        there = f"{self.url}/trimtab/prometheus/alerts"
        return requests.post(there, json=body, headers=self._bearer, timeout=60)

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def asked(self, model: str) -> list[str]:
        """Fingerprints of the alerts that became requests of a model."""
        requests = self.loops[model].ledger.all(Request)
        return [request.episode.split(":")[0] for request in requests if request.source == "alert"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("many")
    models, home, port = folder / "models", folder / "airflow", free_port()
    models.mkdir()
    ports = Ports(airflow=port, tasks=port, mlflow=free_port(), service=free_port())
    with pytest.MonkeyPatch.context() as patch:
        shared = playground.environment(home) | {
            "TRIMTAB_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
            "TRIMTAB_MODELS": str(models),
        }
        for name, value in shared.items():
            patch.setenv(name, value)
        environment = {
            **os.environ,
            **config.environment(home, ports, playground.ROOT),
            "MLFLOW_TRACKING_URI": shared["MLFLOW_TRACKING_URI"],
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        }
        loops = {model: _begun(folder, models, model) for model in MODELS}
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True)
        cluster = Cluster(home, environment)
        try:
            cluster.start("api", "api-server", "--port", str(port))
            cluster.start("dags", "dag-processor")
            cluster.start("scheduler", "scheduler", "--skip-serve-logs")
            passwords = config.passwords_file(home)
            secret = config.alerts_token_file(home).read_text()
            url = f"http://127.0.0.1:{port}"
            yield Site(url, json.loads(passwords.read_text()), secret, models, loops)
        finally:
            cluster.end()


def _begun(folder: Path, models: Path, model: str) -> Loop:
    """Write a model's file, and begin its loop by it."""
    file = models / f"{model}.env"
    values = {"TRIMTAB_HOME": str(folder / model), "TRIMTAB_MODEL": model}
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    with settings.for_model(values):
        initialise(playground.tree(folder / f"{model}-tree", **SMALL, model__name=model))
        return playground.opened()


def runs(api: AirflowApi, dag: str) -> list[dict[str, str]]:
    return list(api.get(f"/api/v2/dags/{dag}/dagRuns")["dag_runs"])


def test_a_task_works_on_its_own_model_alone(site: Site) -> None:
    first, second = (playground.weeks()[number].batch for number in (0, 1))
    playground.land_weeks(site.loops["delay"], [0])
    playground.land_weeks(site.loops["late"], [0, 1])
    for model in MODELS:
        dag = f"ingest_batch.{model}"
        until(lambda: knows(site.api, dag), f"Airflow to know {dag}", **FIVE_MINUTES)  # noqa: B023
        site.api.trigger(dag, run_id="one")
        patch(site.api, f"/api/v2/dags/{dag}", {"is_paused": False})
    for model in MODELS:
        dag = f"ingest_batch.{model}"
        until(
            lambda: {run["state"] for run in runs(site.api, dag)} <= {"success", "failed"},  # noqa: B023
            f"the runs of {model} to end",
            **FIVE_MINUTES,
        )
        # A scheduled run may come in between, and then one of the two finds nothing new to announce.
        states = [task_states(site.api, dag, run["dag_run_id"]) for run in runs(site.api, dag)]
        assert {state for each in states for state in each.values()} <= {"success", "skipped"}
        assert "success" in [each["announce"] for each in states]
    for model, batches in (("delay", [first]), ("late", [first, second])):
        loop = site.loops[model]
        assert [record.manifest.batch for record in state.batches_in_force(loop.ledger.all(Batch))] == batches
        origin = loop.origin.manifests(loop.origin.head())
        assert [record.batch for record in origin] == batches


def test_each_model_has_its_page_with_buttons_for_its_own_dags(site: Site) -> None:
    for model in MODELS:
        answer = site.page(f"health?model={model}")
        assert answer.status_code == 200, answer.text
        assert f"<title>{model}: model health</title>" in answer.text
        assert re.findall('data-dag="(.*?)"', answer.text) == [
            f"retrain_model.{model}",
            f"rollback_model.{model}",
        ]
        assert '<a href="?last=53&amp;model=late" data-reads' in answer.text
    assert "<title>delay: model health</title>" in site.page("health").text
    evidence = site.page("evidence?request=nothing&model=late")
    assert (evidence.status_code, "Expected the key of a request" in evidence.text) == (404, True)


def test_a_model_that_is_not_there_is_refused_with_those_that_are(site: Site) -> None:
    answer = site.page("health?model=<b>")
    assert answer.status_code == 404
    assert "Expected a model of delay, late, got &#39;&lt;b&gt;&#39;." in answer.text
    login = requests.get(f"{site.url}/trimtab/health?model=late", allow_redirects=False, timeout=60)
    there = "/api/v2/auth/login?next=%2Ftrimtab%2Fhealth%3Fmodel%3Dlate"
    assert (login.status_code, login.headers["Location"]) == (307, there)


def test_the_figures_of_both_come_in_one_answer(site: Site) -> None:
    text = site.metrics()
    for line in ('trimtab_batches_total{model="delay"} 1.0', 'trimtab_batches_total{model="late"} 2.0'):
        assert line in text
    declared = [line for line in text if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared)) > 20


def test_an_alert_is_a_request_of_its_model_and_wakes_its_dag_alone(site: Site) -> None:
    for model in MODELS:
        patch(site.api, f"/api/v2/dags/retrain_model.{model}", {"is_paused": False})
    answer = site.alert(
        *(_alert(*run) for run in (("aa", "late"), ("bb", "nobody"), ("cc", None), ("dd", "late")))
    )
    assert (answer.status_code, answer.json()["opened"]) == (422, ["aa", "dd"])
    assert answer.json()["detail"].startswith("Expected an alert with a label model of delay, late, got '")
    assert (site.asked("late"), site.asked("delay")) == (["aa", "dd"], [])
    again = site.alert(_alert("aa", "late"))
    assert (again.status_code, again.json()["joined"]) == (200, ["aa"])

    late, delay = "retrain_model.late", "retrain_model.delay"
    woken = "the run that the alert woke"
    until(lambda: [run for run in runs(site.api, late) if run["state"] == "success"], woken, **FIVE_MINUTES)
    assert {run["run_type"] for run in runs(site.api, late)} == {"asset_triggered"}
    assert runs(site.api, delay) == []
    assert {decision.action for decision in decisions(site.loops["late"].ledger)} == {"WAIT"}


def test_a_model_that_cannot_be_read_leaves_the_others_alone(site: Site) -> None:
    origin, moved = site.loops["delay"].stores.origin, site.folder.parent / "kept.git"
    Path(origin).rename(moved)
    try:
        time.sleep(3)  # the age that figures may have
        text = site.metrics()
        answer = site.alert(_alert("ee", "delay"), _alert("ff", "late"))
        page = site.page("health?model=delay")
    finally:
        moved.rename(origin)
    assert 'trimtab_model_read{model="delay"} 0.0' in text
    assert 'trimtab_batches_total{model="late"} 2.0' in text
    assert (answer.status_code, answer.json()["opened"]) == (503, ["ff"])
    assert (page.status_code, "TRIMTAB_ORIGIN_URL" in page.text) == (503, True)
    assert site.alert(_alert("ee", "delay")).json()["opened"] == ["ee"]


def test_a_wrong_file_is_told_by_the_page_and_the_receiver(site: Site) -> None:
    wrong = site.folder / "third.env"
    wrong.write_text("HOME=/srv\n")
    try:
        answers = site.page("health"), site.alert(_alert("gg", "late"))
    finally:
        wrong.unlink()
    for answer in answers:
        assert answer.status_code == 503
        assert "third.env:1: expected a TRIMTAB_ or MLFLOW_ variable of one model, got" in answer.text
    assert site.alert(_alert("gg", "late")).status_code == 200


def test_the_password_of_a_store_that_is_away_is_in_no_log_and_on_no_page(site: Site) -> None:
    home, away = site.folder.parent / "airflow", "admin:hunter2@127.0.0.1:9"
    file, dag = site.folder / "away.env", "ingest_batch.away"
    settings = {
        "TRIMTAB_HOME": str(site.folder.parent / "away"),
        "TRIMTAB_ORIGIN_URL": f"http://{away}/origin.git",
        "TRIMTAB_LEDGER_URL": f"postgresql://{away}/ledger",
        "MLFLOW_TRACKING_URI": f"http://{away}",
    }
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    try:
        reparse(site.api, "ingest_batch.delay")
        until(lambda: knows(site.api, dag), f"Airflow to know {dag}", **FIVE_MINUTES)
        site.api.trigger(dag, run_id="one")
        patch(site.api, f"/api/v2/dags/{dag}", {"is_paused": False})
        failed = "the first try to fail"
        until(lambda: "up_for_retry" in task_states(site.api, dag, "one").values(), failed, **FIVE_MINUTES)
        page = site.page("health?model=away")
    finally:
        file.unlink()
    logs = [path for path in home.rglob("*") if path.is_file() and b"127.0.0.1:9/" in path.read_bytes()]
    assert [path for path in logs if dag in str(path)], "no log of the task names the store"
    assert (page.status_code, "127.0.0.1:9/" in page.text, "hunter2" in page.text) == (503, True, False)
    assert [path for path in home.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == []


def _alert(fingerprint: str, model: str | None) -> dict[str, object]:
    labels = FIRED["labels"] | ({"model": model} if model else {})
    return FIRED | {"fingerprint": fingerprint, "labels": labels}
