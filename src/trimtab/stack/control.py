"""Starts the embedded stack, waits until it is healthy, stops it, and reports its status."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import requests

from trimtab.errors import CommandFailed, RunFailed, TrimtabError, Unfit
from trimtab.settings import Ports
from trimtab.stack import airflow_api, config, preflight, programs, session, supervision
from trimtab.stack.supervision import Addresses, addresses

__all__ = ["Addresses", "addresses", "running", "start", "status", "stop", "wait_healthy"]

_POLL_SECONDS = 0.2
_SUPERVISOR_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_STOP_SECONDS = 90.0


def start(home: Path, tree: Path = Path()) -> Addresses:
    """Start the stack on a home, with the DAGs of a working tree, and return before it is healthy.

    A stack that already runs is not changed. Processes that a killed supervisor left behind are ended first.

    Raises:
        Unfit: The machine lacks something that the stack needs; nothing was started.
        ParamsError: The tree's `params.yaml` cannot be used; nothing was started.
        CommandFailed: Airflow's database could not be created, or the supervisor did not start; nothing runs.
    """
    home = home.resolve()
    if running(home):
        return addresses(home)
    listening = Ports()
    stop(home)
    preflight.check(home, tree, listening)
    environment = {**os.environ, **config.environment(home, listening, tree)}
    for folder in ("logs", "mlflow-artifacts", "stack"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    config.write_airflow_settings(home)
    state = _supervise(home, tree, listening, environment)
    try:
        _run((sys.executable, "-m", "airflow", "db", "migrate"), home, environment)
        for program in programs.programs(home, listening):
            if not program.autostart:
                state.call("startProcess", program.name, False)
    except BaseException:
        stop(home)
        raise
    return addresses(home)


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
    deadline, last = time.monotonic() + timeout, ""
    while missing := not_ready(home):
        text = f"Waiting for {', '.join(missing)}"
        if text != last:
            tell(text)
            last = text
        if time.monotonic() > deadline:
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
    for name, program_state in state.programs().items():
        if program_state == "FATAL":
            raise Unfit(f"{name} ends each time it is started", f"Look at {home / 'logs' / name}.log")
    urls = addresses(home)
    servers = {
        "MLflow": f"{urls.mlflow}/health",
        "the model service": f"{urls.service}/healthz",
        "Airflow's task API": f"http://{config.HOST}:{state.ports.tasks}/execution/health",
    }
    silent = [name for name, url in servers.items() if not _answers(url)]
    return silent + _airflow(home, Path(state.tree) / "dags")


def stop(home: Path) -> None:
    """Stop the stack of a home, if it runs, with every process that it started.

    A running task gets some seconds to finish before it is ended. Airflow retries it after the next start.
    """
    home = home.resolve()
    state = supervision.load(home)
    if state is None:
        return
    if state.running():
        state.call("shutdown")
    deadline = time.monotonic() + _STOP_SECONDS
    while state.status() is not None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    if state.session is not None:
        state.session.end()
    supervision.clear(home, state)


def running(home: Path) -> bool:
    """Return whether a stack runs on a home, healthy or not."""
    state = supervision.load(home.resolve())
    return state is not None and state.running()


def status(home: Path) -> str:
    """Describe for an operator what runs, and where."""
    state = supervision.load(home.resolve())
    if state is None or not state.running():
        return f"Nothing runs on {home}. `make up` starts the stack."
    urls = addresses(home)
    processes = ", ".join(f"{name} {status.lower()}" for name, status in state.programs().items())
    return "\n".join(
        (
            f"Airflow        {urls.airflow}  (user admin, password in {urls.passwords})",
            f"MLflow         {urls.mlflow}",
            f"Model service  {urls.service}",
            f"Logs           {home.resolve() / 'logs'}",
            f"Processes      {processes}",
        )
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
        with requests.Session() as client:
            client.trust_env = False
            return client.get(url, timeout=_ANSWER_SECONDS).ok
    except requests.RequestException:
        return False


def _supervise(home: Path, tree: Path, listening: Ports, environment: Mapping[str, str]) -> supervision.State:
    state = supervision.new(home, tree, listening)
    path = home / "stack" / "supervisord.conf"
    path.write_text(programs.supervisor_text(home, Path(state.socket), programs.programs(home, listening)))
    _run((sys.executable, "-m", "supervisor.supervisord", "-c", str(path)), home, environment)
    deadline = time.monotonic() + _SUPERVISOR_SECONDS
    while not state.running():
        if time.monotonic() > deadline:
            what = f"The supervisor did not answer within {_SUPERVISOR_SECONDS:.0f} s"
            raise Unfit(what, f"Look at {home / 'logs' / 'supervisord.log'}")
        time.sleep(_POLL_SECONDS)
    return supervision.save(home, replace(state, session=session.of(state.call("getPID"))))


def _run(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> None:
    with (home / "logs" / "start.log").open("a+", encoding="utf-8") as log:
        start = log.tell()
        result = subprocess.run(
            command,
            cwd=home / "stack",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
        if result.returncode:
            log.seek(start)
            raise CommandFailed(command, result.returncode, log.read())
