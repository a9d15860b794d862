"""The race as people see it: the candidates with their newest models, and what became of the newest recipe."""

from collections.abc import Iterator

from trimtab.data.recipes import recipe_of
from trimtab.evaluate.compare import is_better
from trimtab.evaluate.race import trial
from trimtab.evaluate.record import Record, candidates_of, comparable, recipe_number, shadow
from trimtab.ledger import Ledger, RecipeEntry, Shadow
from trimtab.params import Params
from trimtab.trigger.standing import Standing
from trimtab.views.page.view import Candidate, Race


def race(ledger: Ledger, params: Params, now: Standing) -> Race:
    """Return the race as it stands; without candidates before the first batch was measured."""
    newest = now.recipes[-1] if len(now.recipes) > 1 else None
    return Race(
        batch=now.record[-1].batch if now.record else None,
        candidates=tuple(_candidates(ledger, params, now)),
        recipe=newest,
        state=tuple(_state(now, newest, params)) if newest else (),
    )


def _candidates(ledger: Ledger, params: Params, now: Standing) -> Iterator[Candidate]:
    """Yield those of the leading recipe, and those of the one on trial."""
    if not now.record:
        return
    newest = now.record[-1]
    failed = {each.candidate: each for each in ledger.all(Shadow, batch=newest.batch) if each.error}
    for name in now.racing_candidates(params):
        shadow, failure = now.shadows.get(name), failed.get(name)
        yield Candidate(
            name=name,
            leads=name == now.leading,
            shadow=shadow,
            score=newest.scores.get(newest.shadows.get(name, "")),
            error=failure.error if failure and (shadow is None or failure.id > shadow.id) else None,
        )


def _state(now: Standing, newest: RecipeEntry, params: Params) -> Iterator[str]:
    number = newest.number
    if number == recipe_number(now.leading):
        yield f"Recipe {number} leads."
    elif number == now.on_trial:
        yield f"Recipe {number} is on trial against {now.leading}, which leads."
        for name in candidates_of(number, params):
            yield f"{name}: {_progress(now.record, name, now.leading, params)}."
    else:
        why = (
            f"it was not better beyond doubt within {params.race.trial_batches} batches"
            if newest.recipe == recipe_of(params)
            else "it is no longer that of params.yaml"
        )
        yield (
            f"Recipe {number} is out: {why}. Its models are not fitted any more. It leads without a proof after "
            f'trimtab model adopt {number} --reason "…".'
        )


def _progress(record: Record, name: str, leading: str, params: Params) -> str:
    gate, limits = params.gate, params.race
    measured = comparable(record, shadow(leading), shadow(name))[: limits.trial_batches]
    begun = f"{len(measured)} of {limits.trial_batches} batches"
    looks = list(trial(record, name, leading, params))
    if not looks:
        return f"{begun}, compared for the first time after {limits.batches}"
    compared = looks[-1]
    if is_better(compared, gate):
        return f"{begun}, better beyond doubt; it leads from the next batch on"
    if compared.blocks < gate.min_blocks:
        return f"{begun}, with {compared.blocks} of at least {gate.min_blocks} blocks of time"
    metric, less = compared.metric.replace("_", " "), "less" if compared.gain >= 0 else "more"
    return (
        f"{begun}, its models lose {abs(compared.gain):.4f} {metric} {less} per row than the leader's (a proof at this look "
        f"takes at least {compared.gain - compared.lower:.4f} less)"
    )
