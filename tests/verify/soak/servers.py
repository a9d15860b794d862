"""The processes of the stack that the soak needs, started with the stack's own commands, each in a group of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from tests.integration.predictions.servers import free_port
from trimtab.settings import Ports
from trimtab.stack.config import HOST
from trimtab.stack.programs import programs

PATIENCE_SECONDS = 120
STOP_SECONDS = 30


def free_ports() -> Ports:
    """Ports that nobody listens on; Airflow's are not used."""
    return Ports(airflow=1, tasks=2, mlflow=free_port(), service=free_port())


class Program:
    """One program of the stack, that can be stopped and started again."""

    def __init__(self, name: str, home: Path, ports: Ports, health: str) -> None:
        self.name = name
        self.address = f"http://{HOST}:{getattr(ports, name)}"
        (self._command,) = (program.command for program in programs(home, ports) if program.name == name)
        self._health, self.output = self.address + health, home / f"{name}.log"
        self._home, self._process = home, None

    def start(self, answers: Callable[[requests.Response], bool] = lambda answer: answer.ok) -> None:
        """Start it and wait until it answers."""
        self.launch()
        patience = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and time.monotonic() < patience:
            try:
                if answers(requests.get(self._health, timeout=10)):
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer:\n{self.tail()}")

    def launch(self) -> None:
        """Start it."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                stdout=output,
                stderr=output,
                cwd=self._home,
                start_new_session=True,
            )

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process

    def stop(self) -> int | None:
        """End it with all that it started, as the supervisor does; return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        signalled(process.pid, signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            signalled(process.pid, signal.SIGKILL)
            process.wait()

    def tail(self) -> str:
        """The end of what it printed."""
        return self.output.read_text(errors="replace")[-4000:]


def signalled(group: int, which: signal.Signals) -> None:
    """Signal what is left of a group that we started."""
    try:
        os.killpg(group, which)
    except ProcessLookupError:
        pass
