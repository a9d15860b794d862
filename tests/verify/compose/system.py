"""The system of docker-compose.yaml as a person runs it: up, a demo through it, one container killed after the other, down."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.verify.compose.engine import Engine

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
COMPOSE = [str(ROOT / ".venv/tools/bin/docker-compose"), "-f", "docker-compose.yaml"]
COMPOSE += ["-f", "tests/verify/compose/override.yaml"]
MONITORING = ("prometheus", "alertmanager")
ASIDE = ("airflow-init", "demo", "grafana")
"""Not killed: one ends by itself, one plays, one has no stand-in."""
STORES = ("postgres", "mongodb", "mlflow")
BACKUPS = "/srv/backups"
RECOVERY_SECONDS = 240
BACKUP_SECONDS = 240
FACTS = HERE / "facts.py"
"""What a worker's container runs to read the stores."""


class System:
    """The containers on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command of Compose."""
        done = subprocess.run(
            [*COMPOSE, *words], cwd=ROOT, env=self._engine.environment, capture_output=True, text=True
        )
        if check and done.returncode:
            raise RuntimeError(
                f"docker compose {' '.join(words)}:\n{done.stderr[-4000:]}\n{done.stdout[-4000:]}"
            )
        return done

    def up(self) -> None:
        """Start all but Grafana, and wait until all are healthy."""
        began = time.monotonic()
        wait = ("--detach", "--wait", "--wait-timeout", "600")
        self.compose("up", *wait)
        self.compose("--profile", "monitoring", "up", *wait, *MONITORING)
        print(f"All {len(self.services())} are up after {time.monotonic() - began:.0f} s", flush=True)

    def down(self) -> None:
        """Remove the containers and the networks; the volumes stay."""
        self.compose("--profile", "*", "down")

    def services(self) -> list[str]:
        """Return the names of what runs."""
        named = self.compose("--profile", "*", "config", "--services").stdout.split()
        return [name for name in sorted(named) if name not in ASIDE]

    def demo(self, weeks: int) -> "subprocess.Popen[str]":
        """Begin to play flights, or go on."""
        command = [
            *COMPOSE,
            "run",
            "--rm",
            "-T",
            "demo",
            "python",
            "-m",
            "examples.flights",
            "--deployed",
            "--weeks",
            str(weeks),
        ]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._engine.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self, service: str) -> float:
        """Kill a container's first process as the kernel would, and wait until it is healthy again; returns the seconds."""
        container = self._container(service)
        before = self._state(container)["StartedAt"]
        os.kill(int(self._state(container)["Pid"]), signal.SIGKILL)
        began = time.monotonic()
        while time.monotonic() - began < RECOVERY_SECONDS:
            state = self._state(container)
            healthy = state.get("Health", {"Status": "healthy"})["Status"] == "healthy"
            if state["Running"] and state["StartedAt"] != before and healthy:
                return time.monotonic() - began
            time.sleep(0.5)
        raise RuntimeError(
            f"{service} did not recover:\n{self._engine.docker('logs', '--tail', '50', container)}"
        )

    def backed_up(self) -> str:
        """Have the DAG take a backup, as its schedule would; returns its folder."""
        self.compose("exec", "-T", "worker", "entrypoint", "airflow", "dags", "trigger", "back_up_stores")
        until = time.monotonic() + BACKUP_SECONDS
        while time.monotonic() < until:
            listing = self.compose(
                "exec", "-T", "worker", "find", BACKUPS, "-name", "trimtab-*Z"
            ).stdout.split()
            if listing:
                return listing[0]
            time.sleep(2)
        raise RuntimeError(f"No backup in {BACKUPS} after {BACKUP_SECONDS} s")

    def wipe(self) -> None:
        """Take everything down, and all volumes with it but the one of the backups."""
        self.down()
        volumes = self._engine.docker("volume", "ls", "--quiet").split()
        backups = [name for name in volumes if name.endswith("_backups")]
        if len(backups) != 1:
            raise RuntimeError(f"Expected one volume of backups, got {backups} of {volumes}")
        self._engine.docker("volume", "rm", *(name for name in volumes if name not in backups))

    def restore(self, folder: str) -> None:
        """Start what holds data, empty, and fill it from a backup, as docs/how-to/recovery.md says."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", "300", *STORES)
        said = self.compose(
            "run", "--rm", "--no-deps", "-T", "worker", "trimtab", "ops", "restore", folder
        ).stdout
        print(f"    {said.strip()}", flush=True)

    def facts(self) -> dict[str, Any]:
        """Return what the stores hold, read by the code in a worker's container."""
        read = self.compose(
            "exec", "-T", "worker", "entrypoint", "python", "-c", FACTS.read_text(encoding="utf-8")
        )
        if not read.stdout.strip():  # Compose may end with 0 although the command in the container failed
            raise RuntimeError(f"The stores cannot be read:\n{read.stderr[-4000:]}")
        content: dict[str, Any] = json.loads(read.stdout.strip().splitlines()[-1])
        return content

    def served(self) -> str:
        """Return the version that answers."""
        port = self._engine.environment["SERVICE_PORT"]
        said = subprocess.run(
            ["curl", "--silent", "--fail", f"http://127.0.0.1:{port}/readyz"],
            capture_output=True,
            text=True,
            check=True,
        )
        return str(json.loads(said.stdout)["version"])

    def firing(self) -> list[str]:
        """Return the alerts that fire in Prometheus, and see that it reaches both of its targets."""
        fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        url = "http://prometheus:9090/api/v1/"
        ask = ("exec", "-T", "worker", "python", "-c", fetch)
        targets = json.loads(self.compose(*ask, url + "targets").stdout)["data"]["activeTargets"]
        down = [item["lastError"] for item in targets if item["health"] != "up"]
        if down or len(targets) != 2:
            raise RuntimeError(f"Expected 2 targets that answer, got {len(targets)}: {down}")
        alerts = json.loads(self.compose(*ask, url + "alerts").stdout)["data"]["alerts"]
        return [item["labels"]["alertname"] for item in alerts if item["state"] == "firing"]

    def _container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def _state(self, container: str) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(
            self._engine.docker("inspect", "--format", "{{json .State}}", container)
        )
        return state
