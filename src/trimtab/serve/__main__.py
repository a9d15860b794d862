"""`python -m trimtab.serve --bind 127.0.0.1:8080`: the model service under granian, in one process.

Several processes would each have their own counters.
"""

import argparse
import socket
from functools import partial
from pkgutil import resolve_name
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from trimtab.errors import Unfit
from trimtab.serve import tokens

_CONNECTIONS = 1000
_HEAD_SECONDS = 15
"""Time for the header of a request. It starts when the connection is idle, so it also limits idle connections."""
_BUFFER_BYTES = 2**16
"""Buffer of a connection; a longer header is refused."""
_STOP_SECONDS = 8
"""Time to answer open requests and close the log when the service is stopped; supervisord kills after 10."""


def main() -> None:
    """Listen until SIGTERM.

    Raises:
        Unfit: Tokens are required beyond loopback, or the tokens or the address cannot be used.
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
    ).serve(target_loader=partial(_create_in_worker, arguments.app), wrap_loader=False)


def _free(bind: str) -> tuple[str, int]:
    """Return the address and port to listen on.

    granian's sockets share a port, so another process that listens there would go unnoticed.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    tokens.require_tokens_beyond_loopback(host, tokens.from_environment())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, int(port)), family=family) as probe:
            address, free_port, *_ = probe.getsockname()
    except (OSError, ValueError) as error:
        raise Unfit(
            f"The service cannot listen on {bind}: {error}", "Give a free one: --bind ADDRESS:PORT"
        ) from error
    return address, free_port


def _create_in_worker(app: str) -> Any:
    from trimtab.serve.bridge import Bridge

    return Bridge(resolve_name(app)())


if __name__ == "__main__":
    main()
