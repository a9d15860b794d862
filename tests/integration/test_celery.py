"""Airflow with CeleryExecutor on a real Redis and a real PostgreSQL: configuration alone makes the difference."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from mlflow import MlflowClient

from tests.integration.predictions.servers import Postgres, Server, running
from tests.support import playground
from tests.support.airflow import run_state
from tests.support.ledger import lease_holder
from tests.support.moments import Site
from tests.support.waiting import free_port, until
from trimtab.data import landing
from trimtab.errors import TrimtabError
from trimtab.ledger import Batch, Measurement, QuarantineAction, Shadow, state
from trimtab.loop.loop import Loop
from trimtab.origin import commands
from trimtab.settings import Ports
from trimtab.stack import config
from trimtab.stack.airflow_api import AirflowApi

pytestmark = pytest.mark.timeout(600)

WORKERS = ("first", "second")
DAGS = ("ingest_batch", "monitor_model")
FIVE_MINUTES = {"seconds": 300.0, "every": 1.0}
SLOW = {"max_iter": 600, "learning_rate": 0.002, "min_samples_leaf": 50, "early_stopping": False}


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

    def work(self, name: str) -> None:
        """Start a worker."""
        self.start(name, "celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{name}@here")

    def works(self, name: str) -> bool:
        return f"{name}@here ready." in self.log(name)

    def log(self, name: str) -> str:
        return (self._home / f"{name}.log").read_text()

    def runs(self, process: psutil.Process) -> str:
        """Name the program that started a process, or started what started it."""
        above = {child.pid for child in process.parents()}
        return next(name for name, child in self._processes.items() if child.pid in above)

    def lose(self, name: str) -> None:
        """Kill a program with all that it started, as when its machine is lost."""
        process = self._processes.pop(name)
        for victim in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)
        process.wait(30)

    def end(self) -> None:
        for name in list(self._processes):
            self.lose(name)


@pytest.fixture(scope="module")
def loop(site: Site) -> Iterator[Loop]:
    """A loop that trains slowly, where what the first training needs has landed."""
    with pytest.MonkeyPatch.context() as patch:
        loop = site.empty(patch, "slow", model__settings=SLOW)
        playground.land_weeks(loop, range(4))
        yield loop


@pytest.fixture(scope="module")
def cluster(loop: Loop) -> Iterator[tuple[Cluster, AirflowApi]]:
    """An Airflow with two workers, each of which takes one task at a time, on PostgreSQL and Redis."""
    with ExitStack() as stack:
        database, broker = (stack.enter_context(running(kind)) for kind in (Postgres, Redis))
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE airflow")
        port = free_port()
        environment = settings(loop, port, f"trimtab@127.0.0.1:{database.port}/airflow", broker.url)
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True)
        cluster = Cluster(loop.stores.home, environment)
        stack.callback(cluster.end)
        cluster.start("api", "api-server", "--port", str(port))
        cluster.start("dags", "dag-processor")
        cluster.start("scheduler", "scheduler", "--skip-serve-logs")
        for name in WORKERS:
            cluster.work(name)
        passwords = json.loads(config.passwords_file(loop.stores.home).read_text())
        yield cluster, AirflowApi(f"http://127.0.0.1:{port}", "admin", passwords["admin"])


def settings(loop: Loop, port: int, database: str, broker: str) -> dict[str, str]:
    """What makes Celery's Airflow of the stack's."""
    ports = Ports(airflow=port, tasks=port, mlflow=free_port(), service=free_port())
    home = loop.stores.home
    return {
        **os.environ,
        **config.environment(home, ports, home.parent / "tree"),
        "MLFLOW_TRACKING_URI": loop.stores.mlflow,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{database}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
        # The runs of the clock would take the batches from the run that is looked at.
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "false",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    }


@pytest.fixture(scope="module")
def taken_in(loop: Loop, cluster: tuple[Cluster, AirflowApi]) -> list[dict[str, Any]]:
    """The mapped tasks of the run that took in what landed."""
    airflow, api = cluster
    until(lambda: all(knows(api, dag) for dag in DAGS), "Airflow to know the DAGs", **FIVE_MINUTES)
    until(lambda: all(map(airflow.works, WORKERS)), "the workers", **FIVE_MINUTES)
    return mapped(api, "ingest_batch", "ingest")


def test_two_workers_take_in_the_batches_of_one_run_at_once(
    loop: Loop, cluster: tuple[Cluster, AirflowApi], taken_in: list[dict[str, Any]]
) -> None:
    first, second = (done_by(cluster[0], name, taken_in) for name in WORKERS)
    assert len(first) + len(second) == len(taken_in) == 4
    assert any(meet(item, other) for item in first for other in second), taken_in

    batches = [week.batch for week in playground.weeks()[:4]]
    assert [
        (item.manifest.batch, item.manifest.revision)
        for item in state.batches_in_force(loop.ledger.all(Batch))
    ] == [(batch, 1) for batch in batches]
    subjects = commands.git("log", "--format=%s", "main", cwd=Path(loop.stores.origin)).splitlines()
    assert sorted(item for item in subjects if item.startswith("Add batch")) == [
        f"Add batch {batch}, revision 1" for batch in batches
    ]
    assert landing.waiting(loop.stores.landing, grace_seconds=0, now=loop.ledger.now()) == []
    assert loop.ledger.all(QuarantineAction) == []


def test_a_worker_is_lost_in_the_middle_of_training_and_the_run_recovers(
    loop: Loop, cluster: tuple[Cluster, AirflowApi], taken_in: list[dict[str, Any]]
) -> None:
    airflow, api = cluster
    assert len(taken_in) >= 4  # batches, which the first model needs
    api.trigger("monitor_model", run_id="lost")
    until(lambda: fits(loop), "the training to be in its middle", seconds=300)
    (training,) = trainings(loop)
    airflow.lose(airflow.runs(training))
    until(lambda: not trainings(loop), "the training to end with its task", **FIVE_MINUTES)
    assert loop.ledger.all(Measurement) == []

    instances = ended(api, "monitor_model", "lost")
    tries = [entry["try_number"] for entry in instances if entry["task_id"] == "measure"]
    assert tries == [2]
    assert run_state(api, "monitor_model", "lost") == "success"
    measured = [(fact.batch, fact.revision) for fact in loop.ledger.all(Measurement)]
    assert measured == [(week.batch, 1) for week in playground.weeks()[1:4]]
    assert [shadow.attempt for shadow in loop.ledger.all(Shadow)] == [1, 1, 1]
    assert loop.registry.stages(loop.model) == {"1": "Staging"}
    assert lease_holder(loop) is None


def knows(api: AirflowApi, dag: str) -> bool:
    with suppress(TrimtabError):
        return any(dag_entry["dag_id"] == dag for dag_entry in api.get("/api/v2/dags")["dags"])
    return False


def ended(api: AirflowApi, dag: str, run_id: str) -> list[dict[str, Any]]:
    """Airflow's own records of the tasks of a run that ended."""
    until(lambda: run_state(api, dag, run_id) in ("success", "failed"), f"the end of {dag}", **FIVE_MINUTES)
    instances = api.get(f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
    return list(instances)


def mapped(api: AirflowApi, dag: str, task: str) -> list[dict[str, Any]]:
    """Run a DAG; return the records of a mapped task, all of which succeeded."""
    run_id = api.trigger(dag, run_id=f"both_{task}")
    instances = [entry for entry in ended(api, dag, run_id) if entry["task_id"] == task]
    assert {entry["state"] for entry in instances} == {"success"}, instances
    return instances


def done_by(airflow: Cluster, worker: str, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the tasks that a worker says it finished."""
    finished = [line for line in airflow.log(worker).splitlines() if "Workload finished" in line]
    return [entry for entry in tasks if any(entry["id"] in line for line in finished)]


def meet(task: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two tasks ran at the same time."""
    began, end = (
        [datetime.fromisoformat(task[key]) for task in (task, other)] for key in ("start_date", "end_date")
    )
    return max(began) < min(end)


def fits(loop: Loop) -> bool:
    """Whether a training opened its run in MLflow, as it does right before it fits, and is still there."""
    client = MlflowClient(loop.stores.mlflow)
    places = [experiment.experiment_id for experiment in client.search_experiments()]
    begun = client.search_runs(places, "tags.`trimtab.cutoff` != ''")
    return bool(begun and trainings(loop))


def trainings(loop: Loop) -> list[psutil.Process]:
    """The entry points of this loop's trainings."""
    running = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.cmdline()[-3:] == ["-m", "trimtab", "measure"]:
                if process.environ().get("TRIMTAB_HOME") == str(loop.stores.home):
                    running.append(process)
    return running
