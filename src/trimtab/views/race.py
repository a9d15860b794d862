"""The race as people see it: the candidates with their newest models, and what became of the newest recipe."""

from collections.abc import Iterator

from trimtab.evaluate.race import trials
from trimtab.evaluate.record import recipe_number
from trimtab.evaluate.trial import Trial
from trimtab.ledger import Ledger, RecipeEntry, Shadow
from trimtab.trigger.policy import Rules
from trimtab.trigger.standing import Standing
from trimtab.views.page.view import Candidate, Race


def race(ledger: Ledger, now: Standing, rules: Rules) -> Race:
    """Return the race as it stands; without candidates before the first batch was measured."""
    newest = now.recipes[-1] if len(now.recipes) > 1 else None
    return Race(
        batch=now.record[-1].batch if now.record else None,
        candidates=tuple(_candidates(ledger, now, rules)),
        recipe=newest,
        state=tuple(_state(now, newest, rules)) if newest else (),
    )


def _candidates(ledger: Ledger, now: Standing, rules: Rules) -> Iterator[Candidate]:
    """Yield those of the leading recipe, and those of the one on trial."""
    if not now.record:
        return
    newest = now.record[-1]
    failed = {each.candidate: each for each in ledger.all(Shadow, batch=newest.batch) if each.error}
    for name in now.racing_candidates(rules.race):
        shadow, failure = now.shadows.get(name), failed.get(name)
        yield Candidate(
            name=name,
            leads=name == now.leading,
            shadow=shadow,
            score=newest.scores.get(newest.shadows.get(name, "")),
            error=failure.error if failure and (shadow is None or failure.id > shadow.id) else None,
        )


def _state(now: Standing, newest: RecipeEntry, rules: Rules) -> Iterator[str]:
    number = newest.number
    if number == recipe_number(now.leading):
        yield f"Recipe {number} leads."
    elif number == now.on_trial:
        yield f"Recipe {number} is on trial against {now.leading}, which leads."
        states = trials(now.record, now.leading, rules.race, rules.gate, number)
        yield from (f"{name}: {_progress(state, rules)}." for name, state in states.items())
    else:
        why = (
            f"it was not better beyond doubt within {rules.race.trial_batches} batches"
            if newest.recipe == rules.recipe
            else "it is no longer that of params.yaml"
        )
        yield (
            f"Recipe {number} is out: {why}. Its models are not fitted any more. It leads without a proof after "
            f'trimtab model adopt {number} --reason "…".'
        )


def _progress(state: Trial, rules: Rules) -> str:
    begun, compared = f"{state.batches} of {rules.race.trial_batches} batches", state.comparison
    if state.kind == "PROVEN":
        return f"{begun}, better beyond doubt; it leads from the next batch on"
    if compared is None:
        return f"{begun}, compared for the first time after {rules.race.batches}"
    if compared.blocks < rules.gate.min_blocks:
        return f"{begun}, with {compared.blocks} of at least {rules.gate.min_blocks} blocks of time"
    metric, less = compared.metric.replace("_", " "), "less" if compared.gain >= 0 else "more"
    return (
        f"{begun}, its models lose {abs(compared.gain):.4f} {metric} {less} per row than the leader's (a proof at this look "
        f"takes at least {compared.gain - compared.lower:.4f} less)"
    )
