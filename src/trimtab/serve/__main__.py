"""`python -m trimtab.serve --bind 127.0.0.1:8080`: the model service under granian, with one process that answers.

One process, because each has counters of its own.
"""

import argparse
import socket
from functools import partial
from importlib import import_module
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from trimtab.errors import Unfit
from trimtab.serve import tokens

_CONNECTIONS = 1000
_HEAD_SECONDS = 15
"""Time for the head of a request; it begins when the connection is free for one, so it limits idle connections too."""
_BUFFER_BYTES = 2**16
"""Of each connection; a longer head is refused."""
_STOP_SECONDS = 5
"""Time for open requests when the service is stopped: less than process managers wait before they kill."""


def main() -> None:
    """Listen until SIGTERM.

    Raises:
        Unfit: It would listen beyond loopback without tokens, or the tokens or the address cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m trimtab.serve", description="Run the model service.")
    parser.add_argument("--bind", default="127.0.0.1:8080", help="address and port; port 0 takes a free one")
    parser.add_argument("--app", default="trimtab.serve.wsgi:application", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    host, port = _free(arguments.bind)
    Server(
        arguments.app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEAD_SECONDS * 1000, max_buffer_size=_BUFFER_BYTES),
        workers_kill_timeout=_STOP_SECONDS,
    ).serve(target_loader=partial(_load, arguments.app), wrap_loader=False)


def _free(bind: str) -> tuple[str, int]:
    """Return the address and port to listen on.

    Another process that listens there would go unnoticed: granian's sockets share a port.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    tokens.refuse_open_door(host, tokens.from_environment())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, int(port)), family=family) as probe:
            address = probe.getsockname()
    except (OSError, ValueError) as error:
        raise Unfit(
            f"The service cannot listen on {bind}: {error}", "Give a free one: --bind ADDRESS:PORT"
        ) from error
    return address[0], address[1]


def _load(app: str) -> Any:
    """Make the application, in the process that answers."""
    from trimtab.serve.bridge import Bridge

    module, _, name = app.partition(":")
    return Bridge(getattr(import_module(module), name)())


if __name__ == "__main__":
    main()
