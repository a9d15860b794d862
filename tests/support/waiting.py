"""Waiting for what other processes do, and ports on which nobody listens."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(ready: Callable[[], T], what: str, *, seconds: float = 60.0, every: float = 0.2) -> T:
    """Wait until something is true; return it.

    Args:
        ready: Is called until what it returns is true.
        what: Names what is waited for, if it does not happen in time.
        seconds: How long to wait.
        every: Seconds between two calls.
    """
    end = time.monotonic() + seconds
    while not (result := ready()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(every)
    return result


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address on which nobody listens."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def free_port() -> int:
    """Return one such port."""
    (port,) = free_ports(1)
    return port
