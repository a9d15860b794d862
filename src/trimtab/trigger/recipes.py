"""Which recipe leads, and which one is on trial."""

from collections.abc import Sequence
from datetime import datetime

from trimtab.contracts import Recipe
from trimtab.data.recipes import changes, recipe_of, why_unreadable
from trimtab.evaluate.record import candidates_of, recipe_number
from trimtab.ledger import Ledger, Measurement, Order, RecipeEntry, Snapshot, queries
from trimtab.params import Params
from trimtab.trigger.planning import BACKFILLED


def leading_candidate(facts: Ledger | Snapshot, entries: Sequence[RecipeEntry], params: Params) -> str:
    """Return the candidate that leads at present.

    It is the one that led after the last measurement, or the one that a person adopted since then. The recipe of
    `params.yaml` leads at once, without a trial, while there is no champion, and when the rows of the present data contract
    cannot be read by models of the leading recipe.

    Args:
        facts: The ledger.
        entries: All recipes, oldest first.
        params: `params.yaml`.
    """
    last = next(iter(facts.all(Measurement, newest=1)), None)
    adopted = [each for each in facts.all(Order, verb="adopt") if last is None or each.id > last.id]
    if adopted and adopted[-1].recipe is not None:
        return next(iter(candidates_of(adopted[-1].recipe, params)))
    leading = last.leader if last else next(iter(params.train.candidates))
    ours, present = _entry(entries, leading), present_entry(entries, leading, params)
    if ours and present and present != ours:
        if not queries.to_production(facts) or why_unreadable(ours.recipe, params.data):
            return next(iter(candidates_of(present.number, params)))
    return leading


def present_entry(entries: Sequence[RecipeEntry], leading: str, params: Params) -> RecipeEntry | None:
    """Return the entry of the recipe of `params.yaml`: the leading one or the newest one, None if it has not entered."""
    recipe, ours = recipe_of(params), _entry(entries, leading)
    return next((each for each in (ours, *entries[-1:]) if each and each.recipe == recipe), None)


def on_trial(
    facts: Ledger | Snapshot, present: RecipeEntry | None, leading: str, params: Params
) -> int | None:
    """Return the number of the recipe that is on trial, if any.

    It is the one of `params.yaml` if another one leads. Its trial is over once `race.trial_batches` were measured, with
    those on which it was fitted after the fact when it entered.
    """
    if present is None or present.number == recipe_number(leading):
        return None
    measured = facts.columns(Measurement, "batch", "event_time")
    since = {batch for batch, event_time in measured if event_time > present.event_time}
    return present.number if BACKFILLED + len(since) < params.race.trial_batches else None


def new_entry(entries: Sequence[RecipeEntry], recipe: Recipe, commit: str, now: datetime) -> RecipeEntry:
    """Return the fact that a recipe enters the race after these."""
    return RecipeEntry(
        number=len(entries) + 1,
        recipe=recipe,
        commit=commit,
        changes=changes(entries[-1].recipe, recipe) if entries else (),
        event_time=now,
    )


def _entry(entries: Sequence[RecipeEntry], candidate: str) -> RecipeEntry | None:
    return next((each for each in entries if each.number == recipe_number(candidate)), None)
