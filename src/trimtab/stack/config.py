"""What the processes of the stack find in their environment, and the secrets that are made for them."""

import json
import os
import secrets
import sys
from pathlib import Path

from trimtab import params
from trimtab.settings import Ports
from trimtab.stack.ports import HOST

USERS = ("admin", "viewer")
_SECRET_BYTES = 64
"""Airflow signs with SHA-512, which a shorter key would weaken."""


_AIRFLOW_SETTINGS = """\
from trimtab.stack.preload import preload

__all__: list[str] = []

preload()
"""


def environment(home: Path, ports: Ports, tree: Path = Path()) -> dict[str, str]:
    """Return what the stack's processes find in their environment, beside what this process has.

    Secrets and passwords are made here once, under `home`.

    Args:
        home: `TRIMTAB_HOME`.
        ports: Where to listen.
        tree: The working tree, whose `dags/`, `plugins/` and model name count.

    Raises:
        ParamsError: The tree's `params.yaml` cannot be used.
    """
    home, tree = home.resolve(), tree.resolve()
    return {
        **_airflow(home, ports, tree),
        "TRIMTAB_HOME": str(home),
        "TRIMTAB_ALERTS_TOKEN_FILE": str(_alerts_token(home)),
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
    made = _secrets(folder)
    settings = {
        "CORE__DAGS_FOLDER": tree / "dags",
        "CORE__PLUGINS_FOLDER": tree / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        # The default asks the name server, and some machines have none.
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{ports.tasks}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in USERS),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords_file(home),
        "API__HOST": HOST,
        "API__BASE_URL": f"http://{HOST}:{ports.airflow}",
        "API__SECRET_KEY": made["api"],
        "API_AUTH__JWT_SECRET": made["jwt"],
        # SQLite gives up on a lock after 5 s by default, which the scheduler may hold it for on a busy machine. Two
        # people who trigger within a few milliseconds can still block each other for all of it: see programs.py.
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}?timeout=20",
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        # An edited file is parsed at once all the same; each parse costs a process.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 300,
        "LOGGING__BASE_LOG_FOLDER": home / "logs" / "tasks",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": home / "logs" / "dags",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.25,
        # A killed task is taken for dead after this, and retried.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
        # Whoever waits for a task looks again after this many seconds when the task's end slipped past it: with the
        # default of 5, every second task of two at once ended 5 s late.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": 1,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {"AIRFLOW_HOME": str(folder)} | {
        f"AIRFLOW__{name}": str(value) for name, value in settings.items()
    }


def write_airflow_settings(home: Path) -> None:
    """Write what Airflow imports at the start of each of its processes."""
    folder = home / "airflow" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "airflow_local_settings.py").write_text(_AIRFLOW_SETTINGS, encoding="utf-8")


def passwords_file(home: Path) -> Path:
    """Name the file that holds each Airflow user's password."""
    return home.resolve() / "airflow" / "passwords.json"


def alerts_token_file(home: Path) -> Path:
    """Name the file of the bearer token that Prometheus and Alertmanager bring to Airflow's API server."""
    return home.resolve() / "alerts.token"


def _alerts_token(home: Path) -> Path:
    path = alerts_token_file(home)
    if not path.exists():
        _written(path, secrets.token_urlsafe())
    return path


def _secrets(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    _once(folder / "passwords.json", {user: secrets.token_urlsafe() for user in USERS})
    return _once(
        folder / "secrets.json", {name: secrets.token_urlsafe(_SECRET_BYTES) for name in ("jwt", "api")}
    )


def _once(path: Path, made: dict[str, str]) -> dict[str, str]:
    if not path.exists():
        _written(path, json.dumps(made))
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def _written(path: Path, text: str) -> None:
    """Write a file for its owner only, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)
