"""Checks that the machine can run the stack, before anything is started."""

import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from trimtab.errors import Unfit
from trimtab.settings import Ports
from trimtab.stack.config import HOST

PYTHON = (3, 11)
FREE_BYTES = 2_000_000_000
"""More than a year of flights takes, with its models and logs."""


def check(home: Path, tree: Path, ports: Ports) -> None:
    """Check everything that the stack needs.

    Raises:
        Unfit: Something is missing; the message names the first such thing.
    """
    check_python(sys.version_info[:2])
    check_git(shutil.which("git"))
    check_disk(home, free=free_bytes(home))
    check_tree(tree)
    check_ports(ports)


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old."""
    if tuple(version) < PYTHON:
        got, expected = ".".join(map(str, version)), ".".join(map(str, PYTHON))
        raise Unfit(f"Python {got} is too old", f"Make the environment with Python {expected} or newer.")


def check_git(path: str | None) -> None:
    """Refuse a machine without git."""
    if path is None:
        raise Unfit("There is no git on PATH", "Install git: data and code are versioned with it.")


def check_disk(home: Path, *, free: int) -> None:
    """Refuse a disk with too little free space; `free` is in bytes."""
    if free < FREE_BYTES:
        remedy = "Free space there, or set TRIMTAB_HOME to a folder on another disk."
        raise Unfit(f"{home} has {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.0f} GB are needed", remedy)


def check_tree(tree: Path) -> None:
    """Refuse a working directory without DAGs."""
    if not (tree / "dags").is_dir():
        raise Unfit(f"{tree.resolve()} holds no folder `dags`", "Run this from a checkout of trimtab.")


def check_ports(ports: Ports) -> None:
    """Refuse a port on which another process listens."""
    if len({port for _, port in ports}) < len(Ports.model_fields):
        remedy = f"Set them with {', '.join(map(Ports.variable, Ports.model_fields))}."
        raise Unfit(f"Two servers have the same port ({ports})", remedy)
    for server, port in ports:
        if not is_free(port):
            remedy = f"End that, or set {Ports.variable(server)} to another port."
            raise Unfit(f"Port {port} is in use{_listener(port)}", remedy)


def free_bytes(home: Path) -> int:
    """Return the free bytes on the disk of a folder, which need not exist yet."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return shutil.disk_usage(existing).free


def is_free(port: int) -> bool:
    """Return whether a server could listen on a loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that a port with connections in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _listener(port: int) -> str:
    try:
        pid = next(
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
        )
        return f" by {psutil.Process(pid).name()} (process {pid})"
    except (StopIteration, psutil.Error, OSError):
        # Only root sees the ports of other users' processes.
        return ""
