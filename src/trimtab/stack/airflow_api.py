"""A thin client of Airflow's REST API, as the demo and the tests need it."""

import json
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from trimtab.errors import CommandFailed, StoreUnreachable
from trimtab.settings import Ports
from trimtab.stack import config, supervision
from trimtab.stack.ports import HOST

_SECONDS = 30.0
_UNAUTHORISED, _CONFLICT, _BAD = 401, 409, 400
_AGAIN = Retry(
    total=None,
    connect=0,
    read=2,
    status=5,
    backoff_factor=0.5,
    status_forcelist=(500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)
"""On SQLite, two triggers within a few milliseconds can block each other until one gets a 500 (see `programs.py`).

Every call here may be made twice: a run has its id from the caller, and a second clear finds nothing to clear.
"""


class AirflowApi:
    """One user's way into one Airflow."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        # A proxy of the environment has no way to this machine's loopback.
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(max_retries=_AGAIN))

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Return what lies at a path such as `/api/v2/dags`.

        Raises:
            StoreUnreachable: Airflow does not answer.
            CommandFailed: It refuses.
        """
        return self._answer("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post to a path; errors as `get`."""
        return self._answer("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Patch what lies at a path; errors as `get`."""
        return self._answer("PATCH", path, json=body)

    def health(self) -> dict[str, str | None]:
        """Return the status of each of Airflow's components; None for one that does not run."""
        found = self._call("GET", "/api/v2/monitor/health").json()
        return {name: one["status"] for name, one in found.items()}

    def trigger(self, dag: str, conf: dict[str, Any] | None = None, *, run_id: str) -> str:
        """Trigger a DAG and return the run id; a run of that id that exists already is that run."""
        path = f"/api/v2/dags/{dag}/dagRuns"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        response = self._authorised("POST", path, json=body)
        if response.status_code != _CONFLICT:
            _checked(response)
        return run_id

    def run_state(self, dag: str, run_id: str) -> str:
        """Return queued, running, success or failed."""
        return str(self.get(f"/api/v2/dags/{dag}/dagRuns/{run_id}")["state"])

    def task_states(self, dag: str, run_id: str) -> dict[str, str | None]:
        """Return each task's state; a mapped task is named `task[index]`."""
        found = self.get(f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {
            one["task_id"] if one["map_index"] < 0 else f"{one['task_id']}[{one['map_index']}]": one["state"]
            for one in found
        }

    def _answer(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        found: dict[str, Any] = _checked(self._authorised(method, path, **content)).json()
        return found

    def _authorised(self, method: str, path: str, **content: Any) -> requests.Response:
        if "Authorization" in self._session.headers:
            response = self._call(method, path, **content)
            if response.status_code != _UNAUTHORISED:
                return response
        token = _checked(self._call("POST", "/auth/token", json=self._login)).json()["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"
        return self._call(method, path, **content)

    def _call(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            return self._session.request(method, self.url + path, timeout=_SECONDS, **content)
        except requests.RequestException as error:
            raise StoreUnreachable(
                "Airflow", self.url, Ports.variable("airflow"), type(error).__name__
            ) from error


def connect(home: Path, user: str = "admin") -> AirflowApi:
    """Return a client of the stack on a home, with a user's generated password."""
    state = supervision.load(home)
    ports = state.ports if state else Ports()
    passwords = json.loads(config.passwords_file(home).read_text(encoding="utf-8"))
    return AirflowApi(f"http://{HOST}:{ports.airflow}", user, passwords[user])


def _checked(response: requests.Response) -> requests.Response:
    if response.status_code >= _BAD:
        request = response.request
        raise CommandFailed((str(request.method), str(request.url)), response.status_code, response.text)
    return response
