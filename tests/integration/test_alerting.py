"""From a figure to a retraining and back, through real servers: the stack, Prometheus and Alertmanager.

One start serves all of it, in the order of the file: an alert in a storm of deliveries asks for the first champion, then
drifted weeks land, Prometheus fires, and the champion is replaced.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import requests

from examples.flights import traffic
from tests.integration.test_requests import FIRED
from tests.support import dashboards, monitoring, playground
from tests.support.ledger import lease_holder
from tests.support.moments import SMALL
from tests.support.monitoring import Prometheus
from tests.support.waiting import until
from trimtab import settings
from trimtab.ledger import Alert, Answer, Batch, Measurement, Request, Run, RunEnd, Version
from trimtab.ledger.queries import to_production, waiting_requests
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop
from trimtab.ops.doctor import clocks, services
from trimtab.stack import airflow_api, config, control, supervision

THREADS, DELIVERIES = 8, 100
SETTINGS = SMALL | {
    "train__start_batches": 6,
    "trigger__regret": 100.0,  # only an alert asks for another champion: the loop's own policy would be quicker
    "trigger__max_age_batches": 100,
}
STORM = {"version": "4", "alerts": [FIRED | {"labels": {"alertname": "Storm", "team": "delays"}}]}


@dataclass(frozen=True)
class Site:
    """A stack that is healthy, its loop, and the Prometheus that watches it."""

    home: Path
    loop: Loop
    api: airflow_api.AirflowApi
    prometheus: Prometheus

    @property
    def receiver(self) -> str:
        """Where alerts are taken in."""
        return f"{control.addresses(self.home).airflow}/trimtab/prometheus/alerts"

    @property
    def token(self) -> dict[str, str]:
        """The header that the stack's secret makes."""
        secret = config.alerts_token_file(self.home).read_text()
        return {"Authorization": f"Bearer {secret}"}

    def api_server(self) -> int:
        """The process id of the API server."""
        state = supervision.load(self.home)
        assert state is not None
        return int(state.call("getProcessInfo", "airflow-api-server")["pid"])

    def take_in(self, numbers: range) -> None:
        """Land weeks, and let Airflow take them in."""
        have = len(self.loop.ledger.all(Batch))
        playground.land_weeks(self.loop, numbers)
        self.api.trigger("ingest_batch", run_id=f"weeks-{numbers.start}")
        until(lambda: len(self.loop.ledger.all(Batch)) == have + len(numbers), "the batches", seconds=180)

    def deployed(self, count: int) -> Run:
        """Wait until so many versions were deployed, and return the run that deployed the last of them."""
        ledger = self.loop.ledger
        until(lambda: len(to_production(ledger)) >= count, f"deployment {count}", seconds=420)
        key = to_production(ledger)[count - 1].key.removesuffix(":promote")
        until(lambda: ledger.get(RunEnd, key) and lease_holder(self.loop) is None, "the end of the run")
        return ledger.require(Run, key)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("alerting")
    home = folder / "var"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in playground.environment(home).items():
            patch.setenv(name, value)
        playground.use_free_ports(patch)
        tree = playground.tree(folder / "tree", **SETTINGS)
        initialise(tree)
        control.start(home, tree)
        try:
            addresses = control.addresses(home)
            patch.setenv("MLFLOW_TRACKING_URI", addresses.mlflow)
            control.wait_healthy(home, timeout=240)
            token = config.alerts_token_file(home)
            with monitoring.running(
                folder / "deploy", service=addresses.service, airflow=addresses.airflow, token=token
            ) as prometheus:
                yield Site(home, playground.opened(), airflow_api.connect(home), prometheus)
        finally:
            control.stop(home)


def test_wrong_calls_are_refused_and_take_no_worker_down(site):
    before = site.api_server()

    def post(body: bytes, **headers: str) -> int:
        return requests.post(site.receiver, data=body, headers=site.token | headers, timeout=30).status_code

    assert post(b"{}", Authorization="") == 401
    assert post(b"{}", Authorization="Bearer guessed") == 403
    assert post(b"{") == 400
    assert post(b'{"version": "5", "alerts": []}') == 422
    assert post(b"[" * 500_000) == 400
    assert post(b'{"pad": "' + b"x" * 2_000_000 + b'"}') == 413
    assert site.api_server() == before
    assert site.loop.ledger.all(Request) == []


def test_doctor_hears_from_all_of_it(site, monkeypatch):
    alertmanagers = until(
        lambda: site.prometheus.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"], "Alertmanager"
    )
    addresses = control.addresses(site.home)
    monkeypatch.setenv("TRIMTAB_PROMETHEUS_URL", site.prometheus.url)
    monkeypatch.setenv("TRIMTAB_ALERTMANAGER_URL", alertmanagers[0]["url"].removesuffix("/api/v2/alerts"))
    monkeypatch.setenv("TRIMTAB_AIRFLOW_URL", addresses.airflow)
    where = settings.read()
    parts = services.airflow(where.require("airflow_url")).removesuffix(" healthy").split(", ")
    assert {"metadatabase", "scheduler", "dag_processor"} <= set(parts)
    assert services.alertmanager(where.require("alertmanager_url")) == "calls the loop's receiver"
    until(
        lambda: re.fullmatch(r"\d\d alerts, 2 targets", str(services.prometheus(site.prometheus.url))),
        "the targets of Prometheus",
    )
    assert clocks.clock(where).startswith("agrees with MLflow, TRIMTAB_AIRFLOW_URL, TRIMTAB_PROMETHEUS_URL")


def test_100_deliveries_around_a_killed_api_server_make_one_deployment(site):
    killed, halfway = site.api_server(), threading.Barrier(THREADS + 1)
    answers: list[dict[str, list[str]]] = []

    def deliver(number: int) -> None:
        for count in range(number, DELIVERIES, THREADS):
            answers.append(until(lambda: _delivered(site), "a delivery", seconds=120))
            if count // THREADS == 2:
                halfway.wait(120)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    halfway.wait(120)
    os.kill(killed, signal.SIGKILL)
    for thread in threads:
        thread.join(180)
    assert len(answers) == DELIVERIES
    assert site.api_server() != killed

    (request,) = site.loop.ledger.all(Request)
    site.take_in(range(6))
    run = site.deployed(1)
    assert (request.source, run.request) == ("alert", request.key)
    assert len(to_production(site.loop.ledger)) == len(site.loop.ledger.all(Run)) == 1
    assert site.loop.ledger.require(Answer, request.key).action == "DEPLOY"


def test_the_labels_of_the_alert_are_on_the_mlflow_run(site):
    from mlflow import MlflowClient

    champion = site.loop.champion()
    assert champion is not None
    version = site.loop.ledger.require(Version, champion.version)
    tags = MlflowClient(site.loop.stores.mlflow).get_run(version.training.run_id).data.tags
    assert tags["trimtab.source"] == "alert"
    assert tags["trimtab.alert.team"] == "delays"


def test_a_drifted_figure_fires_deploys_and_resolves(site, monkeypatch, capsys):
    loop, model = site.loop, site.loop.model
    before = loop.champion()
    monkeypatch.setattr(playground, "thin", _drifted(playground.thin))
    site.take_in(range(6, 10))
    until(lambda: site.prometheus.firing("TrimtabPerformanceLow"), "the alert", seconds=300)
    run = site.deployed(2)  # perhaps after some batches: no fresh model has seen what the first one shows
    request = loop.ledger.require(Request, run.request)
    labels = request.labels
    assert (request.source, labels["action"], labels["model"]) == ("alert", "retrain", model)
    assert "docs/how-to/runbooks.md#trimtab" in request.links["runbook"]

    after = loop.champion()
    assert after is not None and before is not None
    assert after.version != before.version
    until(lambda: not site.prometheus.firing("TrimtabPerformanceLow"), "the end of the alert", seconds=180)
    fingerprint = request.episode.split(":")[0]
    until(
        lambda: loop.ledger.last(Alert, prefix=fingerprint).status == "resolved", "the alert to be resolved"
    )
    assert waiting_requests(loop.ledger) == []

    deployments = len(to_production(loop.ledger))
    until(lambda: _value(site, "trimtab_promotions_total") == deployments, "the metric of deployments")
    assert _value(site, 'trimtab_decisions_total{action="DEPLOY"}') == deployments
    assert _value(site, "trimtab_retraining_seconds_count") >= deployments
    measured = max(each.at for each in loop.ledger.all(Measurement) if each.at <= request.at)
    airflow_run = site.api.get(f"/api/v2/dags/retrain_model/dagRuns/{run.holder}")
    started = datetime.fromisoformat(airflow_run["start_date"])
    promoted = to_production(loop.ledger)[1].at
    alert = loop.ledger.last(Alert, prefix=fingerprint)
    with capsys.disabled():
        print(
            f"\nmeasured, then after {_after(measured, request.at)} in the ledger as a request, after "
            f"{_after(measured, started)} a DAG run, after {_after(measured, run.at)} decided, after "
            f"{_after(measured, promoted)} deployed, after {_after(measured, alert.ends_at)} resolved"
        )
    assert (started - measured).total_seconds() < 60


def test_every_panel_of_the_dashboards_shows_series(site):
    service = control.addresses(site.home).service
    client = traffic.Client(service, site.loop.params)
    frame = playground.thin(playground.weeks()[0]).head(20).assign(carrier="new")
    for number in range(len(frame)):  # over some scrapes: a rate has two points
        assert len(client.predict(frame.iloc[[number]])) == 1
        time.sleep(0.3)
    expressions = [
        expression
        for path in dashboards.PATHS
        for expression in dashboards.expressions(path)
        if "trimtab_batch_loss_limit" not in expression  # eight scored batches give the first one
    ]
    assert len(expressions) > 45
    for _ in range(20):
        missing = [expression for expression in expressions if not site.prometheus.range(expression)]
        if not missing:
            break
        time.sleep(2)
    assert missing == []


def test_the_api_server_keeps_no_files_open(site):
    assert psutil.Process(site.api_server()).num_fds() < 150


def _value(site: Site, series: str) -> float:
    (sample,) = site.prometheus.query(series)
    return float(sample["value"][1])


def _delivered(site: Site) -> dict[str, list[str]] | None:
    """Deliver once, as Alertmanager does: what is not answered with a 2xx is sent again."""
    try:
        answer = requests.post(site.receiver, json=STORM, headers=site.token, timeout=30)
    except requests.ConnectionError:
        return None
    return answer.json() if answer.ok else None


def _drifted(thin):
    """From now on every flight after noon is late."""

    def drifted(week, rows=playground.ROWS):
        frame = thin(week, rows)
        labelled = frame["label"].notna()
        return frame.assign(label=frame["label"].mask(labelled & (frame["sched_hour"] >= 12), 1))

    return drifted


def _after(begin: datetime, end: datetime) -> str:
    return f"{(end - begin).total_seconds():.1f} s"
