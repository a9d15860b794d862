"""Holds the model that answers, and follows promotions without dropping a request."""

import gc
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trimtab.contracts import ModelVersion
from trimtab.errors import StoreUnreachable, UnsafeModel
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
        serving: Answers until the first look.
        note: What is wrong even when all looks succeed.

    `serving` is replaced as a whole. `failures` counts the looks that failed.
    """

    def __init__(
        self,
        *,
        find: Callable[[], ModelVersion | None],
        prepare: Callable[[ModelVersion], Ready],
        keeps: bool = True,
        serving: Serving | None = None,
        note: str | None = None,
    ) -> None:
        self._find, self._prepare, self._keeps, self._note = find, prepare, keeps, note
        self.serving = serving
        self.failures = 0
        self._failure: Exception | None = None

    @property
    def trouble(self) -> str | None:
        """Why the last look failed, or the note; None when all is well."""
        return self._note if self._failure is None else summary(self._failure)

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
            if str(error) != str(self._failure):  # once a cause, not once a look
                log.exception("A version could not be taken over")
            self._failure = error
        else:
            self._failure = None
        return self.serving is not before


def summary(error: Exception) -> str:
    """Return a fixed sentence for a failure. It repeats nothing of the exception, because anybody may read it."""
    if isinstance(error, StoreUnreachable):
        return f"{error.store} does not answer"
    if isinstance(error, UnsafeModel):
        return "The version in Production was refused; the log says why"
    return "The version in Production could not be loaded; the log says why"


class Follower:
    """Lets holders look again and again, in a thread of its own, until `close`.

    At the start, and after a look that brought another model, it keeps all that now lives out of Python's full
    collections: with the modules that a model imports, each of them stops every request for 150 to 230 ms.
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
        changed = any(holder.serving for holder in self._holders)
        while not self._stop.is_set():
            changed |= any([holder.refresh() for holder in self._holders])  # a list: each of them has to look
            if changed:
                gc.unfreeze()  # what the former model left behind is freed
                gc.collect()
                gc.freeze()
            changed = False
            self._stop.wait(self._refresh_seconds)
