"""Holds the model that answers, and follows promotions without dropping a request."""

import gc
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trimtab.contracts import ModelVersion
from trimtab.redaction import redact
from trimtab.serve.scoring import Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A model that was loaded, checked and tried.

    `commit` is of the code that trained it, `batches` says revision and md5 of each batch that it was trained on.
    """

    scorer: Scorer
    commit: str | None
    batches: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One model with its version; a request takes one and keeps it to its end."""

    champion: ModelVersion
    ready: Ready


class ModelHolder:
    """Looks for a version, makes it ready, and swaps it in; the last good one goes on until then.

    Args:
        find: Returns the version that should answer, or None; may raise when the registry is away.
        prepare: Loads a version, checks and tries it; a model for which it raises is not taken.
        keeps: Whether the last version goes on when `find` returns None: the champion does, a challenger does not.

    `serving` is replaced as a whole. `trouble` says why the last look failed; it is None after a good one. `failures`
    counts the looks that failed.
    """

    def __init__(
        self,
        *,
        find: Callable[[], ModelVersion | None],
        prepare: Callable[[ModelVersion], Ready],
        keeps: bool = True,
    ) -> None:
        self._find, self._prepare, self._keeps = find, prepare, keeps
        self.serving: Serving | None = None
        self.trouble: str | None = None
        self.failures = 0

    def refresh(self) -> bool:
        """Look once, and say whether another model answers now; trouble never takes the good one away."""
        before = self.serving
        try:
            version = self._find()
            if version is None:
                self.serving = self.serving if self._keeps else None
            elif self.serving is None or self.serving.champion != version:
                self.serving = Serving(champion=version, ready=self._prepare(version))
                log.info("Version %s is ready", version.version)
        except Exception as error:  # whatever it is, the service goes on with the last good model and says so
            self.failures += 1
            trouble = redact(f"{type(error).__name__}: {error}")
            if trouble != self.trouble:  # once a cause, not once a look
                log.exception("A version could not be taken over")
            self.trouble = trouble
        else:
            self.trouble = None
        return self.serving is not before


class Follower:
    """Lets holders look again and again, in a thread of its own, until `close`.

    After a look that brought another model it keeps all that now lives out of Python's full collections: with the
    modules that a model imports, each of them stops every request for 150 to 230 ms.
    """

    def __init__(self, holders: Sequence[ModelHolder], refresh_seconds: float) -> None:
        self._holders, self._refresh_seconds = holders, refresh_seconds
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._loop, name="model-holder", daemon=True).start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            if any([holder.refresh() for holder in self._holders]):  # a list: each of them has to look
                gc.unfreeze()  # what the former model left behind is freed
                gc.collect()
                gc.freeze()
            self._stop.wait(self._refresh_seconds)
