"""The processes of the stack, and the supervisor's configuration for them."""

import shlex
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from string import Template

from trimtab.settings import Ports, Settings
from trimtab.stack.config import HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A supervised process. A lower `priority` starts earlier and ends later."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int = 10
    autostart: bool = True
    environment: tuple[tuple[str, str], ...] = ()


_DAG_PROCESSOR = Program(
    name="airflow-dag-processor", command=("airflow", "dag-processor"), priority=30, autostart=False
)
_SCHEDULER = Program(
    name="airflow-scheduler",
    command=("airflow", "scheduler", "--skip-serve-logs"),
    priority=40,  # ends first, so that running tasks can finish while the servers that they need are still there
    stop_seconds=20,
    autostart=False,
    environment=((Settings.variable("preload"), "1"),),
)


def programs(home: Path, ports: Ports) -> tuple[Program, ...]:
    """Return the processes. Those of Airflow are started later, when its database exists."""
    home = home.resolve()
    mlflow = {
        "--host": HOST,
        "--port": str(ports.mlflow),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{home / 'mlflow.db'}",
        "--artifacts-destination": str(home / "mlflow-artifacts"),
        "--allowed-hosts": f"{HOST}:{ports.mlflow},localhost:{ports.mlflow}",
    }
    return (
        Program(name="mlflow", command=("mlflow", "server", *chain(*mlflow.items())), priority=10),
        Program(name="service", command=("trimtab.serve", "--bind", f"{HOST}:{ports.service}"), priority=10),
        Program(
            name="airflow-api-server",
            command=("airflow", "api-server", "--port", str(ports.airflow), "--apps", "core"),
            priority=20,
            autostart=False,
        ),
        # A trigger from the page writes its audit log on the event loop. In the same process as the tasks' reports, it
        # waits for the transaction of a report, which waits for the event loop, and both fail after a minute.
        Program(
            name="airflow-task-api",
            command=("airflow", "api-server", "--port", str(ports.tasks), "--apps", "execution"),
            priority=20,
            autostart=False,
        ),
        _DAG_PROCESSOR,
        _SCHEDULER,
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


def supervisor_text(home: Path, socket: Path, supervised: tuple[Program, ...]) -> str:
    """Return the content of the supervisor's configuration file."""
    home = home.resolve()
    logs = _escaped(home / "logs")
    text = _SUPERVISOR.substitute(socket=_escaped(socket), folder=_escaped(home / "stack"), logs=logs)
    for program in supervised:
        text += _PROGRAM.substitute(
            name=program.name,
            command=_escaped(shlex.join((sys.executable, "-m", *program.command))),
            priority=program.priority,
            autostart=str(program.autostart).lower(),
            stop=program.stop_seconds,
            environment=",".join(f'{name}="{value}"' for name, value in program.environment),
            logs=logs,
        )
    return text


def _escaped(text: str | Path) -> str:
    return str(text).replace("%", "%%")
