"""The race between candidates: which training window, and which recipe, is the best one at present."""

from collections.abc import Iterator

from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better, paired
from trimtab.evaluate.proof import looks_of_trial
from trimtab.evaluate.record import Record, blocks, candidates_of, comparable, recipe_number, shadow
from trimtab.params import Params

_AFTER_A_CHANGE = 2
"""Number of newest batches that may change the lead by themselves."""


def leaders(record: Record, params: Params) -> Iterator[str]:
    """Yield the candidate that leads after each batch.

    The first candidate leads at the beginning. Another takes the lead when its shadows were better than the leader's,
    beyond doubt, see `lead`. The error is per look, as in racing algorithms (Maron and Moore 1994): a false change of the
    lead costs nothing but a different window.

    Args:
        record: All batches, oldest first. The lead is played from the beginning, so it depends on nothing else.
        params: Who takes part, and when the lead changes.
    """
    leading = next(iter(params.train.candidates))
    for position in range(1, len(record) + 1):
        leading = next_leader(record[:position], leading, params)
        yield leading


def next_leader(record: Record, leading: str, params: Params, on_trial: int | None = None) -> str:
    """Return who leads after the last batch of the record; `leading` did before it.

    A training window that takes part no longer gives the lead back to the first one. A recipe on trial that has proven to
    be better takes the lead.
    """
    ours, gate = list(candidates_of(recipe_number(leading), params)), params.gate
    if leading not in ours:
        leading = ours[0]
    ahead = {
        name: compared.lower
        for name in ours
        if name != leading and is_better(compared := lead(record, name, leading, params), gate)
    }
    proven = {
        name: compared.lower
        for name in (candidates_of(on_trial, params) if on_trial else ())
        for compared in trial(record, name, leading, params)
        if is_better(compared, gate)
    }
    first = proven or ahead
    return max(first, key=first.__getitem__, default=leading)


def trial(record: Record, candidate: str, leading: str, params: Params) -> Iterator[Comparison]:
    """Yield the looks at a candidate on trial, see `proof.looks_of_trial`; the candidates of a recipe share the error."""
    race = params.race
    return looks_of_trial(
        record,
        candidate,
        leading,
        params.gate,
        length=race.trial_batches,
        first=min(race.batches, race.trial_batches),
        error=race.error / len(params.train.candidates),
    )


def lead(record: Record, candidate: str, leading: str, params: Params) -> Comparison:
    """Compare a candidate with the leader on their newest two common batches, or on the newest `race.batches`.

    It returns the one that shows the larger gain. More batches prove a small difference. After a change of the world two
    are enough, while the batches before it would hide which candidate is better now.
    """
    both = comparable(record, shadow(leading), shadow(candidate))
    compared = (
        paired(
            blocks(both[-number:], shadow(leading), shadow(candidate)), params.gate, error=params.race.error
        )
        for number in (min(_AFTER_A_CHANGE, params.race.batches), params.race.batches)
    )
    return max(compared, key=lambda each: (is_better(each, params.gate), each.lower))
