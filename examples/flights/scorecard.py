"""Compares the managed model with three other policies on the same rows: never, on a schedule, every week.

The others are what a user would choose instead of trimtab: each of their trainings uses all labels known by the end of the
newest batch, and no gate judges it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from examples.flights.records import Line
from trimtab.contracts import BatchScore
from trimtab.data.batches import labelled
from trimtab.evaluate.scores import score
from trimtab.params import Binary, Params
from trimtab.train.fit import build, fit, predict

METRIC = "log_loss"
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
    by_name = {batch.name: batch for batch in batches}
    never = _fitted([by_name[name] for name in first.batches], first.cutoff, params)
    places = [place for place, batch in enumerate(batches) if len(judged_rows(batch))]
    plan = evenly(len(places), retrainings)
    scheduled = never
    scores: dict[str, list[BatchScore]] = {"managed": [], "never": [], "schedule": [], "weekly": []}
    for turn, place in enumerate(places):
        report(f"scorecard: week {turn + 1} of {len(places)}")
        before = batches[max(0, place - (params.train.window_batches or place)) : place]
        weekly = _fitted(before, before[-1].end, params)
        scheduled = weekly if turn in plan else scheduled
        name, judged = batches[place].name, judged_rows(batches[place])
        scores["managed"].append(score_of(name, judged, judged["served"].tolist()))
        for policy, model in {"never": never, "schedule": scheduled, "weekly": weekly}.items():
            scores[policy].append(score_of(name, judged, predict(model, params, judged)))
    deployments = {
        "managed": ("managed by trimtab", retrainings, promotions),
        "never": (NEVER, 0, 0),
        "schedule": ("a schedule with as many retrainings", len(plan), len(plan)),
        "weekly": ("retrained every week", len(places), len(places)),
    }
    return tuple(
        Line(policy=title, retrainings=trained, promotions=deployed, scores=tuple(scores[policy]))
        for policy, (title, trained, deployed) in deployments.items()
    )


def judged_rows(batch: Batch) -> pd.DataFrame:
    """Return the rows in force that were served and have a label, with the service's prediction as `served`."""
    served = batch.rows["row_id"].map({} if batch.served is None else batch.served)
    return batch.rows.assign(served=served)[served.notna() & batch.rows["label"].notna()]


def score_of(batch: str, rows: pd.DataFrame, probabilities: npt.ArrayLike) -> BatchScore:
    """Score the probabilities of labelled rows of one batch."""
    return score(batch, Binary(kind="binary"), rows["label"].astype("int64"), probabilities, METRIC)


def _fitted(batches: Sequence[Batch], cutoff: datetime, params: Params) -> Pipeline:
    rows = pd.concat([batch.rows for batch in batches], ignore_index=True)
    return fit(build(params), params, labelled(rows, cutoff))
