"""A small loop on real stores with a service that answers, and four versions of a model to promote."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.integration.predictions.servers import Postgres, running
from tests.support import playground
from tests.verify.soak import versions
from tests.verify.soak.servers import Program, free_ports, signalled
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop
from trimtab.stack import config

ROOT = Path(__file__).parents[3]
VERSIONS = 4
LOAD_END_SECONDS = 90
QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that runs."""

    folder: Path
    loop: Loop
    store: Postgres
    mlflow: Program
    service: Program
    made: list[versions.Made]

    def ready(self) -> Mapping[str, object]:
        """What the service says of itself."""
        state: dict[str, object] = requests.get(f"{self.service.address}/readyz", timeout=30).json()
        return state

    def waiting(self) -> int:
        """Records that are not in the log yet."""
        text = requests.get(f"{self.service.address}/metrics", timeout=30).text
        values = re.findall(r"^trimtab_log_(?:queued|spooled)\{.*\} (\S+)$", text, re.MULTILINE)
        return int(sum(map(float, values)))

    def drained(self, seconds: float) -> bool:
        """Wait until all that was answered is in the log."""
        patience = time.monotonic() + seconds
        while self.waiting():
            if time.monotonic() > patience:
                return False
            time.sleep(0.2)
        return True

    def memory_mb(self) -> float:
        """Resident memory of the worker."""
        (worker,) = _children(self.service.process.pid)
        status = Path(f"/proc/{worker}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1000

    @contextmanager
    def load(self, name: str, rate: float | None = None) -> Iterator[Path]:
        """Let clients ask while the block runs; yields the file of what they see."""
        output = self.folder / f"{name}.jsonl"
        words = [self.service.address, self.folder / "rows.json", output, name, *([rate] if rate else [])]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.verify.soak.load", *map(str, words)],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            yield output
            if process.poll() is not None:
                raise RuntimeError(f"The load ended with status {process.returncode}")
            process.stdin.close()
            if process.wait(LOAD_END_SECONDS):
                raise RuntimeError(f"The load ended with status {process.returncode}")
        finally:
            signalled(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Make it, the first version in Production; stop all of it at the end."""
    with ExitStack() as stack:
        store = stack.enter_context(running(Postgres))
        assert isinstance(store, Postgres)
        home, ports = folder / "var", free_ports()
        tree = playground.tree(folder / "tree")
        os.environ |= playground.environment(home) | config.environment(home, ports, tree)
        os.environ |= {"TRIMTAB_PREDICTION_LOG_URL": store.url, **QUIET}
        initialise(tree)
        mlflow = Program("mlflow", home, ports, "/health")
        service = Program("service", home, ports, "/readyz")
        stack.callback(mlflow.stop)
        stack.callback(service.stop)
        mlflow.start()
        loop = playground.opened()
        asked, rows = versions.pool(loop)
        (folder / "rows.json").write_text(json.dumps(rows))
        made = [versions.register(loop, weeks, asked) for weeks in range(1, VERSIONS + 1)]
        versions.promote(loop, made[0].version)
        service.start()
        yield World(folder=folder, loop=loop, store=store, mlflow=mlflow, service=service, made=made)


def _children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in listed.split()]
