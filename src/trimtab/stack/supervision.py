"""The supervisor of a home: how it was started, its interface over a socket, and the addresses of its servers."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from trimtab import files
from trimtab.contracts import from_json, to_json
from trimtab.settings import Ports
from trimtab.stack.config import HOST, passwords_file
from trimtab.stack.session import Session

_SOCKET_LENGTH = 80
"""Longest path of the socket. macOS allows 103 bytes, and the supervisor appends its process id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """URLs of the servers, and the file with Airflow's passwords."""

    airflow: str
    mlflow: str
    service: str
    passwords: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The last start of a stack, as recorded in `stack/stack.json`."""

    ports: Ports
    tree: str
    socket: str
    session: Session | None = None

    def status(self) -> str | None:
        """Return the supervisor's state, RUNNING or SHUTDOWN, or None if no supervisor answers."""
        try:
            return str(self.call("getState")["statename"])
        except Fault:
            return "SHUTDOWN"
        except OSError:
            return None

    def running(self) -> bool:
        """Return whether the supervisor runs and is not shutting down."""
        return self.status() == "RUNNING"

    def programs(self) -> dict[str, str]:
        """Return the state of each program: STARTING, RUNNING, BACKOFF, FATAL or STOPPED."""
        return {info["name"]: info["statename"] for info in self.call("getAllProcessInfo")}

    def call(self, method: str, *arguments: object) -> Any:  # XML-RPC types
        """Call a method of the supervisor's XML-RPC interface.

        Raises:
            OSError: No supervisor answers at the socket.
            xmlrpc.client.Fault: The supervisor refuses the call.
        """
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        with ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


def load(home: Path) -> State | None:
    """Return the last start, or None if this home never had a stack."""
    try:
        return from_json(State, _file(home).read_bytes())
    except FileNotFoundError:
        return None


def addresses(home: Path) -> Addresses:
    """Return where the stack of a home listens, or will listen once it is started."""
    state = load(home.resolve())
    ports = state.ports if state else Ports()
    return Addresses(
        airflow=f"http://{HOST}:{ports.airflow}",
        mlflow=f"http://{HOST}:{ports.mlflow}",
        service=f"http://{HOST}:{ports.service}",
        passwords=passwords_file(home),
    )


def new(home: Path, tree: Path, ports: Ports) -> State:
    """Record a start with a socket in `home`, or in a temporary folder if that path is too long."""
    socket = home / "stack" / "supervisor.sock"
    if len(os.fsencode(socket)) > _SOCKET_LENGTH:
        socket = Path(tempfile.mkdtemp(prefix="trimtab-")) / socket.name
    return save(home, State(ports=ports, tree=str(tree.resolve()), socket=str(socket)))


def clear(home: Path, state: State) -> None:
    """Remove the socket of a supervisor that has ended."""
    folder = Path(state.socket).parent
    if folder == home / "stack":
        Path(state.socket).unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def save(home: Path, state: State) -> State:
    """Record a start."""
    files.write(_file(home), to_json(state))
    return state


def _file(home: Path) -> Path:
    return home / "stack" / "stack.json"
