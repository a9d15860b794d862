"""Real database servers on loopback, which tests kill, pause and start again."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.support.waiting import free_port

PATIENCE_SECONDS = 60
NOBODY = "postgres"
"""PostgreSQL refuses to run as root; Debian's package brings this user."""


class Server:
    """One process with a data folder and a port that stay the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def start(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with (self.folder / "output").open("ab") as output:
            while time.monotonic() < deadline:
                if self.process is None or self.process.poll() is not None:
                    self.process = self._launch(output.fileno())
                if self._answers():
                    return
                time.sleep(0.05)
        raise AssertionError(f"No answer:\n{(self.folder / 'output').read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it without a shutdown."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Suspend it, with all connections open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _end(self, signal_: signal.Signals) -> None:
        if self.process is not None:
            self._signal(signal_)
            self.process.wait(PATIENCE_SECONDS)
            self.process = None

    def _signal(self, which: signal.Signals) -> None:
        if self.process is not None:
            os.kill(self.process.pid, which)

    def _launch(self, output: int) -> "subprocess.Popen[bytes]":
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class Postgres(Server):
    """Debian's PostgreSQL with a cluster of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._bin = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version).parent
        self._user = NOBODY if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user, self._user)
        command = [self._bin / "initdb", "-D", folder / "data", "-U", "trimtab", "--auth=trust", "-E", "UTF8"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, user=self._user, cwd=folder)

    @property
    def url(self) -> str:
        return f"postgresql://trimtab@127.0.0.1:{self.port}/postgres"

    def schema(self, name: str) -> str:
        """Create an empty schema, which is cheaper than a database of 300 files, and return a URL that uses only it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        return f"{self.url}?options=-csearch_path%3D{name}"

    def _launch(self, output: int) -> "subprocess.Popen[bytes]":
        options = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder)]
        options += ["-c", "fsync=off"]  # no test cuts the power
        return subprocess.Popen(
            [self._bin / "postgres", "-D", self.folder / "data", *options],
            stdout=output,
            stderr=output,
            user=self._user,
            cwd=self.folder,
        )

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def _signal(self, which: signal.Signals) -> None:
        if self.process is None:
            return
        # On SIGQUIT the server ends its child processes; other signals must be sent to each of them.
        children = _children(self.process.pid) if which is not signal.SIGQUIT else []
        for pid in [self.process.pid, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)


class Mongo(Server):
    """nx-27017, which speaks MongoDB's protocol on SQLite."""

    def stop(self) -> None:
        self.kill()  # an orderly shutdown takes ten seconds

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def _launch(self, output: int) -> "subprocess.Popen[bytes]":
        files = {"--data-dir": "data", "--log-file": "log", "--pid-file": "pid"}
        options = [word for option, name in files.items() for word in (option, str(self.folder / name))]
        program = Path(sys.executable).parent / "nx-27017"
        return subprocess.Popen([program, "-p", str(self.port), *options], stdout=output, stderr=output)

    def _answers(self) -> bool:
        with MongoClient(
            self.url, serverSelectionTimeoutMS=1000
        ) as client:  # type: MongoClient[dict[str, object]]
            with contextlib.suppress(PyMongoError):
                return bool(client.admin.command("ping")["ok"])
        return False


@contextlib.contextmanager
def running(kind: type[Server]) -> Iterator[Server]:
    """Run a server in its own folder, which any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="trimtab-test-"))
    server = kind(folder)
    try:
        server.start()
        yield server
    finally:
        server.resume()
        server.stop()
        shutil.rmtree(folder)


def _version(program: Path) -> int:
    return int(program.parts[-3])


def _children(parent: int) -> list[int]:
    children = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(int(entry.parent.name))
    return children
