"""Starts and stops the embedded stack, and reports its status."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab.errors import CommandFailed, Unfit
from trimtab.settings import Ports
from trimtab.stack import config, preflight, programs, session, supervision
from trimtab.stack.health import wait_healthy
from trimtab.stack.supervision import Addresses, addresses

__all__ = ["Addresses", "addresses", "running", "start", "status", "stop", "wait_healthy"]

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 30.0
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


def _supervise(home: Path, tree: Path, listening: Ports, environment: Mapping[str, str]) -> supervision.State:
    state = supervision.new(home, tree, listening)
    path = home / "stack" / "supervisord.conf"
    path.write_text(programs.supervisor_text(home, Path(state.socket), programs.programs(home, listening)))
    _run((sys.executable, "-m", "supervisor.supervisord", "-c", str(path)), home, environment)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not state.running():
        if time.monotonic() > deadline:
            log = home / "logs" / "supervisord.log"
            raise Unfit(f"The supervisor did not answer within {_ANSWER_SECONDS:.0f} s", f"Look at {log}")
        time.sleep(_POLL_SECONDS)
    return supervision.with_session(home, state, session.of(state.call("getPID")))


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
