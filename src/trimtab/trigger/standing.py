"""Where the loop stands: the record, the leading candidate and the models in Production, as the facts of the ledger say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from trimtab.contracts import Evaluation, Fitted
from trimtab.evaluate import alarms
from trimtab.evaluate.race import next_leader
from trimtab.evaluate.record import ScoredBatch, candidates_of, recipe_number
from trimtab.ledger import (
    Batch,
    Ledger,
    Measurement,
    RecipeEntry,
    Shadow,
    Snapshot,
    Transition,
    Version,
    queries,
    state,
)
from trimtab.params import Params
from trimtab.trigger.policy import Tenure
from trimtab.trigger.recipes import leading_candidate, on_trial, present_entry

_NEVER = datetime.min.replace(tzinfo=UTC)
_MORE = 8
"""Batches that are read beyond those that the policy looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the policy decides by.

    Args:
        record: The newest batches, oldest first: all since the deployment of the champion, and some before it.
        tenures: The models in Production, oldest first; their `since` counts batches of the record.
        leading: The candidate that leads.
        shadows: The newest model of each candidate, by candidate.
        recipes: All recipes that entered the race, oldest first.
        present: The one of `params.yaml`, None if it has not entered.
        on_trial: The number of the recipe that is on trial, if any.
    """

    record: Sequence[ScoredBatch]
    tenures: Sequence[Tenure]
    leading: str
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    recipes: Sequence[RecipeEntry] = ()
    present: RecipeEntry | None = None
    on_trial: int | None = None

    @property
    def racing(self) -> list[int]:
        """The numbers of the recipes of which models are fitted: that of the leader, and the one on trial."""
        return [recipe_number(self.leading), *([self.on_trial] if self.on_trial else [])]

    def racing_candidates(self, params: Params) -> dict[str, int | None]:
        """Return the training windows by the names of the candidates of these recipes."""
        return {
            name: window for number in self.racing for name, window in candidates_of(number, params).items()
        }


def standing(facts: Ledger | Snapshot, params: Params, *new: Measurement) -> Standing:
    """Read where the loop stands; `new` are measurements of the record that the ledger does not hold yet."""
    moves = queries.to_production(facts)
    measured = [*_newest(facts, moves, params), *new]
    fitted = facts.all(Shadow, since=min((each.event_time for each in measured), default=None))
    batches = state.batches_in_force(facts.all(Batch))
    record, ids = record_from(measured, fitted, batches, params.train.shadow_every)
    recipes = facts.all(RecipeEntry)
    leading = leading_candidate(facts, recipes, params)
    present = present_entry(recipes, leading, params)
    return Standing(
        record=record,
        tenures=tenures_from(facts, moves, ids),
        leading=leading,
        shadows=newest_shadows(facts, batches),
        recipes=tuple(recipes),
        present=present,
        on_trial=on_trial(facts, present, leading, params),
    )


def leader_after(facts: Ledger, measurement: Measurement, params: Params) -> str:
    """Return the candidate that leads once a measurement is in the ledger."""
    now = standing(facts, params, measurement)
    return next_leader(now.record, now.leading, params, now.on_trial)


def record_of(evaluation: Evaluation, fitted: Sequence[Fitted], batches: Sequence[str]) -> list[ScoredBatch]:
    """Return the record of one run of the MLflow Project; without models to score, the newest batch without scores.

    Args:
        evaluation: What was scored.
        fitted: What was fitted.
        batches: The ids of all batches, oldest first.
    """
    models = {
        batch: {
            each.fit.candidate: each.training.run_id
            for each in fitted
            if each.training and each.fit.through == batch
        }
        for batch in batches
    }
    before = dict(zip(batches[1:], batches, strict=False))
    return [
        ScoredBatch(
            batch=batch,
            scores=evaluation.scores.get(batch, {}),
            shadows=models[before[batch]] if batch in before else {},
            newest=models[batch],
            examined={
                name: evaluation.examined[run_id]
                for name, run_id in models[batch].items()
                if run_id in evaluation.examined
            },
        )
        for batch in [name for name in batches if name in evaluation.scores] or batches[-1:]
    ]


def newest_shadows(facts: Ledger | Snapshot, batches: Sequence[Batch]) -> dict[str, Shadow]:
    """Return the newest model of each candidate: the one that was fitted through the latest of these batches.

    The labels of later batches may be missing for long, so it reads what was fitted lately, and not the newest batches.
    """
    lately = [fitted.event_time for fitted in facts.all(Shadow, newest=1)]
    ends = [batch.manifest.end for batch in batches if batch.manifest.end <= max(lately, default=_NEVER)]
    starts = {batch.manifest.batch: (batch.manifest.start, batch.manifest.revision) for batch in batches}
    fitted = [
        shadow
        for shadow in facts.all(Shadow, since=ends[-_MORE:][0] if ends else None)
        if shadow.training is not None and shadow.batch in starts
    ]
    ordered = sorted(fitted, key=lambda shadow: (starts[shadow.batch][0], shadow.revision, shadow.id))
    return {shadow.candidate: shadow for shadow in ordered}


def _newest(facts: Ledger | Snapshot, moves: Sequence[Transition], params: Params) -> list[Measurement]:
    """Return the measurements of the batches since the deployment of the champion, and of some before.

    It counts batches and not measurements: late revisions of old batches push no new batch out of the record.
    """
    ends = sorted({end for (end,) in facts.columns(Measurement, "event_time")})
    later = sum(end >= moves[-1].event_time for end in ends) if moves else 0
    limits = params.trigger.max_age_batches, params.race.batches, params.race.trial_batches
    looked_at = later + max(limits) + _MORE
    return facts.all(Measurement, since=min(ends[-max(looked_at, alarms.NEWEST + 1) :], default=None))


def record_from(
    measured: Sequence[Measurement],
    fitted: Iterable[Shadow],
    batches: Sequence[Batch],
    shadow_every: int = 1,
) -> tuple[list[ScoredBatch], list[int]]:
    """Return the record, and the id of the first measurement of each of its batches.

    Of the measurements of one batch those of its newest measured revision count, together. The newest model of a candidate
    is at most `shadow_every` batches old.
    """
    order = {batch.manifest.batch: place for place, batch in enumerate(batches)}
    newest = {
        (shadow.batch, shadow.candidate): shadow
        for shadow in sorted(fitted, key=lambda each: (each.revision, each.id))
        if shadow.training is not None
    }
    ours = sorted((each for each in measured if each.batch in order), key=lambda each: order[each.batch])
    record, ids, seen = [], [], list[str]()
    for batch, group in groupby(ours, key=lambda each: each.batch):
        all_revisions, seen = list(group), [*seen, batch]
        revision = max(each.revision for each in all_revisions)
        parts = [each for each in all_revisions if each.revision == revision]
        models = {
            name: shadow
            for recent in seen[-shadow_every:]
            for (of, name), shadow in newest.items()
            if of == recent
        }
        record.append(
            ScoredBatch(
                batch=batch,
                scores={name: score for each in parts for name, score in each.scores.items()},
                shadows={name: run for each in parts for name, run in each.shadows.items()},
                newest={name: each.training.run_id for name, each in models.items() if each.training},
                examined={name: each.examined for name, each in models.items() if each.examined},
                failed={name: why for each in parts for name, why in each.failed.items()},
                champion=parts[0].champion,
            )
        )
        ids.append(min(each.id for each in all_revisions))
    return record, ids


def tenures_from(facts: Ledger | Snapshot, moves: Sequence[Transition], ids: Sequence[int]) -> list[Tenure]:
    """Return the models in Production, oldest first.

    Args:
        facts: The ledger, for the models of the versions.
        moves: The completed transitions to Production.
        ids: Of the first measurement of each batch of the record.
    """
    versions = {move.version for move in moves} | {move.replaces for move in moves if move.replaces}
    runs = dict(facts.columns(Version, "version", "training.run_id", keys=versions))
    tenures: list[Tenure] = []
    for move in moves:
        model = runs.get(move.version, f"version {move.version}")
        if move.kind == "restore" and tenures and tenures[-1].model == model:
            continue  # it never left, by the ledger
        since = max((place + 1 for place, first in enumerate(ids) if first < move.id), default=0)
        former = runs.get(move.replaces or "") if move.kind in ("promote", "force") else None
        tenures.append(
            Tenure(
                model=model,
                since=since,
                former=former,
                kind="rollback" if move.kind == "rollback" else "deployment",
            )
        )
    return tenures
