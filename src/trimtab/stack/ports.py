"""Which ports the embedded stack listens on."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.errors import Unfit

HOST = "127.0.0.1"

VARIABLES = {
    "airflow": "TRIMTAB_AIRFLOW_PORT",
    "tasks": "TRIMTAB_TASKS_PORT",
    "mlflow": "TRIMTAB_MLFLOW_PORT",
    "service": "TRIMTAB_SERVICE_PORT",
}
"""The environment variable that sets each port."""

_DEFAULTS = {"airflow": 8080, "tasks": 8081, "mlflow": 5000, "service": 8000}
_HIGHEST = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The loopback port of each server; Airflow's tasks report to `tasks`, which is not the port of its pages."""

    airflow: int
    tasks: int
    mlflow: int
    service: int

    def by_variable(self) -> dict[str, int]:
        """Return the ports by the environment variable that sets them."""
        return {variable: int(getattr(self, server)) for server, variable in VARIABLES.items()}


def from_environment(environment: Mapping[str, str] | None = None) -> Ports:
    """Read the ports, or the default for a variable that is not set.

    >>> from_environment({"TRIMTAB_SERVICE_PORT": "8001"})
    Ports(airflow=8080, tasks=8081, mlflow=5000, service=8001)

    Raises:
        Unfit: A variable holds no port number, or two name the same one.
    """
    variables = os.environ if environment is None else environment
    ports = Ports(
        **{server: _read(variables, variable, _DEFAULTS[server]) for server, variable in VARIABLES.items()}
    )
    named: dict[int, str] = {}
    for variable, port in ports.by_variable().items():
        if port in named:
            raise Unfit(
                f"{named[port]} and {variable} both name port {port}", f"Set {variable} to another one."
            )
        named[port] = variable
    return ports


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


def _read(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable, str(default))
    if not text.isdecimal() or not 0 < int(text) <= _HIGHEST:
        raise Unfit(f"{variable} should be a port number, got {text!r}", f"Set it to 1 up to {_HIGHEST}.")
    return int(text)
