"""Waits for the loop; if a task fails, says which one and where its log is."""

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import TypeAdapter

from examples.flights.progress import Progress
from examples.flights.records import TaskTime
from trimtab.clock import system_clock
from trimtab.errors import RunFailed
from trimtab.stack.airflow_api import AirflowApi

T = TypeVar("T")

_POLL_SECONDS = 0.3
_CHECK_SECONDS = 2.0
_PAGE = 100
_EVENT_GRACE = timedelta(seconds=60)
"""After this time, an event that started no run is ignored: Airflow loses some, but the ledger holds the requests."""


class Watch:
    """Watches Airflow for the player."""

    def __init__(self, api: AirflowApi, home: Path, progress: Progress) -> None:
        self._api = api
        self._home = home
        self._progress = progress

    def until(self, what: str, ready: Callable[[], T | None], *, seconds: float) -> T:
        """Wait until `ready` returns a true value, and return it.

        Raises:
            RunFailed: A run failed meanwhile, or the time is over.
        """
        begin = checked = time.monotonic()
        while not (value := ready()):
            now = time.monotonic()
            if now - checked > _CHECK_SECONDS:
                checked = now
                self._refuse_failure(what)
            if now - begin > seconds:
                active = ", ".join(f"{run['dag_id']} {run['state']}" for run in self._active())
                got = f"nothing within {seconds:.0f} s ({f'active: {active}' if active else 'no run is active'})"
                raise RunFailed(what, got, self._home / "logs")
            self._progress.doing(f"waiting for {what}")
            time.sleep(_POLL_SECONDS)
        # A failed run makes Airflow quiet too.
        self._refuse_failure(what)
        return value

    def quiet(self) -> bool:
        """Say whether no run is active, and no asset event is about to start one."""
        return not self._active() and not self._pending() and not self._active()

    def clear_failed(self) -> list[str]:
        """Clear the failed tasks of every run, as an operator would after fixing the cause; return the runs."""
        runs = self._runs("failed")
        for run in runs:
            body = {"dag_run_id": run["dag_run_id"], "only_failed": True, "reset_dag_runs": True}
            self._api.post(f"/api/v2/dags/{run['dag_id']}/clearTaskInstances", {"dry_run": False, **body})
        return [f"{run['dag_id']} {run['dag_run_id']}" for run in runs]

    def trigger(self, dag: str, purpose: str, conf: dict[str, Any]) -> None:
        """Trigger a DAG, as a user would."""
        self._api.trigger(dag, conf, run_id=f"demo-{purpose}-{system_clock():%Y%m%dT%H%M%S%f}")

    def task_times(self, since: datetime) -> tuple[TaskTime, ...]:
        """Return how long each task took over the runs since a time."""
        query = {"start_date_gte": since.isoformat(), "state": "success"}
        tasks = self._all("/api/v2/dags/~/dagRuns/~/taskInstances", "task_instances", query)
        rows = [(task["dag_id"], task["task_id"], task["duration"]) for task in tasks]
        times = pd.DataFrame(rows, columns=["dag", "task", "seconds"]).dropna()
        figures = times.groupby(["dag", "task"], as_index=False).agg(
            runs=("seconds", "count"),
            mean_seconds=("seconds", "mean"),
            max_seconds=("seconds", "max"),
            total_seconds=("seconds", "sum"),
        )
        return TypeAdapter(tuple[TaskTime, ...]).validate_python(figures.to_dict("records"))

    def _refuse_failure(self, what: str) -> None:
        for run in self._runs("failed"):
            dag, run_id = run["dag_id"], run["dag_run_id"]
            path = f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances"
            tasks = self._all(path, "task_instances", {"state": "failed"})
            task = next((str(task["task_id"]) for task in tasks), "(none)")
            logs = self._home / "logs"
            log = logs / "tasks" / f"dag_id={dag}" / f"run_id={run_id}" / f"task_id={task}"
            raise RunFailed(
                what, f"task {task} of {dag} failed in run {run_id}", log if log.exists() else logs
            )

    def _active(self) -> list[dict[str, Any]]:
        return self._runs("queued") + self._runs("running")

    def _runs(self, state: str) -> list[dict[str, Any]]:
        return list(self._all("/api/v2/dags/~/dagRuns", "dag_runs", {"state": state}))

    def _pending(self) -> bool:
        assets = self._api.get("/api/v2/assets", limit=_PAGE)["assets"]
        listened = {asset["id"] for asset in assets if asset["scheduled_dags"]}
        newest = self._api.get("/api/v2/assets/events", order_by="-timestamp", limit=_PAGE)["asset_events"]
        return any(
            event["asset_id"] in listened
            and not event["created_dagruns"]
            and datetime.fromisoformat(event["timestamp"]) > system_clock() - _EVENT_GRACE
            for event in newest
        )

    def _all(self, path: str, key: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for offset in itertools.count(step=_PAGE):
            page = self._api.get(path, **query, limit=_PAGE, offset=offset)[key]
            yield from page
            if len(page) < _PAGE:
                return
