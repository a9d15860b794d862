import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.stack.test_config import TREE
from trimtab.errors import StoreUnreachable
from trimtab.settings import Ports
from trimtab.stack import airflow_api, config


def test_an_airflow_that_does_not_run_is_named_with_its_variable():
    api = airflow_api.AirflowApi("http://127.0.0.1:9", "admin", "secret")
    with pytest.raises(StoreUnreachable, match="Airflow at http://127.0.0.1:9 .*TRIMTAB_AIRFLOW_PORT"):
        api.get("/api/v2/dags")


def test_a_client_knows_the_ports_of_the_environment_before_the_first_start(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_AIRFLOW_PORT", "18080")
    config.environment(tmp_path, Ports(airflow=18080, tasks=18081, mlflow=15000, service=18000), TREE)
    assert airflow_api.connect(tmp_path).url == "http://127.0.0.1:18080"


@pytest.fixture
def locked() -> Iterator[str]:
    """An Airflow whose database is locked at the first trigger, although the run was written."""
    answers = iter([500, 409])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = 200 if self.path == "/auth/token" else next(answers)
            body = json.dumps({"access_token": "token"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_trigger_that_met_a_locked_database_is_retried(locked):
    api = airflow_api.AirflowApi(locked, "admin", "secret")
    assert api.trigger("ingest_batch", run_id="2013-W09") == "2013-W09"
