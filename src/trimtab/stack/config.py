"""Environment variables, secrets and settings of the stack's processes."""

import json
import os
import secrets
import sys
from pathlib import Path

from trimtab import files, params
from trimtab.settings import Ports

HOST = "127.0.0.1"
"""All servers listen on the loopback address only."""
USERS = ("admin", "viewer")
_SECRET_BYTES = 64
"""Airflow signs with SHA-512, which a shorter key would weaken."""
_AIRFLOW_SETTINGS = """\
from trimtab.stack.preload import preload

__all__: list[str] = []

preload()
"""
_AIRFLOW = {
    "CORE__LOAD_EXAMPLES": False,
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": 4,
    # The default asks a name server, which some machines do not have.
    "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in USERS),
    "API__HOST": HOST,
    "DAG_PROCESSOR__PARSING_PROCESSES": 1,
    # An edited file is parsed at once anyway, and each parse starts a process.
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 300,
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.25,
    # After this time a killed task counts as dead and is retried.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
    # A supervisor that missed the end of its task looks again after this many seconds. With the default of 5, every
    # second of two simultaneous tasks ended 5 s late.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": 1,
    "USAGE_DATA_COLLECTION__ENABLED": False,
}
"""Airflow's settings that are the same for every home."""


def environment(home: Path, ports: Ports, tree: Path = Path()) -> dict[str, str]:
    """Return the environment variables of the stack's processes, in addition to those of this process.

    The first call creates secrets and passwords in `home`.

    Args:
        home: `TRIMTAB_HOME`.
        ports: Where the servers listen.
        tree: The working tree with `dags/`, `plugins/` and the parameters.

    Raises:
        ParamsError: The tree's `params.yaml` cannot be used.
    """
    home, tree = home.resolve(), tree.resolve()
    _once(alerts_token_file(home), secrets.token_urlsafe())
    return {
        **_airflow(home, ports, tree),
        "TRIMTAB_HOME": str(home),
        "TRIMTAB_ALERTS_TOKEN_FILE": str(alerts_token_file(home)),
        "TRIMTAB_MODEL": params.load(tree / params.FILE).model.name,
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{ports.mlflow}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # MLflow Projects with env_manager local run the first `python` on PATH.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "NO_PROXY": ",".join(filter(None, (HOST, "localhost", os.environ.get("NO_PROXY")))),
        **{name: "true" for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS")},
    }


def _airflow(home: Path, ports: Ports, tree: Path) -> dict[str, str]:
    folder = home / "airflow"
    _once(passwords_file(home), json.dumps({user: secrets.token_urlsafe() for user in USERS}))
    new_keys = {name: secrets.token_urlsafe(_SECRET_BYTES) for name in ("jwt", "api")}
    keys = json.loads(_once(folder / "secrets.json", json.dumps(new_keys)))
    settings = _AIRFLOW | {
        "CORE__DAGS_FOLDER": tree / "dags",
        "CORE__PLUGINS_FOLDER": tree / "plugins",
        "CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{ports.tasks}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords_file(home),
        "API__BASE_URL": f"http://{HOST}:{ports.airflow}",
        "API__SECRET_KEY": keys["api"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        # SQLite waits 5 s for a lock by default, and on a busy machine the scheduler may hold it longer. Two triggers
        # within a few milliseconds can still block each other for the whole time: see programs.py.
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}?timeout=20",
        "LOGGING__BASE_LOG_FOLDER": home / "logs" / "tasks",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": home / "logs" / "dags",
    }
    return {"AIRFLOW_HOME": str(folder)} | {
        f"AIRFLOW__{name}": str(value) for name, value in settings.items()
    }


def write_airflow_settings(home: Path) -> None:
    """Write the module that Airflow imports when one of its processes starts."""
    files.write(home / "airflow" / "config" / "airflow_local_settings.py", _AIRFLOW_SETTINGS)


def passwords_file(home: Path) -> Path:
    """Return the path of the file with the passwords of Airflow's users."""
    return home.resolve() / "airflow" / "passwords.json"


def alerts_token_file(home: Path) -> Path:
    """Return the path of the bearer token with which Prometheus and Alertmanager call Airflow's API server."""
    return home.resolve() / "alerts.token"


def _once(path: Path, content: str) -> str:
    """Return the content of a secret file, which is created with this content if it does not exist."""
    if not path.exists():
        files.write(path, content, private=True)
    return path.read_text(encoding="utf-8")
