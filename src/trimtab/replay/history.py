"""The history that is replayed: labelled batches, and the models that were fitted and scored on them."""

import hashlib
import json
import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from trimtab import files
from trimtab.contracts import Examined, Score, from_json, to_json
from trimtab.data.batches import BATCH, labelled
from trimtab.data.schema import LABEL
from trimtab.evaluate.record import BASELINE, ScoredBatch
from trimtab.evaluate.scores import apart
from trimtab.params import Params
from trimtab.replay.shadows import Shadow, fit_shadow
from trimtab.train.features import targets
from trimtab.train.row_groups import Rows, read, write

_LIBRARIES = ("trimtab", "numpy", "pandas", "scikit-learn")
"""Libraries of which another version may fit another model."""

Floats = npt.NDArray[np.float64]
Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class History:
    """Labelled batches, oldest first.

    Args:
        name: Of the history, in a scorecard.
        params: Under which the models are fitted.
        rows_file: A file of `train.row_groups.write` with a row group a batch.
        ends: The end of each batch, by batch.
        windows: Training windows by the name of their candidate: a number of batches, or None for all.
        block_hours: Length of a block of time.
        cache: Folder in which fitted and scored models are kept. A replay that was killed goes on from there.
        drifts: Numbers of the batches with which an abrupt drift begins, where they are known.
        delay: Number of batches by which labels are late.
    """

    name: str
    params: Params
    rows_file: Path
    ends: Mapping[str, datetime]
    windows: Mapping[str, int | None]
    block_hours: float
    cache: Path
    drifts: Sequence[int] = ()
    delay: int = 0

    @cached_property
    def rows(self) -> Rows:
        """The rows of all batches."""
        return read(self.rows_file)

    @cached_property
    def batches(self) -> list[str]:
        """The ids of the batches."""
        return [part.batch for part in self.rows.parts]

    @cached_property
    def cutoffs(self) -> list[datetime]:
        """For each batch, the time up to which labels count when it is scored and when a model is fitted through it.

        As in the loop it is the end of the newest batch by then: `delay` batches later, or the last one.
        """
        ends = [self.ends[batch] for batch in self.batches]
        return [*ends, *ends[-1:] * self.delay][self.delay :]

    @cached_property
    def recorded(self) -> list[int]:
        """Numbers of the batches of the record: those after the first model that have a label known at their cut-off."""
        parts = zip(self.rows.parts, self.cutoffs, strict=True)
        rows = [part.known_at(cutoff).rows for part, cutoff in parts]
        return [number for number in range(self.first + 1, len(rows)) if rows[number]]

    @property
    def first(self) -> int:
        """Number of the batch through which the first shadows are fitted.

        They are scored on two batches by the time that `train.start_batches` have come.
        """
        return max(0, self.params.train.start_batches - 3)

    @cached_property
    def fits(self) -> list[int]:
        """Numbers of the batches through which the candidates are fitted, as `train.shadow_every` says.

        As in the loop, batches that are not in the record do not count. A fit that fails is not tried again through the
        next batch.
        """
        return [self.first, *self.recorded][:: self.params.train.shadow_every]

    @property
    def begin(self) -> int:
        """Number of batches of the record at the first decision: `train.start_batches` have come by then."""
        return self.params.train.start_batches - self.first - 1

    @cached_property
    def folder(self) -> Path:
        """Folder of the models; its name is a digest of the rows, the cut-offs, the recipe and the libraries' versions."""
        recipe = self.params.model_dump(
            mode="json", include={"model": True, "data": True, "gate": True, "train": {"shadow_every"}}
        )
        libraries = [version(name) for name in _LIBRARIES]
        cutoffs = [cutoff.isoformat() for cutoff in self.cutoffs]
        text = json.dumps([recipe, libraries, self.block_hours, cutoffs], sort_keys=True)
        digest = hashlib.sha256(self.rows_file.read_bytes() + text.encode()).hexdigest()
        return self.cache / digest[:16]

    def fit_all(self, jobs: int, report: Report = lambda done, total: None) -> None:
        """Fit and score what is missing, with `jobs` processes; `report` is told the number of models done and in all."""
        tasks = list(self._tasks())
        missing = [task for task in tasks if not self._path(*task).exists()]
        done = len(tasks) - len(missing)
        report(done, len(tasks))
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
            fits = [pool.submit(self.fit, *task) for task in missing]
            for number, future in enumerate(as_completed(fits), start=done + 1):
                future.result()
                report(number, len(tasks))

    def fit(self, candidate: str, through: int) -> None:
        """Fit a candidate through a batch, score it on all later ones, and keep the scores."""
        window = self.windows.get(candidate)
        begin = 0 if window is None else max(0, through + 1 - window)
        shadow, newest, following = fit_shadow(
            self.params,
            self.rows,
            range(begin, through + 1),
            following=next((later for later in self.fits if later > through), through + 1),
            cutoffs=self.cutoffs,
            baseline=candidate == BASELINE,
            block_hours=self.block_hours,
        )
        path = self._path(candidate, through)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".npz"), newest=newest, following=following)
        files.write(path, to_json(shadow))  # last: a model counts as fitted once this file is there

    def record(self) -> list[ScoredBatch]:
        """Return the record of the loop: for each batch from the first score on, the scores of all models fitted before.

        A batch without a label that was known at its cut-off is left out.
        """
        return [self._scored(number) for number in self.recorded]

    def shadow(self, candidate: str, through: int) -> Shadow:
        """Return what is known of the model that a candidate fitted through a batch."""
        key = candidate, through
        if key not in self._shadows:
            self._shadows[key] = from_json(Shadow, self._path(candidate, through).read_bytes())
        return self._shadows[key]

    @cached_property
    def _shadows(self) -> dict[tuple[str, int], Shadow]:
        return {}

    def distance(self, candidate: str, through: int) -> float | None:
        """Return how far apart the predictions of two successive models of a candidate are on the newer's last batch."""
        place = self.fits.index(through)
        before = self.fits[max(0, place - 1)]
        if place == 0 or self.shadow(candidate, through).error or self.shadow(candidate, before).error:
            return None
        ours = self._predictions(candidate, through, "newest")
        theirs = self._predictions(candidate, before, "following")
        newest = self.rows.parts[through].known_at(self.cutoffs[through])
        truths = targets(newest.read([LABEL]), self.params.data)
        return apart(ours, theirs, truths, self.params.data.label)

    def _predictions(self, candidate: str, through: int, of: str) -> Floats:
        with np.load(self._path(candidate, through).with_suffix(".npz")) as arrays:
            return np.asarray(arrays[of])

    def _tasks(self) -> Iterator[tuple[str, int]]:
        for through in range(self.first, len(self.batches)):
            for candidate in (*(self.windows if through in self.fits else ()), BASELINE):
                yield candidate, through

    def _through(self, number: int) -> int:
        """Return the number of the newest batch, up to this one, through which the candidates are fitted."""
        return self.fits[bisect_right(self.fits, number) - 1]

    def _path(self, candidate: str, through: int) -> Path:
        return self.folder / f"{candidate}-{through:05}.json"

    def _scored(self, number: int) -> ScoredBatch:
        newest = self._through(number)
        return ScoredBatch(
            batch=self.batches[number],
            scores=_Scores(history=self, number=number),
            shadows=self._fitted(self._through(number - 1)),
            newest=self._fitted(newest),
            examined={
                name: Examined(distance=self.distance(name, newest), milliseconds_per_row=0.0, megabytes=0.0)
                for name in self.windows
            },
        )

    def _fitted(self, through: int) -> dict[str, str]:
        """Return the name of each candidate's model that was fitted through a batch."""
        batch = self.batches[through]
        return {
            name: model_name(name, batch) for name in self.windows if self.shadow(name, through).error is None
        }


def _end_with_parent() -> None:
    """End this process when the one that started it is killed; by itself it would wait for work for ever."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def write_rows(path: Path, batches: Iterable[tuple[str, pd.DataFrame]]) -> None:
    """Write the labelled rows of batches to a file for `History.rows_file`; batches without a label are left out.

    Args:
        path: The file; it is complete or not there.
        batches: Id and rows of each batch, oldest first.
    """
    frames = [labelled(rows, None).assign(**{BATCH: batch}) for batch, rows in batches]
    schemas = [pa.Table.from_pandas(frame, preserve_index=False).schema.remove_metadata() for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        write(draft, pa.unify_schemas(schemas, promote_options="permissive"), frames)
        draft.rename(path)


def model_name(candidate: str, batch: str) -> str:
    """Return the name of the model that a candidate fitted through a batch.

    >>> model_name("newest 8", "2013-W27")
    'newest 8 through 2013-W27'
    """
    return f"{candidate} through {batch}"


@dataclass(frozen=True, kw_only=True)
class _Scores(Mapping[str, Score]):
    """The scores of all models on one batch; they are read when they are asked for."""

    history: History
    number: int
    read: dict[str, Score] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        if name not in self.read:
            candidate, through = self._places[name]
            self.read[name] = self.history.shadow(candidate, through).scores[
                self.history.batches[self.number]
            ]
        return self.read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places and self.history.shadow(*self._places[name]).error is None

    @cached_property
    def _places(self) -> dict[str, tuple[str, int]]:
        earlier = [through for through in self.history.fits if through < self.number]
        places = {
            model_name(candidate, self.history.batches[through]): (candidate, through)
            for candidate in self.history.windows
            for through in earlier
        }
        return places | {BASELINE: (BASELINE, self.number - 1)}
