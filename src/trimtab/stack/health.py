"""Wait until the whole stack answers."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from trimtab.errors import RunFailed, TrimtabError, Unfit
from trimtab.stack import airflow_api, supervision
from trimtab.stack.addresses import addresses
from trimtab.stack.ports import HOST

_POLL_SECONDS = 0.3
_ANSWER_SECONDS = 5.0
_OK = 200


def wait_healthy(home: Path, timeout: float, tell: Callable[[str], None] | None = None) -> None:
    """Wait until all servers answer and Airflow knows every DAG file, for `timeout` seconds at most.

    Args:
        home: Of the stack.
        timeout: In seconds.
        tell: Takes what is waited for, whenever that changes; a line on stderr when not given.

    Raises:
        Unfit: A process ends each time it is started, or a DAG file does not import.
        RunFailed: The time is over.
    """
    tell = tell or (lambda text: print(text, file=sys.stderr, flush=True))
    begin, told = time.monotonic(), ""
    while missing := not_ready(home):
        text = f"Waiting for {', '.join(missing)}"
        if text != told:
            tell(text)
            told = text
        if time.monotonic() - begin > timeout:
            got = f"no sign of {', '.join(missing)}"
            raise RunFailed(f"a healthy stack within {timeout:.0f} s", got, home / "logs")
        time.sleep(_POLL_SECONDS)


def not_ready(home: Path) -> list[str]:
    """Name what does not answer yet.

    Raises:
        Unfit: As `wait_healthy`.
    """
    state = supervision.load(home)
    if state is None or not state.running():
        raise Unfit(f"No stack runs on {home}", "Start it with `make up`.")
    for name, word in state.programs().items():
        if word == "FATAL":
            raise Unfit(f"{name} ends each time it is started", f"Look at {home / 'logs' / name}.log")
    found = addresses(home)
    servers = {
        "MLflow": f"{found.mlflow}/health",
        "the model service": f"{found.service}/healthz",
        "Airflow's task API": f"http://{HOST}:{state.ports.tasks}/execution/health",
    }
    return [name for name, url in servers.items() if not _answers(url)] + _airflow(
        home, Path(state.tree) / "dags"
    )


def _airflow(home: Path, dags: Path) -> list[str]:
    api = airflow_api.connect(home)
    try:
        health = api.health()
        parts = [name for name in ("metadatabase", "scheduler", "dag_processor") if health[name] != "healthy"]
        if parts:
            return [f"Airflow's {name}" for name in parts]
        errors = api.get("/api/v2/importErrors")["import_errors"]
        known = {Path(dag["fileloc"]).name for dag in api.get("/api/v2/dags")["dags"]}
    except TrimtabError:
        return ["Airflow"]
    if errors:
        first = errors[0]
        raise Unfit(f"{first['filename']} does not import", first["stack_trace"])
    return [f"DAG {name}" for name in sorted({path.name for path in dags.glob("*.py")} - known)]


def _answers(url: str) -> bool:
    try:
        with requests.Session() as client:
            client.trust_env = False
            return client.get(url, timeout=_ANSWER_SECONDS).status_code == _OK
    except requests.RequestException:
        return False
