"""Holds the version that answers, and follows promotions without failing a request."""

import gc
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from werkzeug.exceptions import ServiceUnavailable

from trimtab.contracts import ModelVersion
from trimtab.errors import StoreUnreachable, UnsafeModel
from trimtab.serve.scoring import Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A version that was loaded and checked. A request uses the same one from start to end.

    `commit` is that of the code that trained it; `batches` has revision and MD5 of each training batch.
    """

    version: ModelVersion
    scorer: Scorer
    commit: str | None
    batches: Mapping[str, str]


class ModelHolder:
    """Looks for a version, prepares it, and replaces the last good one by it.

    Args:
        find: Returns the version that should answer, or None; may raise while a store is unavailable.
        prepare: Loads and checks a version; may raise, and then the version is not used.
        keeps: Whether the last version keeps answering if `find` returns None: true for a champion, not for a challenger.
        serving: Answers until the first look.
        note: What is wrong even if all looks succeed.

    `serving` is replaced as a whole, `failures` counts the failed looks, and `trouble` is why the last one failed, and
    the note.
    """

    def __init__(
        self,
        *,
        find: Callable[[], ModelVersion | None],
        prepare: Callable[[ModelVersion], Serving],
        keeps: bool = True,
        serving: Serving | None = None,
        note: str | None = None,
    ) -> None:
        self._find, self._prepare, self._keeps, self._note = find, prepare, keeps, note
        self.serving, self.failures, self.trouble = serving, 0, note
        self._cause: str | None = None

    def current(self) -> Serving:
        """Return the version that answers.

        Raises:
            ServiceUnavailable: No version was loaded yet.
        """
        serving = self.serving  # read once, because it may be replaced at any time
        if serving is None:
            raise ServiceUnavailable(self.trouble or "No version is in Production yet")
        return serving

    def refresh(self) -> bool:
        """Look once, and return whether another version answers now. A failure never removes the last good one."""
        before = self.serving
        try:
            version = self._find()
            if version is None:
                self.serving = before if self._keeps else None
            elif before is None or before.version != version:
                self.serving = self._prepare(version)
                log.info("Version %s is ready", version.version)
        except Exception as error:  # whatever it is, the last good version keeps answering
            self.failures += 1
            if str(error) != self._cause:  # once per cause, not once per look
                log.exception("A version could not be found or loaded")
            reason, note = summary(error), self._note or ""
            self._cause, self.trouble = str(error), (
                note if reason in note else f"{reason}. {note}".rstrip(". ")
            )
        else:
            self._cause, self.trouble = None, self._note
        return self.serving is not before


def summary(error: Exception) -> str:
    """Return a fixed sentence for a failure. It contains nothing of the exception, because anybody may read it."""
    if isinstance(error, StoreUnreachable):
        return f"{error.store} does not answer"
    if isinstance(error, UnsafeModel):
        return "The version in Production was refused; the log says why"
    return "The version in Production could not be loaded; the log says why"


def follow(holders: Iterable[ModelHolder], refresh_seconds: float) -> threading.Event:
    """Refresh holders periodically in a thread, until the returned event is set.

    At the start, and whenever another version answers, all objects are frozen for the garbage collector. Otherwise each
    full collection, which walks all imported modules, stops every request for 150 to 230 ms.
    """
    stop = threading.Event()

    def loop() -> None:
        changed = any(holder.serving for holder in holders)
        while not stop.is_set():
            changed |= any([holder.refresh() for holder in holders])  # a list, because each has to look
            if changed:
                gc.unfreeze()  # so that the former model is freed
                gc.collect()
                gc.freeze()
            changed = stop.wait(refresh_seconds)

    threading.Thread(target=loop, name="model-holder", daemon=True).start()
    return stop
