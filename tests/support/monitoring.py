"""Prometheus and Alertmanager from Debian's packages on loopback ports, with the shipped files made quick."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.playground import ROOT
from tests.support.waiting import free_ports, until

DEPLOY = ROOT / "deploy"
QUICK = {
    "scrape_interval": "2s",
    "scrape_timeout": "2s",
    "evaluation_interval": "1s",
    "for": "1s",
    "keep_firing_for": "20s",
    "group_wait": "1s",
    "group_interval": "1s",
}
"""What a person would wait for, shortened; `repeat_interval` stays, as nothing here is told twice."""


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def get(self, path: str) -> dict[str, Any]:
        """Return what lies at a path of its API."""
        return _get(self.url + path)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        answer = _get(f"{self.url}/api/v1/query", query=expression)
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def range(self, expression: str, minutes: float = 15.0) -> list[dict[str, Any]]:
        """Return the series of the last minutes, as a panel asks for them."""
        end = time.time()
        answer = _get(
            f"{self.url}/api/v1/query_range", query=expression, start=end - minutes * 60, end=end, step=5
        )
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def firing(self, alert: str) -> list[dict[str, Any]]:
        """Return what fires under the name of an alert."""
        return self.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}}')


@contextmanager
def running(folder: Path, *, service: str, airflow: str, token: Path) -> Iterator[Prometheus]:
    """Run both on the shipped configuration, which scrapes and calls the given addresses instead of the usual ones."""
    ports = free_ports(2)
    places = {
        "127.0.0.1:8000": service.removeprefix("http://"),
        "127.0.0.1:8080": airflow.removeprefix("http://"),
        "127.0.0.1:9090": f"127.0.0.1:{ports[0]}",
        "127.0.0.1:9093": f"127.0.0.1:{ports[1]}",
        "../../var/alerts.token": str(token),
    }
    for source in DEPLOY.glob("*/**/*.yml"):
        target = folder / source.relative_to(DEPLOY)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(_changed(yaml.safe_load(source.read_text()), places)))
    commands = (
        (
            "prometheus",
            f"--config.file={folder / 'prometheus/prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{ports[0]}",
        ),
        (
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager/alertmanager.yml'}",
            f"--storage.path={folder / 'silences'}",
            f"--web.listen-address=127.0.0.1:{ports[1]}",
            "--cluster.listen-address=",
        ),
    )
    processes = [
        subprocess.Popen(command, stderr=(folder / f"{command[0]}.log").open("w")) for command in commands
    ]
    try:
        for port in ports:
            wait_ready(port)
        yield Prometheus(f"http://127.0.0.1:{ports[0]}")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _changed(part: Any, places: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {name: QUICK.get(name, _changed(value, places)) for name, value in part.items()}
    if isinstance(part, list):
        return [_changed(item, places) for item in part]
    if isinstance(part, str):
        for was, becomes in places.items():
            part = part.replace(was, becomes)
    return part


def wait_ready(port: int) -> None:
    """Wait until a Prometheus or an Alertmanager answers."""
    until(lambda: _ready(f"http://127.0.0.1:{port}/-/ready"), f"an answer on port {port}")


def _ready(url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def _get(url: str, **query: object) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        content: dict[str, Any] = session.get(url, params=query, timeout=10).json()
        return content
