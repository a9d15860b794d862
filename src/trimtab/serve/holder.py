"""Holds the version that answers, and follows promotions without failing a request."""

import gc
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from werkzeug.exceptions import ServiceUnavailable

from trimtab.contracts import ModelVersion, Recipe
from trimtab.errors import StoreUnreachable, UnsafeModel
from trimtab.params import Params
from trimtab.serve.row_checker import Row
from trimtab.serve.scoring import Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A version that was loaded and checked. A request uses the same one from start to end.

    `params` has the data contract of the version. `commit` is that of the code that trained it; `batches` has revision and
    MD5 of each training batch.
    """

    version: ModelVersion
    scorer: Scorer
    params: Params
    commit: str | None
    batches: Mapping[str, str]

    @cached_property
    def _features(self) -> frozenset[tuple[str, str, bool]]:
        features = self.params.data.features.items()
        return frozenset((name, feature.kind, feature.nullable) for name, feature in features)

    def can_predict(self, rows: Sequence[Row], champion: "Serving") -> bool:
        """Return whether rows that were accepted for the champion have all features of this version, each of its kind."""
        others = self._features - champion._features
        return all(_has(row, *feature) for row in rows for feature in others)


def _has(row: Row, name: str, kind: str, nullable: bool) -> bool:
    value = row.get(name)
    if value is None:
        return nullable and name in row
    return isinstance(value, str) is (kind == "category")


class ModelHolder:
    """Looks for a version, prepares it, and replaces the last good one by it.

    Args:
        find: Returns the version that should answer, or None; may raise while a store is unavailable.
        prepare: Loads and checks a version; may raise, and then the version is not used.
        find_recipes: Returns the recipes whose features and labels clients may send beside those of the version.
        keeps: Whether the last version keeps answering if `find` returns None: true for a champion, not for a challenger.
        serving: Answers until the first look.
        note: What is wrong even if all looks succeed.

    `serving` is replaced as a whole, and so are the `recipes`. `failures` counts the failed looks, and `trouble` is why the
    last one failed, and the note.
    """

    def __init__(
        self,
        *,
        find: Callable[[], ModelVersion | None],
        prepare: Callable[[ModelVersion], Serving],
        find_recipes: Callable[[], tuple[Recipe, ...]] = tuple,
        keeps: bool = True,
        serving: Serving | None = None,
        note: str | None = None,
    ) -> None:
        self._find, self._prepare, self._keeps, self._note = find, prepare, keeps, note
        self._find_recipes = find_recipes
        self.serving, self.failures, self.trouble = serving, 0, note
        self.recipes: tuple[Recipe, ...] = ()
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
            version, self.recipes = self._find(), self._find_recipes()
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
