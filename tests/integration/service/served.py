"""A service under gunicorn whose model lies in a file: no registry and no ledger, but everything from the socket on."""

import atexit
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from tests.support.builders import ROOT, shops
from tests.unit.serve.shelf import Log, Shelf
from trimtab.clock import system_clock
from trimtab.serve import tokens
from trimtab.serve.app import create_app

PATIENCE_SECONDS = 90
WANTED = shops(serve__max_rows=50, serve__request_seconds=3.0)


def application(folder: str) -> Flask:
    """What gunicorn starts."""
    shelf = Shelf(Path(folder))
    shelf.promote("1")
    holder = shelf.holder()
    holder.refresh()
    log = Log(Path(folder))
    log.start()
    atexit.register(log.close)
    return create_app(holder, log, WANTED, system_clock, tokens=tokens.from_environment())


def command(folder: Path, bind: str) -> list[str]:
    """How it is started."""
    settings = ["--config", "python:trimtab.serve.gunicorn_settings", "--bind", bind]
    return [sys.executable, "-m", "gunicorn", *settings, f"{__name__}:application('{folder}')"]


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """Run it until it is not needed any more; yields host and port."""
    output = folder / "gunicorn.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command(folder, "127.0.0.1:0"),
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
    try:
        patience = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < patience:
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", output.read_text())
            if found:
                yield "127.0.0.1", int(found[1])
                return
            time.sleep(0.1)
        raise AssertionError("gunicorn did not start")
    finally:
        process.terminate()
        process.wait(30)
        print(output.read_text())
