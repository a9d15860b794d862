"""Waits until the whole stack is healthy."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from trimtab.errors import RunFailed, TrimtabError, Unfit
from trimtab.stack import airflow_api, supervision
from trimtab.stack.config import HOST

_POLL_SECONDS = 0.3
_ANSWER_SECONDS = 5.0
_OK = 200


def wait_healthy(home: Path, timeout: float, tell: Callable[[str], None] | None = None) -> None:
    """Wait until all servers answer and Airflow has imported every DAG file.

    Args:
        home: Home folder of the stack.
        timeout: Limit in seconds.
        tell: Called with a sentence whenever the wait is for something else. By default it is printed to stderr.

    Raises:
        Unfit: A process ends each time it is started, or a DAG file cannot be imported.
        RunFailed: The stack is not healthy within the limit.
    """
    tell = tell or (lambda text: print(text, file=sys.stderr, flush=True))
    start, last = time.monotonic(), ""
    while missing := not_ready(home):
        text = f"Waiting for {', '.join(missing)}"
        if text != last:
            tell(text)
            last = text
        if time.monotonic() - start > timeout:
            got = f"no answer of {', '.join(missing)}"
            raise RunFailed(f"a healthy stack within {timeout:.0f} s", got, home / "logs")
        time.sleep(_POLL_SECONDS)


def not_ready(home: Path) -> list[str]:
    """Return the names of the parts that are not healthy yet.

    Raises:
        Unfit: As for `wait_healthy`.
    """
    state = supervision.load(home)
    if state is None or not state.running():
        raise Unfit(f"No stack runs on {home}", "Start it with `make up`.")
    for name, status in state.programs().items():
        if status == "FATAL":
            raise Unfit(f"{name} ends each time it is started", f"Look at {home / 'logs' / name}.log")
    urls = supervision.addresses(home)
    servers = {
        "MLflow": f"{urls.mlflow}/health",
        "the model service": f"{urls.service}/healthz",
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
        imported = {Path(dag["fileloc"]).name for dag in api.get("/api/v2/dags")["dags"]}
    except TrimtabError:
        return ["Airflow"]
    if errors:
        first = errors[0]
        raise Unfit(f"{first['filename']} cannot be imported", first["stack_trace"])
    return [f"DAG {name}" for name in sorted({path.name for path in dags.glob("*.py")} - imported)]


def _answers(url: str) -> bool:
    try:
        return get_page(url).status_code == _OK
    except requests.RequestException:
        return False


def get_page(url: str, **options: Any) -> requests.Response:
    """Get a page without a proxy, within five seconds; `options` are those of `requests`."""
    with requests.Session() as client:
        client.trust_env = False
        return client.get(url, timeout=_ANSWER_SECONDS, **options)
