"""Compares what the loop served with never retraining, retraining after every batch, and a schedule, on the same rows.

The others are what a user would choose instead of trimtab. They deploy models that the loop has fitted for its first
training window, and no guard judges these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import pandas as pd
from sklearn.pipeline import Pipeline

from examples.flights.records import NEVER, SCHEDULE, Line, Quality
from trimtab.contracts import Score
from trimtab.data.batches import labelled
from trimtab.evaluate.block_length import block_hours
from trimtab.evaluate.record import Record
from trimtab.evaluate.scores import score_model
from trimtab.ledger import Batch, Measurement, Shadow, batch_key
from trimtab.loop.loop import Loop
from trimtab.registry.load import load
from trimtab.replay.comparison import LOOP
from trimtab.replay.play import Played, play
from trimtab.replay.policies import Policy, changed, equally_often, every, never
from trimtab.replay.scorecard import row
from trimtab.train.features import targets
from trimtab.train.fit import predict
from trimtab.trigger.policy import Tenure
from trimtab.trigger.standing import standing

Report = Callable[[str], None]


def scorecard(loop: Loop, report: Report = lambda _: None) -> tuple[Line, ...]:
    """Score the four policies on every batch since the first deployment.

    Args:
        loop: The stores, after the play.
        report: Called with a sentence about each policy.

    Returns:
        What the loop served, the schedule, retraining after every batch, and never, in this order.
    """
    # The policy looks back over the newest batches only; the scorecard is about all.
    now = standing(loop.ledger, changed(loop.params, max_age_batches=len(loop.ledger.keys(Batch))))
    score = _scorer(loop)
    record = [replace(each, scores=_Scores(each.scores, partial(score, each.batch))) for each in now.record]
    return compare(record, now.tenures, next(iter(loop.params.train.candidates)), report)


def compare(record: Record, tenures: Sequence[Tenure], candidate: str, report: Report) -> tuple[Line, ...]:
    """Compare what the loop served with the policies that deploy models of one candidate.

    Args:
        record: All measured batches, with a score for every model.
        tenures: What the loop served.
        candidate: Whose models the other policies deploy.
        report: Called with a sentence about each policy.
    """
    begin, leading = tenures[0].since, [candidate] * len(record)
    ours = Played(policy=LOOP, record=record, decisions=[], tenures=tenures, begin=begin, delay=0)
    policies: Mapping[str, Policy] = {
        SCHEDULE: equally_often(leading, ours.deployments, begin=begin, end=len(record)),
        "retrained after every batch": every(leading, 1),
        NEVER: never(leading),
    }
    schedule, always, first = (play(name, policy, record, begin=begin) for name, policy in policies.items())
    lines = []
    for played in (ours, schedule, always, first):
        report(f"scorecard: {played.policy}")
        scores = zip(record[begin:], played.scores, strict=True)
        lines.append(
            Line(
                row=row(played, never=first, always=always, schedule=schedule),
                weeks=tuple(
                    Quality(batch=each.batch, loss=score.loss, auc=score.auc) for each, score in scores
                ),
            )
        )
    return tuple(lines)


class _Scores(dict[str, Score]):
    """The scores of one batch; that of a model without one is computed when it is asked for."""

    def __init__(self, measured: Mapping[str, Score], score: Callable[[str], Score]) -> None:
        super().__init__(measured)
        self._score = score

    def __missing__(self, model: str) -> Score:
        self[model] = score = self._score(model)
        return score


def _scorer(loop: Loop) -> Callable[[str, str], Score]:
    """Return a function that scores a model on the rows by which the loop has measured a batch."""
    parameters, cached = loop.params, loop.stores.home / "models"
    shadows = loop.ledger.all(Shadow)
    trainings = {each.training.run_id: each.training for each in shadows if each.training is not None}
    ingested = loop.ledger.all(Batch)

    @cache
    def pipeline(model: str) -> Pipeline:
        training = trainings[model]
        return load(training.source, training.digest, parameters.model.trusted_types, cache=cached)

    hours = block_hours(parameters.gate, [each.manifest.end - each.manifest.start for each in ingested])

    @cache
    def rows(batch: str) -> pd.DataFrame:
        measurement = loop.ledger.all(Measurement, batch=batch, decision=None)[-1]
        fact = loop.ledger.require(Batch, batch_key(batch, measurement.revision))
        cutoff = max(each.manifest.end for each in ingested if each.id < measurement.id)
        return labelled(loop.origin.fetch_batch(batch, md5=fact.md5, commit=fact.commit), cutoff)

    def score(batch: str, model: str) -> Score:
        frame = rows(batch)
        answers = predict(pipeline(model), parameters, frame)
        return score_model(frame, targets(frame, parameters.data), answers, parameters, hours)

    return score
