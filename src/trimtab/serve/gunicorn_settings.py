"""How gunicorn runs the service: `gunicorn --config python:trimtab.serve.gunicorn_settings`; see `trimtab.serve.worker`.

gunicorn waits for the whole of `graceful_timeout` (30 s by default) when a client keeps an idle connection open: stay below
the time after which the process manager kills. Its control socket lies in the home folder, where two services would take
it from each other. One worker, as each has counters of its own.
"""

from typing import Any

from trimtab.serve import tokens
from trimtab.serve.worker import PatientWorker

workers = 1
threads = 4
worker_class = PatientWorker
worker_connections = 1000
keepalive = 15
graceful_timeout = 5
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Refuse to listen beyond loopback without tokens.

    Raises:
        Unfit: It would; or the tokens cannot be used.
    """
    clients = tokens.from_environment()
    for address in server.cfg.address:
        tokens.refuse_open_door(address[0] if isinstance(address, tuple) else str(address), clients)
