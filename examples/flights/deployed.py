"""Plays the flights through a system that runs already (`--deployed`), in containers or a cluster."""

import json
import time
from itertools import islice
from pathlib import Path

from examples.flights import flights, progress, records, resume
from examples.flights.demo import check_weeks, tell_figures, through
from examples.flights.records import Demo
from examples.flights.traffic import Client
from trimtab import params, settings
from trimtab.clock import system_clock
from trimtab.errors import RunFailed, TrimtabError, Unfit
from trimtab.ledger.ledger import Ledger
from trimtab.settings import Settings
from trimtab.stack.airflow_api import AirflowApi

_USER = "admin"
_HEALTHY_SECONDS = 180
_DAG = "retrain_model"


def play(weeks: int | None, tree: Path) -> int:
    """Play the first `weeks` weeks (all when None), or go on where an interrupted play ended; return the exit status.

    The addresses come from TRIMTAB_AIRFLOW_URL, TRIMTAB_SERVICE_URL and the stores' variables; the secrets from the files
    that TRIMTAB_AIRFLOW_PASSWORDS_FILE (JSON, name to password) and TRIMTAB_SERVICE_TOKEN_FILE name.

    Raises:
        SettingsError: A variable is missing.
        Unfit: The loop holds batches that no demo landed.
        RunFailed: A run of the loop failed, or the system does not come up; the next call resumes.
    """
    where, wanted, out = settings.read(), params.load(tree / params.FILE), progress.Progress()
    airflow_url, service_url = where.require("airflow_url"), where.require("service_url")
    passwords = json.loads(where.require("airflow_passwords_file").read_text(encoding="utf-8"))
    token = where.require("service_token_file").read_text(encoding="utf-8").strip()
    out.doing("reading the flights")
    played = list(islice(flights.weeks(), weeks))
    check_weeks(weeks, len(played), wanted)
    demo = _opened(where, tree, len(played), wanted.model.name)
    airflow = AirflowApi(airflow_url, _USER, passwords[_USER])
    _wait_for(airflow, where, out)
    demo = through(
        demo,
        wanted,
        where,
        played,
        out,
        airflow=airflow,
        client=Client(service_url, wanted, token),
        addresses={"Airflow": airflow_url, "MLflow": where.mlflow, "Model service": service_url},
    )
    tell_figures(demo, where, out)
    return 0


def _opened(where: Settings, tree: Path, weeks: int, model: str) -> Demo:
    known = records.load(where.home)
    if known is not None and known.params_sha256 == resume.digest(tree) and weeks >= known.weeks:
        return known
    if Ledger(where.ledger).batches(model):
        raise Unfit(
            f"The loop of {model} holds batches that this demo did not land",
            "The demo plays into an empty loop only: make one with other stores.",
        )
    demo = Demo(
        params_sha256=resume.digest(tree), weeks=weeks, withhold=0, started_at=system_clock(), made=()
    )
    records.save(where.home, demo)
    return demo


def _wait_for(airflow: AirflowApi, where: Settings, out: progress.Progress) -> None:
    until = time.monotonic() + _HEALTHY_SECONDS
    while not _knows_dags(airflow):
        out.doing("waiting for Airflow to know its DAGs")
        if time.monotonic() > until:
            got = f"no {_DAG} in {_HEALTHY_SECONDS} s"
            raise RunFailed(f"Airflow at {airflow.url} to know its DAGs", got, where.home / "logs")
        time.sleep(1)


def _knows_dags(airflow: AirflowApi) -> bool:
    try:
        return any(dag["dag_id"] == _DAG for dag in airflow.get("/api/v2/dags")["dags"])
    except TrimtabError:
        return False
