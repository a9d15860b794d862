"""The challenger in Staging predicts the same rows after the response; its predictions go to the log only."""

import logging
import queue
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace

from trimtab.params import Label
from trimtab.predictions.records import Prediction
from trimtab.predictions.writer import LogWriter
from trimtab.serve.answers import logged
from trimtab.serve.holder import ModelHolder, Serving

log = logging.getLogger(__name__)


class Shadow:
    """A bounded queue and a thread. Rows that do not fit are dropped and counted; no request waits.

    Args:
        challenger: Holds the version in Staging.
        log: The prediction log.
        label: The label that the model predicts.
        max_rows: Rows that may wait.
    """

    def __init__(self, challenger: ModelHolder, log: LogWriter, label: Label, max_rows: int) -> None:
        self.challenger, self._log, self._label, self._max_rows = challenger, log, label, max_rows
        self._queue: queue.SimpleQueue[tuple[Serving, Sequence[Prediction]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        threading.Thread(target=self._loop, name="shadow", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Rows that were dropped, or that the challenger could not predict."""
        return self._dropped

    def offer(self, answered: Sequence[Prediction]) -> None:
        """Let the challenger predict the same rows, if there is one and the queue has room."""
        serving = self.challenger.serving
        if serving is None:
            return
        with self._lock:
            if self._waiting + len(answered) > self._max_rows:
                self._dropped += len(answered)
                return
            self._waiting += len(answered)
        self._queue.put((serving, answered))

    def close(self) -> None:
        """Stop when the queue is empty."""
        self._queue.put(None)

    def _loop(self) -> None:
        while (waiting := self._queue.get()) is not None:
            serving, answered = waiting
            lost = 0
            try:
                self._log.add(_answers(serving, answered, self._label))
            except Exception:  # a failing challenger must not end the thread
                log.exception("Version %s could not answer as a shadow", serving.champion.version)
                lost = len(answered)
            with self._lock:
                self._waiting -= len(answered)
                self._dropped += lost


def _answers(serving: Serving, answered: Sequence[Prediction], label: Label) -> list[Prediction]:
    answers = logged(label, serving.ready.scorer.answers([prediction.features for prediction in answered]))
    version = serving.champion.version
    return [
        replace(
            prediction,
            prediction_id=str(uuid.uuid5(uuid.UUID(prediction.prediction_id), f"shadow {version}")),
            version=version,
            role="shadow",
            action=None,
            propensity=None,
            answer=answer,
        )
        for prediction, answer in zip(answered, answers, strict=True)
    ]
