"""The password of a store that is away: in no log, no file, no ledger row, no notice and no answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_requests import FIRED
from tests.support import playground
from trimtab.loop.loop import Loop

PASSWORD = b"hunter2"
AWAY = {
    "TRIMTAB_ORIGIN_URL": "http://admin:hunter2@127.0.0.1:9/origin.git",
    "TRIMTAB_DVC_REMOTE_URL": "http://admin:hunter2@127.0.0.1:9/data",
    "MLFLOW_TRACKING_URI": "http://admin:hunter2@127.0.0.1:9/mlflow",
    "TRIMTAB_LEDGER_URL": "postgresql://admin:hunter2@127.0.0.1:9/ledger",
    "TRIMTAB_PREDICTION_LOG_URL": "postgresql://admin:hunter2@127.0.0.1:9/log",
    "TRIMTAB_PREDICTION_LOG_URL ": "mongodb://admin:hunter2@127.0.0.1:9/log",
    "TRIMTAB_WEBHOOK_URL": "http://admin:hunter2@127.0.0.1:9/hook",
}
PROGRAM = """
import json, logging, sys, time
from starlette.testclient import TestClient
from trimtab.cli import app
for command in ("batch ingest", "loop reconcile", "model history", "batch quarantine list", "loop metrics", "ops doctor"):
    app(command.split(), standalone_mode=False)
import trimtab_alerts
with TestClient(trimtab_alerts.alerts_app, headers={"Authorization": "Bearer open sesame"}) as client:
    print(client.get("/metrics").text, client.post("/alerts", json=json.loads(sys.argv[1])).text)
from trimtab.serve.wsgi import application
client = application().test_client()
errors = "trimtab_reload_errors_total{model=\\"flight-delay\\",role=\\"champion\\"} "
patience = time.monotonic() + 60
while sys.argv[2] == "refused" and time.monotonic() < patience:
    if float(client.get("/metrics").text.partition(errors)[2].splitlines()[0]) > 1:
        break
    time.sleep(0.1)
for response in (client.get("/readyz"), client.post("/predict", json={}), client.get("/metrics")):
    print(response.status, response.text)
"""
"""A day of commands, the receiver of alerts and the service, in one process."""


@pytest.mark.parametrize("variable", AWAY)
def test_the_password_of_a_store_that_is_away_is_nowhere(
    variable: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # The service asks MLflow only for the model of a champion.
    loop: Loop = request.getfixturevalue("led" if variable == "MLFLOW_TRACKING_URI" else "loop")
    playground.land_weeks(loop, [4])
    before = holding_password(loop)  # sources in the checkouts of runs
    (loop.stores.landing / "broken.json").write_text("{}")
    (loop.stores.landing / "broken.parquet").write_bytes(b"")
    environment = {
        **os.environ,
        variable.strip(): AWAY[variable],
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "PYTHONPATH": os.pathsep.join((str(playground.ROOT / "plugins"), os.environ["PYTHONPATH"])),
        # pragma: allowlist nextline secret
        "TRIMTAB_ALERTS_TOKEN": "open sesame",
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
    }
    alerts = json.dumps({"version": "4", "alerts": [FIRED]})
    asks = "refused" if variable in ("MLFLOW_TRACKING_URI", "TRIMTAB_LEDGER_URL") else "answered"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, alerts, asks],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(done.stdout.decode())
    assert b"127.0.0.1:9" in done.stdout or b"TRIMTAB_WEBHOOK_URL did not accept the notice" in done.stdout
    assert PASSWORD not in done.stdout
    assert holding_password(loop) == before


def holding_password(loop: Loop) -> set[Path]:
    return {path for path in loop.stores.home.rglob("*") if path.is_file() and PASSWORD in path.read_bytes()}
