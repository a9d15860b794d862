"""Which processes the stack is made of, and the supervisor's configuration that runs them."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from trimtab.stack import preload
from trimtab.stack.ports import HOST, Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One supervised process; lower `priority` starts first and ends last."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int = 10
    autostart: bool = True
    environment: tuple[tuple[str, str], ...] = ()


def programs(home: Path, ports: Ports) -> tuple[Program, ...]:
    """Name the processes; those of Airflow wait for its database."""
    hosts = ",".join(f"{host}:{ports.mlflow}" for host in (HOST, "localhost"))
    backend = f"sqlite:///{home.resolve() / 'mlflow.db'}"
    mlflow = ("mlflow", "server", "--host", HOST, "--port", str(ports.mlflow), "--workers", "1")
    stores = (
        "--backend-store-uri",
        backend,
        "--artifacts-destination",
        str(home.resolve() / "mlflow-artifacts"),
    )
    service = ("trimtab.serve", "--bind", f"{HOST}:{ports.service}")
    api = ("airflow", "api-server", "--port")
    return (
        Program(name="mlflow", command=(*mlflow, *stores, "--allowed-hosts", hosts), priority=10),
        Program(name="service", command=service, priority=10),
        Program(
            name="airflow-api-server",
            command=(*api, str(ports.airflow), "--apps", "core"),
            priority=20,
            autostart=False,
        ),
        # A trigger from the page writes its audit line on the event loop. In one process with the tasks' reports it
        # waits there for a report's transaction, which waits for the event loop: both failed, a minute later.
        Program(
            name="airflow-task-api",
            command=(*api, str(ports.tasks), "--apps", "execution"),
            priority=20,
            autostart=False,
        ),
        Program(
            name="airflow-dag-processor", command=("airflow", "dag-processor"), priority=30, autostart=False
        ),
        # Ends first, and lets running tasks end while what they talk to is still there.
        Program(
            name="airflow-scheduler",
            command=("airflow", "scheduler", "--skip-serve-logs"),
            priority=40,
            stop_seconds=20,
            autostart=False,
            environment=((preload.VARIABLE, "1"),),
        ),
    )


_SUPERVISOR = Template("""\
[unix_http_server]
file=$socket
chmod=0700

[supervisord]
logfile=$logs/supervisord.log
pidfile=$folder/supervisord.pid
directory=$folder

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
""")

_PROGRAM = Template("""
[program:$name]
command=$command
priority=$priority
autostart=$autostart
environment=$environment
autorestart=true
startsecs=3
startretries=5
stopwaitsecs=$stop
killasgroup=true
redirect_stderr=true
stdout_logfile=$logs/$name.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
""")


def supervisor_text(home: Path, socket: Path, of: tuple[Program, ...]) -> str:
    """Return the supervisor's configuration file."""
    home = home.resolve()
    places = {"socket": socket, "folder": home / "stack", "logs": home / "logs"}
    safe = {name: _escaped(str(path)) for name, path in places.items()}
    text = _SUPERVISOR.substitute(safe)
    for one in of:
        text += _PROGRAM.substitute(
            name=one.name,
            command=_escaped(shlex.join((sys.executable, "-m", *one.command))),
            priority=one.priority,
            autostart=str(one.autostart).lower(),
            stop=one.stop_seconds,
            environment=",".join(f'{name}="{value}"' for name, value in one.environment),
            logs=safe["logs"],
        )
    return text


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
