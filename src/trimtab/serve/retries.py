"""Makes a client's retry the same prediction: requests with the same `Idempotency-Key` get the same response."""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from werkzeug.exceptions import Conflict

from trimtab.errors import RequestRejected
from trimtab.predictions.records import Prediction
from trimtab.predictions.writer import LogWriter
from trimtab.serve.bodies import fault
from trimtab.serve.row_checker import CheckedRows

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255
KEY_PATTERN = f"[ -~]{{1,{MAX_KEY_CHARACTERS}}}"


class Retries:
    """Remembers the newest responses, and looks up older ones and those of other processes in the log.

    While the log's store is unavailable, a retry of an older request is predicted again; the log keeps the first answer.

    Args:
        log: The prediction log.
        model: The registered model's name.
        max_rows: Predictions that are remembered here.
    """

    def __init__(self, log: LogWriter, model: str, max_rows: int) -> None:
        self._log, self._model, self._max_rows = log, model, max_rows
        self._space = uuid.uuid5(uuid.NAMESPACE_OID, f"trimtab {model}")
        self._lock, self._rows = threading.Lock(), 0
        self._running: set[str] = set()
        self._newest: OrderedDict[str, Sequence[Prediction]] = OrderedDict()

    def answer(
        self, key: str, request: CheckedRows, make: Callable[[Sequence[str]], Sequence[Prediction]]
    ) -> tuple[Sequence[Prediction], bool]:
        """Return the predictions that the key stands for, and whether they were made before.

        Args:
            key: The client's name and its key, a line each.
            request: The rows and actions of this request.
            make: Makes and logs the predictions with the given ids.

        Raises:
            RequestRejected: The key came with another body before.
            Conflict: A request with this key is being processed.
        """
        ids = [str(uuid.uuid5(self._space, f"{key}\n{place}")) for place in range(len(request.rows) + 1)]
        with self._alone(key):
            predictions = self._newest.get(key) or self._from_log(ids)
            if not predictions:
                made = make(ids[:-1])
                self._keep(key, made)
                return made, False
        if not _made_for(request, predictions):
            rejected = fault(HEADER, "a key that did not come with another body", key.rpartition("\n")[2])
            raise RequestRejected([rejected])
        return predictions, True

    def _from_log(self, ids: Sequence[str]) -> Sequence[Prediction]:
        """Return the predictions of a key in order. One id more than rows reveals that the first request had more rows."""
        logged = self._log.find(self._model, ids)
        return [logged[prediction_id] for prediction_id in ids if prediction_id in logged]

    def _keep(self, key: str, made: Sequence[Prediction]) -> None:
        with self._lock:
            self._newest[key] = made
            self._rows += len(made)
            while self._rows > self._max_rows:
                self._rows -= len(self._newest.popitem(last=False)[1])

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._lock:
            if key in self._running:
                raise Conflict(f"A request with this {HEADER} is being processed; try again")
            self._running.add(key)
        try:
            yield
        finally:
            self._running.discard(key)


def _made_for(request: CheckedRows, predictions: Sequence[Prediction]) -> bool:
    return len(predictions) == len(request.rows) and all(
        dict(prediction.features) == row
        and prediction.action == (action.name if action else None)
        and (action is None or prediction.propensity == action.propensity)
        for prediction, row, action in zip(predictions, request.rows, request.actions, strict=True)
    )
