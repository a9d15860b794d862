"""What tests ask of Airflow's REST API."""

from typing import Any

from trimtab.stack.airflow_api import AirflowApi


def run_state(api: AirflowApi, dag: str, run_id: str) -> str:
    """Return the state of a run: queued, running, success or failed."""
    return str(api.get(f"/api/v2/dags/{dag}/dagRuns/{run_id}")["state"])


def task_states(api: AirflowApi, dag: str, run_id: str) -> dict[str, str | None]:
    """Return the state of each task of a run; a mapped task is called `task[index]`."""
    tasks = api.get(f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
    return {_task_name(task): task["state"] for task in tasks}


def _task_name(task: dict[str, Any]) -> str:
    return str(task["task_id"]) if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"


def patch(api: AirflowApi, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Patch the resource at a path."""
    return api.request("PATCH", path, json=body)


def reparse(api: AirflowApi, dag: str) -> None:
    """Let Airflow read the file of a DAG again at once, as the button *Reparse Dag* does."""
    token = api.get(f"/api/v2/dags/{dag}")["file_token"]
    api.request("PUT", f"/api/v2/parseDagFile/{token}")
