"""Airflow with CeleryExecutor on a real Redis and a real PostgreSQL: configuration alone makes the difference."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from tests.integration import playground
from tests.integration.moments import Site
from tests.integration.predictions.servers import Postgres, Server, free_port, running
from trimtab.errors import TrimtabError
from trimtab.stack import config
from trimtab.stack.airflow_api import AirflowApi
from trimtab.stack.ports import Ports
from trimtab.steps.loop import Loop

pytestmark = pytest.mark.timeout(600)

PATIENCE_SECONDS = 300
TRAINED_SECONDS = 3.0
"""Of a processor, after which the child has imported all and fits."""
SLOW = {"max_iter": 1500, "learning_rate": 0.002, "min_samples_leaf": 50, "early_stopping": False}


class Redis(Server):
    """Debian's Redis."""

    def stop(self) -> None:
        self.kill()  # it takes no notice of what PostgreSQL is stopped with

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _launch(self, output: int) -> "subprocess.Popen[bytes]":
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return subprocess.Popen(command, stdout=output, stderr=output)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


class Cluster:
    """The processes of one Airflow that share a home, as they would share a volume."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home, self._environment = home, environment
        self._processes: dict[str, psutil.Popen] = {}

    def start(self, name: str, *words: str) -> None:
        """Start one of Airflow's programs."""
        with (self._home / f"{name}.log").open("ab") as log:
            self._processes[name] = psutil.Popen(
                [sys.executable, "-m", "airflow", *words], stdout=log, stderr=log, env=self._environment
            )

    def lose(self, name: str) -> None:
        """Kill a program with all that it started, as when its machine is lost."""
        process = self._processes.pop(name)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        process.wait(30)

    def end(self) -> None:
        for name in list(self._processes):
            self.lose(name)


@pytest.fixture
def loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop that took in what the first training needs, and trains slowly."""
    loop = site.empty(monkeypatch, "slow", model__settings=SLOW)
    playground.take_in(loop, range(4))
    return loop


@pytest.fixture
def cluster(loop: Loop) -> Iterator[tuple[Cluster, AirflowApi]]:
    """An Airflow without a worker, on PostgreSQL and Redis."""
    with ExitStack() as stack:
        database, broker = (stack.enter_context(running(kind)) for kind in (Postgres, Redis))
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE airflow")
        port = free_port()
        ports = Ports(airflow=port, tasks=port, mlflow=free_port(), service=free_port())
        home, tree = loop.stores.home, loop.stores.home.parent / "tree"
        address = f"trimtab@127.0.0.1:{database.port}/airflow"
        environment = {
            **os.environ,
            **config.environment(home, ports, tree),
            "MLFLOW_TRACKING_URI": loop.stores.mlflow,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{address}",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{address}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True)
        cluster = Cluster(home, environment)
        stack.callback(cluster.end)
        cluster.start("api", "api-server", "--port", str(port))
        cluster.start("dags", "dag-processor")
        cluster.start("scheduler", "scheduler", "--skip-serve-logs")
        passwords = json.loads(config.passwords_file(home).read_text())
        yield cluster, AirflowApi(f"http://127.0.0.1:{port}", "admin", passwords["admin"])


def test_a_worker_is_lost_in_the_middle_of_training_and_the_run_recovers(
    loop: Loop, cluster: tuple[Cluster, AirflowApi]
) -> None:
    airflow, api = cluster
    airflow.start("first", "celery", "worker", "--celery-hostname", "first@here")
    until(lambda: knows(api, "retrain_model"), "Airflow to know the DAG")
    api.trigger("retrain_model", {"reason": "a worker will be lost"}, run_id="lost")
    until(lambda: trains(loop), "the training to be in its middle")
    airflow.lose("first")
    until(lambda: not trains(loop), "the training to end with its task")
    assert loop.registry.stages(loop.model) == {}

    airflow.start("second", "celery", "worker", "--celery-hostname", "second@here")
    until(lambda: api.run_state("retrain_model", "lost") in ("success", "failed"), "the run to end")
    found = api.get("/api/v2/dags/retrain_model/dagRuns/lost/taskInstances")["task_instances"]
    tries = {one["task_id"]: (one["state"], one["try_number"]) for one in found}
    assert tries["train"] == ("success", 2)
    assert api.run_state("retrain_model", "lost") == "success"
    assert tries.pop("wait_for_answer")[0] == "skipped"  # gate.ask is never
    assert {state for state, _ in tries.values()} == {"success"}, tries
    assert loop.registry.stages(loop.model) == {"1": "Archived", "2": "Production"}
    assert len(loop.ledger.versions(loop.model)) == 2
    assert loop.ledger.lease_holder(loop.lease) is None


def until(ready: object, what: str) -> None:
    patience = time.monotonic() + PATIENCE_SECONDS
    while not ready():  # type: ignore[operator]  # a function of this module
        assert time.monotonic() < patience, f"waited in vain for {what}"
        time.sleep(0.2)


def knows(api: AirflowApi, dag: str) -> bool:
    with suppress(TrimtabError):
        return any(one["dag_id"] == dag for one in api.get("/api/v2/dags")["dags"])
    return False


def trains(loop: Loop) -> bool:
    """Whether the entry point of a training is past its imports."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.cmdline()[-3:] == ["-m", "trimtab", "train"]:
                if process.environ().get("TRIMTAB_HOME") == str(loop.stores.home):
                    return process.cpu_times().user > TRAINED_SECONDS
    return False
