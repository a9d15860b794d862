"""Plays the flights through a running system (`--deployed`), in containers or in a cluster."""

import json
import time
from itertools import islice
from pathlib import Path

from examples.flights import flights, progress, records, resume
from examples.flights.demo import check_weeks, print_result, through
from examples.flights.records import Demo
from examples.flights.traffic import Client
from trimtab import params as parameters
from trimtab import settings
from trimtab.clock import system_clock
from trimtab.errors import RunFailed, TrimtabError, Unfit
from trimtab.ledger import Batch, Ledger
from trimtab.settings import Settings
from trimtab.stack.airflow_api import AirflowApi

_USER = "admin"
_HEALTHY_SECONDS = 180
_DAG = "retrain_model"


def play(weeks: int, tree: Path) -> int:
    """Play the first `weeks` weeks, or resume an interrupted play; return the exit status.

    The addresses come from TRIMTAB_AIRFLOW_URL, TRIMTAB_SERVICE_URL and the variables of the stores; the secrets come from
    the files in TRIMTAB_AIRFLOW_PASSWORDS_FILE (JSON, name to password) and TRIMTAB_SERVICE_TOKEN_FILE.

    Raises:
        SettingsError: A variable is missing.
        Unfit: The loop holds batches that this demo did not land.
        RunFailed: A run of the loop failed, or the system does not start; the next call resumes.
    """
    where, out = settings.read(), progress.Progress()
    params = parameters.load(tree / parameters.FILE)
    airflow_url, service_url = where.require("airflow_url"), where.require("service_url")
    passwords = json.loads(where.require("airflow_passwords_file").read_text(encoding="utf-8"))
    token = where.require("service_token_file").read_text(encoding="utf-8").strip()
    out.doing("reading the flights")
    played = list(islice(flights.weeks(), weeks))
    check_weeks(weeks, len(played), params)
    demo = _opened(where, tree, len(played), params.model.name)
    airflow = AirflowApi(airflow_url, _USER, passwords[_USER])
    _wait_for(airflow, where, out)
    demo = through(
        demo,
        params,
        where,
        played,
        out,
        airflow=airflow,
        client=Client(service_url, params, token),
        addresses={"Airflow": airflow_url, "MLflow": where.mlflow, "Model service": service_url},
    )
    print_result(demo, where, out)
    return 0


def _opened(where: Settings, tree: Path, weeks: int, model: str) -> Demo:
    marker = records.load(where.home)
    if marker is not None and marker.params_sha256 == resume.digest(tree) and weeks >= marker.weeks:
        return marker
    if Ledger(where.ledger, model).keys(Batch):
        raise Unfit(
            f"The loop of {model} holds batches that this demo did not land",
            "The demo needs an empty loop: create one with other stores.",
        )
    demo = Demo(
        params_sha256=resume.digest(tree), weeks=weeks, withhold=0, started_at=system_clock(), made=()
    )
    records.save(where.home, demo)
    return demo


def _wait_for(airflow: AirflowApi, where: Settings, out: progress.Progress) -> None:
    until = time.monotonic() + _HEALTHY_SECONDS
    while not _has_dags(airflow):
        out.doing("waiting for Airflow to load its DAGs")
        if time.monotonic() > until:
            raise RunFailed(
                f"Airflow at {airflow.url} to load its DAGs",
                f"no {_DAG} in {_HEALTHY_SECONDS} s",
                where.home / "logs",
            )
        time.sleep(1)


def _has_dags(airflow: AirflowApi) -> bool:
    try:
        return any(dag["dag_id"] == _DAG for dag in airflow.get("/api/v2/dags")["dags"])
    except TrimtabError:
        return False
