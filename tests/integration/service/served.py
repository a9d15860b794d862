"""A service under granian whose model is a file: no registry and no ledger, but everything from the socket on."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from flask import Flask

from tests.support.builders import ROOT, shops
from tests.unit.serve.shelf import Log, Shelf
from trimtab.clock import system_clock
from trimtab.serve import tokens
from trimtab.serve.app import create_app

PATIENCE_SECONDS = 90
WANTED = shops(serve__max_rows=50, serve__request_seconds=3.0)


def application() -> Flask:
    """What the server starts."""
    folder = Path(os.environ["SERVED_FOLDER"])
    shelf = Shelf(folder)
    shelf.promote("1")
    holder = shelf.holder()
    holder.refresh()
    log = Log(folder)
    log.start()
    return create_app(holder, log, WANTED, system_clock, tokens=tokens.from_environment())


def command(bind: str, app: str = f"{__name__}:application") -> list[str]:
    """How it is started."""
    return [sys.executable, "-m", "trimtab.serve", "--bind", bind, "--app", app]


def listening(process: "subprocess.Popen[bytes]", output: Path) -> tuple[str, int]:
    """Return host and port of a service as soon as it answers; it logs its port before."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < patience:
        port = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", output.read_text())
        if port and _answers("127.0.0.1", int(port[1])):
            return "127.0.0.1", int(port[1])
        time.sleep(0.1)
    raise AssertionError(f"The service did not start:\n{output.read_text()}")


def _answers(host: str, port: int) -> bool:
    try:
        return requests.get(f"http://{host}:{port}/healthz", timeout=30).ok
    except requests.ConnectionError:
        return False


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """Run it until it is not needed any more; yields host and port."""
    output = folder / "service.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command("127.0.0.1:0"),
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SERVED_FOLDER": str(folder), **environment},
        )
    try:
        yield listening(process, output)
    finally:
        process.terminate()
        process.wait(30)
        print(output.read_text())
