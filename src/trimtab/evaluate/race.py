"""The race between candidates: which training window, and which recipe, is the best one at present."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better, paired
from trimtab.evaluate.record import Record, blocks, candidate_name, comparable, recipe_number, shadow
from trimtab.evaluate.trial import Trial, trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Who takes part, and when the lead changes.

    Args:
        candidates: The training windows of the first recipe. The first one leads at the beginning.
        batches: Number of newest common batches to compare on.
        error: Probability that a candidate that is no better takes the lead: of another window at each look, of another
            recipe over its whole trial.
        trial_batches: Length of the trial of another recipe.
    """

    candidates: Sequence[str]
    batches: int = 6
    error: float = 0.05
    trial_batches: int = 10

    def of_recipe(self, number: int) -> list[str]:
        """Return the candidates of a recipe."""
        return [candidate_name(window, number) for window in self.candidates]


def leaders(record: Record, race: Race, gate: params.Gate) -> Iterator[str]:
    """Yield the candidate that leads after each batch.

    The first candidate leads at the beginning. Another takes the lead when its shadows were better than the leader's,
    beyond doubt, on the newest batches that both were scored on. The error is per look, as in racing algorithms (Maron
    and Moore 1994): a false change of the lead costs nothing but a different window.

    Args:
        record: All batches, oldest first. The lead is played from the beginning, so it depends on nothing else.
        race: Who takes part, and when the lead changes.
        gate: Metric, correlation, smallest number of blocks.
    """
    leading = race.candidates[0]
    for position in range(1, len(record) + 1):
        leading = next_leader(record[:position], leading, race, gate)
        yield leading


def next_leader(
    record: Record, leading: str, race: Race, gate: params.Gate, on_trial: int | None = None
) -> str:
    """Return who leads after the last batch of the record; `leading` did before it.

    A training window that takes part no longer gives the lead back to the first one. A recipe on trial that has proven to
    be better takes the lead.
    """
    ours = race.of_recipe(recipe_number(leading))
    if leading not in ours:
        leading = ours[0]
    ahead = {
        name: comparison.lower
        for name in ours
        if name != leading and is_better(comparison := lead(record, name, leading, race, gate), gate)
    }
    proven = {
        name: state.comparison.lower
        for name, state in trials(record, leading, race, gate, on_trial).items()
        if state.kind == "PROVEN" and state.comparison
    }
    first = proven or ahead
    return max(first, key=first.__getitem__, default=leading)


def trials(
    record: Record, leading: str, race: Race, gate: params.Gate, recipe: int | None
) -> Mapping[str, Trial]:
    """Return the state of the trial of each candidate of a recipe; the error is divided among them. None has no trial."""
    names = [] if recipe is None else race.of_recipe(recipe)
    return {
        name: trial(
            record,
            candidate=name,
            leader=leading,
            gate=gate,
            length=race.trial_batches,
            first=min(race.batches, race.trial_batches),
            error=race.error / len(names),
        )
        for name in names
    }


def lead(record: Record, candidate: str, leading: str, race: Race, gate: params.Gate) -> Comparison:
    """Compare a candidate with the leader on their newest common batches."""
    both = comparable(record, shadow(leading), shadow(candidate))[-race.batches :]
    return paired(blocks(both, shadow(leading), shadow(candidate)), gate, error=race.error)
