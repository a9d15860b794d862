"""A client's retry is the same prediction: one `Idempotency-Key`, one set of prediction ids, one answer."""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from werkzeug.exceptions import Conflict

from trimtab.errors import RequestRejected
from trimtab.predictions.records import Prediction
from trimtab.predictions.writer import LogWriter
from trimtab.serve.faults import fault
from trimtab.serve.row_checker import CheckedRows

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255

Make = Callable[[Sequence[str]], Sequence[Prediction]]


class Retries:
    """Remembers the newest answers itself, and asks the log for older ones and those of other processes.

    When the log's store is away, a retry of something older is answered anew; the log keeps the first answer to an id.

    Args:
        log: Where every prediction is.
        model: The registered model's name.
        most_rows: Rows of answers that are remembered here.
    """

    def __init__(self, log: LogWriter, model: str, most_rows: int) -> None:
        self._log, self._model, self._most_rows = log, model, most_rows
        self._space = uuid.uuid5(uuid.NAMESPACE_OID, f"trimtab {model}")
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._newest: OrderedDict[str, Sequence[Prediction]] = OrderedDict()
        self._rows = 0

    def answer(self, key: str, request: CheckedRows, make: Make) -> tuple[Sequence[Prediction], bool]:
        """Return the predictions that the key stands for, and whether they were made before.

        Args:
            key: The client's name and its key, a line each.
            request: What the client asks now.
            make: Makes and logs the predictions with the given ids.

        Raises:
            RequestRejected: The key came with another body before.
            Conflict: A request with this key is being answered right now.
        """
        ids = [str(uuid.uuid5(self._space, f"{key}\n{place}")) for place in range(len(request.rows) + 1)]
        with self._alone(key):
            predictions = self._newest.get(key) or self._from_log(ids)
            if predictions:
                if not _answers(predictions, request):
                    expected = "a key that did not come with another body"
                    raise RequestRejected([fault(HEADER, expected, key.rpartition("\n")[2])])
                return predictions, True
            made = make(ids[:-1])
            self._keep(key, made)
            return made, False

    def _from_log(self, ids: Sequence[str]) -> Sequence[Prediction]:
        """Return the predictions of a key in order; with one id more than rows, a longer first request shows itself."""
        found = self._log.find(self._model, ids)
        return [found[one] for one in ids if one in found]

    def _keep(self, key: str, made: Sequence[Prediction]) -> None:
        with self._lock:
            self._newest[key] = made
            self._rows += len(made)
            while self._rows > self._most_rows:
                _, oldest = self._newest.popitem(last=False)
                self._rows -= len(oldest)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._lock:
            if key in self._running:
                raise Conflict(f"A request with this {HEADER} is being answered; ask again")
            self._running.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(key)


def _answers(predictions: Sequence[Prediction], request: CheckedRows) -> bool:
    """Tell whether predictions were made for these rows and actions."""
    return len(predictions) == len(request.rows) and all(
        dict(prediction.features) == row
        and prediction.action == (action.name if action else None)
        and (action is None or prediction.propensity == action.propensity)
        for prediction, row, action in zip(predictions, request.rows, request.actions, strict=True)
    )


def key_fault(key: str) -> str | None:
    """Say what was expected instead of a key; None when it is one."""
    if 1 <= len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable():
        return None
    return f"1 to {MAX_KEY_CHARACTERS} printable ASCII characters"
