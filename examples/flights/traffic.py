"""Traffic of a week: a prediction for every flight before it leaves, and its outcome after it has landed."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import requests

from trimtab.errors import RequestRejected, StoreUnreachable
from trimtab.params import Params

CHUNK_ROWS = 500
"""Rows in one request, as of a booking system that sends requests in bulk."""
_TIMEOUT_SECONDS = 30


class Client:
    """A client of the model service."""

    def __init__(self, address: str, params: Params, token: str | None = None) -> None:
        self._address = address.rstrip("/")
        self._fields = ["row_id", "event_time", *params.data.features]
        self._chunk = min(CHUNK_ROWS, params.serve.max_rows)
        self._session = requests.Session()
        # A proxy of the environment cannot reach this machine's loopback.
        self._session.trust_env = False
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def version(self) -> str | None:
        """Return the version that the service uses now, None before it has one."""
        answer = self._send("GET", "/model")
        return str(answer.json()["version"]) if answer.status_code == requests.codes.ok else None

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Request predictions; return `row_id`, `probability`, `version` of the rows that the service accepted."""
        chunks = self._chunks(rows[self._fields])
        predictions = [prediction for chunk in chunks for prediction in self._predict(chunk)]
        return pd.DataFrame(predictions, columns=["row_id", "probability", "version"])

    def feedback(self, rows: pd.DataFrame) -> int:
        """Send the outcome of every labelled row; return how many."""
        outcomes = rows.loc[rows["label"].notna(), ["row_id", "label", "label_known_at"]]
        for chunk in self._chunks(outcomes):
            self._post("/feedback", {"items": chunk})
        return len(outcomes)

    def _predict(self, chunk: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Request predictions without the rows that the service refuses."""
        while chunk:
            try:
                predictions: list[dict[str, Any]] = self._post("/predict", {"rows": chunk})["predictions"]
                return predictions
            except RequestRejected as error:
                refused = {fault["row"] for fault in error.faults if "row" in fault}
                if not refused:
                    raise
                chunk = [row for place, row in enumerate(chunk) if place not in refused]
        return []

    def _chunks(self, rows: pd.DataFrame) -> Iterator[list[dict[str, Any]]]:
        for start in range(0, len(rows), self._chunk):
            text = rows.iloc[start : start + self._chunk].to_json(
                orient="records", date_format="iso", date_unit="us", double_precision=15
            )
            yield json.loads(text or "[]")

    def _send(self, method: str, path: str, body: object = None) -> requests.Response:
        try:
            return self._session.request(method, self._address + path, json=body, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise StoreUnreachable(
                "The model service", self._address, "TRIMTAB_SERVICE_PORT", error
            ) from error

    def _post(self, path: str, body: object) -> Any:
        answer = self._send("POST", path, body)
        if answer.status_code == requests.codes.unprocessable:
            raise RequestRejected(answer.json()["faults"])
        if not answer.ok:
            cause = f"HTTP {answer.status_code}: {answer.text[:200]}"
            raise StoreUnreachable("The model service", answer.url, "TRIMTAB_SERVICE_PORT", cause)
        return answer.json()
