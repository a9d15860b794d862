"""The challenger in Staging answers the same requests, off the request path, into the log only."""

import logging
import queue
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace

from trimtab import params
from trimtab.predictions.records import Prediction
from trimtab.predictions.writer import LogWriter
from trimtab.serve.answers import kept
from trimtab.serve.holder import ModelHolder, Serving

log = logging.getLogger(__name__)


class Shadow:
    """A bounded queue and one thread; what does not fit is dropped and counted, and no request waits for it.

    Args:
        challenger: Holds the version in Staging.
        into: The log.
        label: What the model answers.
        most_rows: Rows that may wait.
    """

    def __init__(self, challenger: ModelHolder, into: LogWriter, label: params.Label, most_rows: int) -> None:
        self.challenger, self._log, self._label, self._most_rows = challenger, into, label, most_rows
        self._queue: queue.SimpleQueue[tuple[Serving, Sequence[Prediction]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        threading.Thread(target=self._loop, name="shadow", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Rows that the challenger did not get to see, or could not answer."""
        return self._dropped

    def offer(self, answered: Sequence[Prediction]) -> None:
        """Let the challenger answer what was answered, if there is one and it keeps up."""
        serving = self.challenger.serving
        if serving is None:
            return
        with self._lock:
            if self._waiting + len(answered) > self._most_rows:
                self._dropped += len(answered)
                return
            self._waiting += len(answered)
        self._queue.put((serving, answered))

    def close(self) -> None:
        """Stop after what waits."""
        self._queue.put(None)

    def _loop(self) -> None:
        while (waiting := self._queue.get()) is not None:
            serving, answered = waiting
            lost = 0
            try:
                self._log.add(_answers(serving, answered, self._label))
            except Exception:  # a challenger's trouble is no matter of those who are served
                log.exception("Version %s could not answer as a shadow", serving.champion.version)
                lost = len(answered)
            with self._lock:
                self._waiting -= len(answered)
                self._dropped += lost


def _answers(serving: Serving, answered: Sequence[Prediction], label: params.Label) -> list[Prediction]:
    found = kept(label, serving.ready.scorer.answers([one.features for one in answered]))
    version = serving.champion.version
    return [
        replace(
            one,
            prediction_id=str(uuid.uuid5(uuid.UUID(one.prediction_id), f"shadow {version}")),
            version=version,
            role="shadow",
            action=None,
            propensity=None,
            answer=answer,
        )
        for one, answer in zip(answered, found, strict=True)
    ]
