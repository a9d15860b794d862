"""The supervisor of one home: what it was started with, and how it is asked over its socket."""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from trimtab.settings import Ports
from trimtab.stack.session import Session

_SOCKET_LENGTH = 80
"""Longest path for the socket: macOS takes 103 bytes, and supervisor binds to one with its process id added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the last start of a stack left in `stack/stack.json` for those who come later."""

    ports: Ports
    tree: str
    socket: str
    session: Session | None = None

    def word(self) -> str | None:
        """Return the supervisor's state, RUNNING or SHUTDOWN, or None when none answers."""
        try:
            return str(self.call("getState")["statename"])
        except Fault:
            return "SHUTDOWN"
        except OSError:
            return None

    def running(self) -> bool:
        """Say whether the supervisor runs, and is not about to end."""
        return self.word() == "RUNNING"

    def programs(self) -> dict[str, str]:
        """Return supervisor's word for each program: STARTING, RUNNING, BACKOFF, FATAL, STOPPED."""
        return {one["name"]: one["statename"] for one in self.call("getAllProcessInfo")}

    def call(self, method: str, *arguments: object) -> Any:  # XML-RPC types
        """Call one method of supervisor's XML-RPC interface.

        Raises:
            OSError: No supervisor answers at the socket.
            xmlrpc.client.Fault: It refuses.
        """
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        with ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


def load(home: Path) -> State | None:
    """Return what the last start left, or None when this home never had a stack."""
    try:
        raw = json.loads(_file(home).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    session = Session(**raw.pop("session")) if raw["session"] else None
    return State(**raw | {"ports": Ports(**raw["ports"]), "session": session})


def new(home: Path, tree: Path, ports: Ports) -> State:
    """Choose a socket under `home`, or in a short temporary folder when that path is too long, and remember it."""
    socket = home / "stack" / "supervisor.sock"
    if len(os.fsencode(socket)) > _SOCKET_LENGTH:
        socket = Path(tempfile.mkdtemp(prefix="trimtab-")) / socket.name
    return _kept(home, State(ports=ports, tree=str(tree.resolve()), socket=str(socket)))


def led(home: Path, state: State, session: Session) -> State:
    """Remember the session that the supervisor leads."""
    return _kept(home, replace(state, session=session))


def clear(home: Path, state: State) -> None:
    """Remove the socket of a supervisor that has ended."""
    folder = Path(state.socket).parent
    if folder == home / "stack":
        Path(state.socket).unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(home: Path, state: State) -> State:
    _file(home).parent.mkdir(parents=True, exist_ok=True)
    _file(home).write_text(json.dumps(asdict(state), indent=2, default=Ports.model_dump), encoding="utf-8")
    return state


def _file(home: Path) -> Path:
    return home / "stack" / "stack.json"
