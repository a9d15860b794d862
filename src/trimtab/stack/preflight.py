"""What the machine must have, asked before anything is started."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from trimtab.errors import Unfit
from trimtab.settings import Ports
from trimtab.stack.ports import is_free

PYTHON = (3, 11)
FREE_BYTES = 2_000_000_000
"""What a year of flights, its models and logs take, with room to spare."""


def check(home: Path, tree: Path, ports: Ports) -> None:
    """Look at all of it; say the first thing that is missing.

    Raises:
        Unfit: Something is missing; nothing was started.
    """
    check_python(sys.version_info[:2])
    check_git(shutil.which("git"))
    check_disk(home, free=shutil.disk_usage(_existing(home)).free)
    check_tree(tree)
    check_ports(ports)


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old."""
    if tuple(version) < PYTHON:
        got, wanted = ".".join(map(str, version)), ".".join(map(str, PYTHON))
        raise Unfit(f"Python {got} is too old", f"Make the environment with Python {wanted} or newer.")


def check_git(path: str | None) -> None:
    """Refuse a machine without git."""
    if path is None:
        raise Unfit("There is no git on PATH", "Install git: data and code are versioned with it.")


def check_disk(home: Path, *, free: int) -> None:
    """Refuse a disk that the loop would fill; `free` is in bytes."""
    if free < FREE_BYTES:
        remedy = "Make room there, or set TRIMTAB_HOME to a folder on another disk."
        raise Unfit(f"{home} has {free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.0f} GB are needed", remedy)


def check_tree(tree: Path) -> None:
    """Refuse a working directory that holds no DAGs."""
    if not (tree / "dags").is_dir():
        raise Unfit(f"{tree.resolve()} holds no folder `dags`", "Run this from a checkout of trimtab.")


def check_ports(ports: Ports) -> None:
    """Refuse a port that something listens on."""
    variables: dict[int, str] = {}
    for server, port in ports:
        variable = Ports.variable(server)
        if port in variables:
            raise Unfit(
                f"{variables[port]} and {variable} both name port {port}", f"Set {variable} to another one."
            )
        variables[port] = variable
        if not is_free(port):
            user = _listener(port)
            what = f"Port {port} is in use" + (f" by {user}" if user else "")
            raise Unfit(what, f"End that, or set {variable} to another port.")


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _listener(port: int) -> str | None:
    try:
        pid = next(
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid
        )
        return f"{psutil.Process(pid).name()} (process {pid})"
    except (StopIteration, psutil.Error, OSError):
        # Another user's process shows its port to nobody but root.
        return None
