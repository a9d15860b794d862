"""Start, watch and stop the embedded stack."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab.errors import CommandFailed, Unfit
from trimtab.settings import Ports
from trimtab.stack import config, preflight, programs, session, supervision
from trimtab.stack.addresses import Addresses, addresses
from trimtab.stack.health import wait_healthy

__all__ = ["Addresses", "addresses", "running", "start", "status", "stop", "wait_healthy"]

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 30.0
_STOP_SECONDS = 90.0


def start(home: Path, tree: Path = Path()) -> Addresses:
    """Start the stack on a home, with the DAGs of a working tree; returns before it is healthy.

    Running already, it is left alone. What a killed supervisor left behind is ended first.

    Raises:
        Unfit: The machine lacks something; nothing was started.
        ParamsError: The tree's `params.yaml` cannot be used; nothing was started.
        CommandFailed: Airflow's database could not be made, or the supervisor did not start; nothing runs.
    """
    home = home.resolve()
    if running(home):
        return addresses(home)
    wanted = Ports()
    stop(home)
    preflight.check(home, tree, wanted)
    environment = {**os.environ, **config.environment(home, wanted, tree)}
    for folder in ("logs", "mlflow-artifacts", "stack", "airflow/config"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    config.write_airflow_settings(home)
    state = _supervise(home, tree, wanted, environment)
    try:
        _run((sys.executable, "-m", "airflow", "db", "migrate"), home, environment)
        for one in programs.programs(home, wanted):
            if not one.autostart:
                state.call("startProcess", one.name, False)
    except BaseException:
        stop(home)
        raise
    return addresses(home)


def stop(home: Path) -> None:
    """End the stack of a home, if one runs, with everything that it started.

    A task that runs is waited for some seconds, then ended; Airflow retries it after the next start.
    """
    home = home.resolve()
    state = supervision.load(home)
    if state is None:
        return
    if state.running():
        state.call("shutdown")
    deadline = time.monotonic() + _STOP_SECONDS
    while state.word() is not None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    if state.session is not None:
        state.session.end()
    supervision.clear(home, state)


def running(home: Path) -> bool:
    """Say whether a stack runs on a home, healthy or not."""
    state = supervision.load(home.resolve())
    return state is not None and state.running()


def status(home: Path) -> str:
    """Return what runs and where, for a person."""
    state = supervision.load(home.resolve())
    if state is None or not state.running():
        return f"Nothing runs on {home}. `make up` starts the stack."
    found = addresses(home)
    processes = ", ".join(f"{name} {word.lower()}" for name, word in state.programs().items())
    return "\n".join(
        (
            f"Airflow        {found.airflow}  (user admin, password in {found.passwords})",
            f"MLflow         {found.mlflow}",
            f"Model service  {found.service}",
            f"Logs           {home.resolve() / 'logs'}",
            f"Processes      {processes}",
        )
    )


def _supervise(home: Path, tree: Path, wanted: Ports, environment: Mapping[str, str]) -> supervision.State:
    state = supervision.new(home, tree, wanted)
    path = home / "stack" / "supervisord.conf"
    path.write_text(programs.supervisor_text(home, Path(state.socket), programs.programs(home, wanted)))
    _run((sys.executable, "-m", "supervisor.supervisord", "-c", str(path)), home, environment)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not state.running():
        if time.monotonic() > deadline:
            log = home / "logs" / "supervisord.log"
            raise Unfit(f"The supervisor did not answer within {_ANSWER_SECONDS:.0f} s", f"Look at {log}")
        time.sleep(_POLL_SECONDS)
    return supervision.led(home, state, session.of(state.call("getPID")))


def _run(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> None:
    with (home / "logs" / "start.log").open("a+", encoding="utf-8") as log:
        begin = log.tell()
        done = subprocess.run(
            command,
            cwd=home / "stack",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
        if done.returncode:
            log.seek(begin)
            raise CommandFailed(command, done.returncode, log.read())
