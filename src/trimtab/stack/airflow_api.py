"""A client for the part of Airflow's REST API that the demo and the tests use."""

import json
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from trimtab.errors import CommandFailed, StoreUnreachable
from trimtab.settings import Ports
from trimtab.stack.supervision import addresses

_SECONDS = 30.0
_UNAUTHORISED, _CONFLICT = 401, 409
_RETRIES = Retry(
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

Every call may be repeated safely: the caller chooses the id of a run, and a second clear has no effect.
"""


class AirflowApi:
    """A client with the login of one Airflow user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        # A proxy cannot reach the loopback address of this machine.
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(max_retries=_RETRIES))

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Return the JSON at a path such as `/api/v2/dags`.

        Raises:
            StoreUnreachable: Airflow does not answer.
            CommandFailed: It answers with an error.
        """
        return self.request("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post JSON to a path; errors as for `get`."""
        return self.request("POST", path, json=body)

    def request(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Make a request with the content that `requests` takes, and return the JSON; errors as for `get`."""
        body: dict[str, Any] = _require_success(self._authorised(method, path, **content)).json()
        return body

    def health(self) -> dict[str, str | None]:
        """Return the status of each component of Airflow, or None for a component that does not run."""
        components = self._call("GET", "/api/v2/monitor/health").json()
        return {name: component["status"] for name, component in components.items()}

    def trigger(self, dag: str, conf: dict[str, Any] | None = None, *, run_id: str) -> str:
        """Trigger a DAG and return the run id. If a run with that id exists, nothing is triggered."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        response = self._authorised("POST", f"/api/v2/dags/{dag}/dagRuns", json=body)
        if response.status_code != _CONFLICT:
            _require_success(response)
        return run_id

    def _authorised(self, method: str, path: str, **content: Any) -> requests.Response:
        response = self._call(method, path, **content)
        if response.status_code == _UNAUTHORISED:
            login = _require_success(self._call("POST", "/auth/token", json=self._login))
            self._session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            response = self._call(method, path, **content)
        return response

    def _call(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            return self._session.request(method, self.url + path, timeout=_SECONDS, **content)
        except requests.RequestException as error:
            raise StoreUnreachable(
                "Airflow", self.url, Ports.variable("airflow"), type(error).__name__
            ) from error


def connect(home: Path, user: str = "admin") -> AirflowApi:
    """Return a client of the stack on a home, logged in with the generated password of a user."""
    urls = addresses(home)
    passwords = json.loads(urls.passwords.read_text(encoding="utf-8"))
    return AirflowApi(urls.airflow, user, passwords[user])


def _require_success(response: requests.Response) -> requests.Response:
    if not response.ok:
        request = response.request
        raise CommandFailed((str(request.method), str(request.url)), response.status_code, response.text)
    return response
