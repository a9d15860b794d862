"""Takes the writes of the prediction log off the request path, and bridges the times at which its store is away.

A request is answered when its predictions are in a file of the spool on this machine; a thread writes them to the
store, many at once, and removes the file. So:

- The process is killed at any instant: nothing that was answered is lost. The next process writes what lies there.
- The machine loses its power: lost may be what was answered since the last write to the store; while the store is away
  the files are forced to the disk at every try, so what was answered in the last `predictions.retry_seconds`.
- The store is away: up to `predictions.spool_mb` wait; then requests are refused, and nothing is lost silently.
- A write whose answer was lost is written again; its ids are there already, so nothing is doubled.
- The disk is lost: with it what waits on it. Give `TRIMTAB_HOME` a volume that outlasts the machine.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from trimtab import params
from trimtab.clock import Clock
from trimtab.errors import StoreUnreachable, Unfit
from trimtab.predictions import dead_letters
from trimtab.predictions.protocol import PredictionLog, unreachable
from trimtab.predictions.records import Outcome, Prediction, Record
from trimtab.predictions.segment import Segment
from trimtab.predictions.spool import Spool
from trimtab.predictions.timeout import call_with_timeout

T = TypeVar("T")

log = logging.getLogger(__name__)


class LogWriter:
    """Stands between the service and its prediction log; made once a process, after any fork."""

    def __init__(
        self, store: PredictionLog, folder: Path, settings: params.Predictions, clock: Clock
    ) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._spool = Spool(
            folder, most_bytes=settings.spool_mb * 1e6, batch=settings.batch, queue=settings.queue
        )
        self._away = False
        self._trouble: str | None = None
        self._written = self._replayed = self._refused = self._failures = 0
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._purge_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Reach the store and begin to write; a store that is away is waited for in the background.

        Raises:
            Unfit: Another trimtab wrote the log, and this one cannot.
        """
        try:
            self._store.prepare()
        except StoreUnreachable as error:
            self._failed(error)
        self._thread.start()

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Accept predictions, all or none; those whose id is there already change nothing.

        Raises:
            SpoolRefused: They can neither be written nor wait.
        """
        self._spool.append(predictions)

    def find(
        self, model: str, prediction_ids: Sequence[str], *, complete: bool = False
    ) -> dict[str, Prediction]:
        """Return those of the predictions that wait or are in the store.

        While the store is away, only those that wait are returned, unless the answer has to be `complete`. To answer
        again under the same id is then safe, because the log keeps the first prediction.

        Raises:
            StoreUnreachable: The store is away, one of them does not wait here, and the answer has to be complete.
        """
        waiting = self._spool.find(prediction_ids)
        predictions = {id_: entry for id_, entry in waiting.items() if entry.model == model}
        missing = [id_ for id_ in prediction_ids if id_ not in predictions]
        if missing:
            try:
                predictions |= self._ask(lambda: self._store.find(model, missing))
            except StoreUnreachable as error:
                if complete:
                    raise
                log.warning("A prediction may be in the log unseen: %s", error)
        return predictions

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> int | None:
        """Write outcomes and return how many were news; None while that is not known, because they wait.

        They are written at once, so that who sends them is told what was news; they wait when the store is away, or
        others wait before them.

        Raises:
            SpoolRefused: They can neither be written nor wait.
        """
        if not self._spool.has_truths():
            try:
                return self._ask(lambda: self._store.add_outcomes(outcomes))
            except StoreUnreachable as error:
                log.warning("%d outcomes wait: %s", len(outcomes), error)
        self._spool.append(outcomes)
        return None

    def state(self) -> Mapping[str, float]:
        """Return what waits, and what was done since the start, in records but for the bytes.

        `queued` waits its turn; `spooled` waits because the store was away or slow, or the process before died. `written`
        counts all that is in the store, `replayed` those of it that were spooled, `refused` those that no store takes and
        that were put aside, `failures` the tries that failed.
        """
        queued, spooled, size = self._spool.sizes()
        return {
            "queued": queued,
            "spooled": spooled,
            "spool_bytes": size,
            "spool_limit_bytes": self._spool.most_bytes,
            "written": self._written,
            "replayed": self._replayed,
            "refused": self._refused,
            "failures": self._failures,
            "away": self._away,
        }

    def close(self) -> None:
        """Accept no more, write what waits for some seconds, and leave the rest to the next process."""
        self._deadline = time.monotonic() + self._settings.timeout_seconds
        self._stopping.set()
        self._spool.stop()
        if self._thread.is_alive():
            self._thread.join(self._settings.timeout_seconds)
        self._keep()
        self._spool.close()
        if not self._thread.is_alive():
            self._store.close()

    def _run(self) -> None:
        while time.monotonic() < self._deadline:
            if not self._spool.has_sealed():  # one transaction a request costs more than the request
                self._stopping.wait(self._settings.gather_seconds)
            segment = self._spool.oldest(seconds=self._settings.retry_seconds)
            if segment is None and self._stopping.is_set():
                return
            if not self._turn(segment) and self._stopping.wait(self._settings.retry_seconds):
                return

    def _turn(self, segment: Segment | None) -> bool:
        """Write a segment, or look whether the store is back; tell whether it is there."""
        try:
            if segment is not None:
                self._write(segment)
            elif self._away:
                self._store.prepare()
            if time.monotonic() >= self._purge_at:
                self._store.purge(self._clock())
                self._purge_at = time.monotonic() + self._settings.purge_minutes * 60
        except Exception as error:  # the thread outlives whatever it is, and says so
            self._failed(error)
            self._keep()
            return False
        self._back()
        return True

    def _back(self) -> None:
        if self._away:
            log.info("The prediction log at %s is back", self._store.redacted_url)
        self._away, self._trouble = False, None

    def _keep(self) -> None:
        try:
            self._spool.keep()
        except OSError as error:
            log.error("What waits in %s could not be forced to the disk: %s", self._spool.folder, error)

    def _write(self, segment: Segment) -> None:
        records, broken = segment.load()
        self._put(records)
        for line in broken:
            self._aside(line, "no record of the prediction log")
        self._back()  # first: a reader that sees an empty spool queries the store
        self._spool.drop(segment)
        self._written += segment.count
        self._replayed += segment.count if segment.late else 0

    def _put(self, records: Sequence[Record], *, alone: bool = False) -> None:
        """Write records together, or else each alone, so that one that the store does not take holds up no other."""
        predictions = [record for record in records if isinstance(record, Prediction)]
        outcomes = [record for record in records if isinstance(record, Outcome)]
        try:
            if predictions:
                self._store.add(predictions)
            if outcomes:
                self._store.add_outcomes(outcomes)
        except (StoreUnreachable, Unfit):
            raise
        except Exception as error:
            if alone:
                self._aside(records[0], f"{type(error).__name__}: {error}")
            else:
                self._store.prepare()  # raises when it is the store as a whole
                for record in records:
                    self._put([record], alone=True)

    def _aside(self, record: Record | bytes, reason: str) -> None:
        path = dead_letters.append(self._spool.folder, record, reason)
        log.error("A record that the prediction log does not take was put into %s: %s", path, reason)
        self._refused += 1
        self._written -= 1

    def _ask(self, question: Callable[[], T]) -> T:
        if self._away:
            raise unreachable(self._store.redacted_url, "it was away at the last try")
        try:
            return call_with_timeout(question, seconds=self._settings.timeout_seconds)
        except StoreUnreachable as error:
            self._failed(error)
            raise
        except (TimeoutError, Unfit) as error:
            self._failed(error)
            raise unreachable(self._store.redacted_url, error) from error

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._away = True
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self._trouble:  # once a cause, not once a try
            log.error(
                "The prediction log is away; what is accepted waits in %s: %s", self._spool.folder, trouble
            )
        self._trouble = trouble
