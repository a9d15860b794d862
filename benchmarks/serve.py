"""`make bench-serve`: the model service beside `mlflow models serve` and FastAPI, with the same model in the same run.

Every server has one worker, and ours logs every prediction to SQLite. The load comes from wrk, over the loopback, with the
same rows for all; before each measurement each server's answers are compared with the model's.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests

from examples.flights import flights
from trimtab import params
from trimtab.registry import tracking
from trimtab.train.features import design
from trimtab.train.fit import answers, build, fit

ROWS = (1, 100)
CONNECTIONS = (1, 8, 64)
TRAINED_WEEKS = 8
PATIENCE_SECONDS = 120
BIN = Path(sys.executable).parent
TARGET_RATIO = 10


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that runs: where it predicts, what it wants for some rows, and where in its answer the answers are."""

    name: str
    url: str
    bodies: dict[int, bytes]
    found: Any


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


def measure(server: Server, rows: int, connections: int, seconds: int, folder: Path) -> Load:
    """Ask with some open connections for some seconds."""
    script, body = folder / "post.lua", folder / "body.json"
    body.write_bytes(server.bodies[rows])
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f'local file = io.open("{body}", "rb")\nwrk.body = file:read("*a")\nfile:close()\n'
        "done = function(summary, latency)\n"
        '  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,\n'
        "    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,\n"
        "    summary.errors.connect + summary.errors.read + summary.errors.write\n"
        "      + summary.errors.status + summary.errors.timeout))\nend\n"
    )
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(script),
        server.url,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures = re.search(r"RESULT (\S+) (\S+) (\S+) (\d+)", output)
    if figures is None:
        raise RuntimeError(f"wrk said nothing that can be read:\n{output}")
    return Load(
        per_second=float(figures[1]),
        p50_ms=float(figures[2]),
        p99_ms=float(figures[3]),
        failed=int(figures[4]),
    )


def check(server: Server, rows: int, expected: np.ndarray) -> None:
    """Raise when a server answers something else than the model; ours must be equal to the bit."""
    answer = requests.post(
        server.url, data=server.bodies[rows], headers={"Content-Type": "application/json"}, timeout=60
    )
    answer.raise_for_status()
    got = np.array(server.found(answer.json()))
    if not np.array_equal(got, expected[:rows]):
        raise RuntimeError(f"{server.name} answers other than the model: {got[:3]}, {expected[:3]}")


@contextmanager
def running(
    name: str, command: list[str], environment: dict[str, str], url: str, folder: Path
) -> Iterator[None]:
    """Run a server until it is not needed any more."""
    output = folder / f"{name}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **environment}, start_new_session=True
        )
    try:
        patience = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < patience:
            try:
                if requests.get(url, timeout=5).ok:
                    yield
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"{name} did not start:\n{output.read_text()[-3000:]}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(
    stack: ExitStack, wanted: params.Params, source: str, uri: str, rows: pd.DataFrame, folder: Path
) -> list[Server]:
    """Start the three servers with the model."""
    environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    fields = ["row_id", "event_time", *wanted.data.features]
    text = rows[fields].to_json(orient="records", date_format="iso", date_unit="us", double_precision=15)
    ours = json.loads(text or "[]")
    features = design(rows, wanted.data)
    table = json.loads(features.to_json(orient="split", index=False, double_precision=15))
    records = json.loads(features.to_json(orient="records", double_precision=15))

    def server(
        name: str, command: list[str], port: int, path: str, health: str, bodies: Any, found: Any
    ) -> Server:
        at = f"http://127.0.0.1:{port}"
        stack.enter_context(running(name, command, environment, at + health, folder))
        return Server(
            name=name,
            url=at + path,
            bodies={count: json.dumps(bodies(count)).encode() for count in ROWS},
            found=found,
        )

    port = free_port()
    environment |= {"BENCH_MODEL": source, "BENCH_FOLDER": str(folder)}
    ours_at = ["--bind", f"127.0.0.1:{port}", "--app", "benchmarks.served:ours"]
    trimtab = server(
        "trimtab",
        [sys.executable, "-m", "trimtab.serve", *ours_at],
        port,
        "/predict",
        "/readyz",
        lambda count: {"row": ours[0]} if count == 1 else {"rows": ours[:count]},
        lambda answer: [one["probability"] for one in answer["predictions"]],
    )
    port = free_port()
    command = [
        "mlflow",
        "models",
        "serve",
        "-m",
        source,
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "--workers",
        "1",
    ]
    mlflow = server(
        "mlflow",
        [str(BIN / command[0]), *command[1:], "--env-manager", "local"],
        port,
        "/invocations",
        "/ping",
        lambda count: {"dataframe_split": {"columns": table["columns"], "data": table["data"][:count]}},
        lambda answer: [one[1] for one in answer["predictions"]],
    )
    port = free_port()
    fastapi = server(
        "fastapi",
        [
            str(BIN / "uvicorn"),
            "benchmarks.served:fastapi",
            "--factory",
            "--port",
            str(port),
            "--log-level",
            "warning",
        ],
        port,
        "/predict",
        "/healthz",
        lambda count: {"rows": records[:count]},
        lambda answer: answer["probabilities"],
    )
    return [trimtab, mlflow, fastapi]


def model(wanted: params.Params, folder: Path) -> tuple[str, str, pd.DataFrame, np.ndarray]:
    """Fit as `params.yaml` says, log to an MLflow of its own; return its URI, the store's, rows, and their answers."""
    weeks = [week.rows for _, week in zip(range(TRAINED_WEEKS + 1), flights.weeks(), strict=False)]
    known = pd.concat(weeks[:TRAINED_WEEKS], ignore_index=True)
    known = known[known["label"].notna()].reset_index(drop=True)
    pipeline = fit(build(wanted), wanted, known)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    os.environ |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    os.chdir(folder)
    with tracking.open_run("bench", tags={}):
        source, _ = tracking.log_pipeline(
            pipeline, design(known.head(5), wanted.data), wanted.model.trusted_types
        )
    rows = weeks[TRAINED_WEEKS].head(max(ROWS)).reset_index(drop=True)
    return source, uri, rows, answers(pipeline, wanted, rows)


def main() -> None:
    """Print the table, and whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    seconds = parser.parse_args().seconds
    root = Path.cwd()
    wanted = params.load(root / params.FILE)
    if shutil.which("wrk") is None:
        raise SystemExit("wrk was not found. Install it: apt-get install wrk")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"  # mlflow starts uvicorn by its name
        source, uri, rows, expected = model(wanted, folder)
        os.environ["PYTHONPATH"] = str(root)
        (folder / params.FILE).write_bytes((root / params.FILE).read_bytes())
        servers = start(stack, wanted, source, uri, rows, folder)
        loads: dict[tuple[str, int, int], Load] = {}
        print(
            f"{'server':<10}{'rows':>5}{'conns':>6}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>7}   ratio"
        )
        for count in ROWS:
            for connections in CONNECTIONS:
                for server in servers:
                    check(server, count, expected)
                    measure(server, count, connections, 1, folder)
                    load = measure(server, count, connections, seconds, folder)
                    loads[server.name, count, connections] = load
                    ratio = loads["trimtab", count, connections].per_second / load.per_second
                    print(
                        f"{server.name:<10}{count:>5}{connections:>6}{load.per_second:>9.0f}{load.p50_ms:>9.2f}"
                        f"{load.p99_ms:>9.2f}{load.failed:>7}   {ratio:.1f}",
                        flush=True,
                    )
    single = [(loads["trimtab", 1, one], loads["mlflow", 1, one]) for one in CONNECTIONS]
    times = min(our.per_second / their.per_second for our, their in single)
    lower = all(our.p99_ms < their.p99_ms for our, their in single)
    print(
        f"\nSingle rows: at least {times:.1f} times the requests of mlflow models serve (target {TARGET_RATIO}),"
    )
    print(f"p99 {'lower' if lower else 'NOT lower'} at every number of connections; all answers equal.")
    failed = sum(load.failed for load in loads.values())
    if times < TARGET_RATIO or not lower or failed:
        raise SystemExit(f"The target was missed ({failed} requests failed).")


if __name__ == "__main__":
    main()
