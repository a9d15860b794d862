"""Compares the managed model with three other policies on the same rows: never, on a schedule, every week.

The others are what a user would choose instead of trimtab: each of their trainings uses all labels known by the end of the
newest batch, and no gate judges it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy.typing as npt
import pandas as pd

from examples.flights.records import Line
from trimtab.contracts import BatchScore
from trimtab.params import Binary, Params

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

METRIC = "log_loss"
LABEL = Binary(kind="binary")
NEVER = "never retrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of the loop; `served` are the service's probabilities by `row_id`, None without traffic."""

    name: str
    end: datetime
    rows: pd.DataFrame
    served: pd.Series | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The batches that the first champion was trained on, and the label cut-off."""

    batches: Sequence[str]
    cutoff: datetime


def evenly(weeks: int, retrainings: int) -> frozenset[int]:
    """Return the positions, from 0, of the weeks before which an even schedule retrains.

    >>> sorted(evenly(12, 3))
    [3, 6, 9]
    >>> sorted(evenly(2, 5))
    [0, 1]
    """
    return frozenset(int(place * weeks / (retrainings + 1)) for place in range(1, retrainings + 1))


def scorecard(
    batches: Sequence[Batch],
    first: Recipe,
    params: Params,
    *,
    retrainings: int,
    promotions: int,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Line, ...]:
    """Score four policies on every served week.

    Args:
        batches: All batches, oldest first.
        first: The recipe of the first champion, with which never and the schedule start.
        params: The parameters of the loop.
        retrainings: How often the managed model was retrained after its first training.
        promotions: How many of these ended in a promotion.
        report: Called with a sentence about each step.

    Returns:
        Managed, never, schedule and every week, in this order. All policies are scored on the same rows.
    """
    from trimtab.train.fit import predict

    by_name = {batch.name: batch for batch in batches}
    never = _fitted(_labelled([by_name[name] for name in first.batches], first.cutoff), params)
    places = [place for place, batch in enumerate(batches) if len(judged_rows(batch))]
    plan = evenly(len(places), retrainings)
    scheduled = never
    scores: dict[str, list[BatchScore]] = {"managed": [], "never": [], "schedule": [], "weekly": []}
    for turn, place in enumerate(places):
        report(f"scorecard: week {turn + 1} of {len(places)}")
        weekly = _fitted(_history(batches[:place], params), params)
        scheduled = weekly if turn in plan else scheduled
        name, judged = batches[place].name, judged_rows(batches[place])
        scores["managed"].append(_score(name, judged, judged["served"].tolist()))
        for policy, model in {"never": never, "schedule": scheduled, "weekly": weekly}.items():
            scores[policy].append(_score(name, judged, predict(model, params, judged)))
    return (
        _line("managed by trimtab", retrainings, promotions, scores["managed"]),
        _line(NEVER, 0, 0, scores["never"]),
        _line("a schedule with as many retrainings", len(plan), len(plan), scores["schedule"]),
        _line("retrained every week", len(places), len(places), scores["weekly"]),
    )


def judged_rows(batch: Batch) -> pd.DataFrame:
    """Return the rows in force that were served and have a label, with the service's prediction as `served`."""
    if batch.served is None:
        return batch.rows.iloc[:0].assign(served=pd.Series(dtype=float))
    rows = batch.rows.assign(served=batch.rows["row_id"].map(batch.served))
    return rows[rows["served"].notna() & rows["label"].notna()]


def _labelled(batches: Sequence[Batch], cutoff: datetime) -> pd.DataFrame:
    from trimtab.data.batches import labelled

    rows: pd.DataFrame = labelled(pd.concat([batch.rows for batch in batches], ignore_index=True), cutoff)
    return rows


def _history(before: Sequence[Batch], params: Params) -> pd.DataFrame:
    window = params.train.window_batches
    return _labelled(before if window is None else before[-window:], before[-1].end)


def _fitted(rows: pd.DataFrame, params: Params) -> "Pipeline":
    from trimtab.train.fit import build, fit

    return fit(build(params), params, rows)


def _score(batch: str, rows: pd.DataFrame, answers: npt.ArrayLike) -> BatchScore:
    from trimtab.evaluate.scores import score

    return score(batch, LABEL, rows["label"].astype("int64"), answers, METRIC)


def _line(policy: str, retrainings: int, promotions: int, scores: Sequence[BatchScore]) -> Line:
    return Line(policy=policy, retrainings=retrainings, promotions=promotions, scores=tuple(scores))


def by_batch(line: Line) -> Mapping[str, BatchScore]:
    """Return a line's scores by batch."""
    return {score.batch: score for score in line.scores}
