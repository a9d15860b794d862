"""Holds the model that answers, and follows promotions without dropping a request."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sklearn.pipeline import Pipeline

from trimtab.contracts import ModelVersion

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One model with its version; a request takes one and keeps it to its end."""

    champion: ModelVersion
    pipeline: Pipeline


class ModelHolder:
    """Looks for a newly promoted version, loads and tries it, and swaps it in; the last good one goes on until then.

    Args:
        find: Returns the version in Production, or None; may raise when the registry is away.
        load: Loads a version, checked; may raise.
        warm: Predicts something with a fresh model; a model that raises here is not taken.
        refresh_seconds: Time between two looks.

    `serving` is replaced as a whole and never goes back to None. `trouble` says why the last look failed; it is None
    after a good one. `failures` counts the looks that failed.
    """

    def __init__(
        self,
        *,
        find: Callable[[], ModelVersion | None],
        load: Callable[[ModelVersion], Pipeline],
        warm: Callable[[Pipeline], object],
        refresh_seconds: float,
    ) -> None:
        self._find, self._load, self._warm = find, load, warm
        self._refresh_seconds = refresh_seconds
        self._stop = threading.Event()
        self.serving: Serving | None = None
        self.trouble: str | None = None
        self.failures = 0

    def refresh(self) -> None:
        """Look once; trouble never takes the good model away."""
        try:
            champion = self._find()
            if champion is not None and (self.serving is None or self.serving.champion != champion):
                self._take(champion)
        except Exception as error:  # whatever it is, the service goes on with the last good model and says so
            self.failures += 1
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self.trouble:  # once a cause, not once a look
                log.exception("The champion could not be taken over")
            self.trouble = trouble
        else:
            self.trouble = None

    def follow(self) -> None:
        """Look again and again in a thread of its own, until `close`."""
        threading.Thread(target=self._loop, name="model-holder", daemon=True).start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()

    def _take(self, champion: ModelVersion) -> None:
        pipeline = self._load(champion)
        self._warm(pipeline)
        self.serving = Serving(champion=champion, pipeline=pipeline)
        log.info("Serving version %s", champion.version)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            self._stop.wait(self._refresh_seconds)
