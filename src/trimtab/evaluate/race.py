"""The race between candidates: which training window is the best one at present."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better, paired
from trimtab.evaluate.record import Record, blocks, comparable, shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Who takes part, and when the lead changes.

    Args:
        candidates: The first one leads at the beginning.
        batches: Number of newest common batches to compare on.
        error: Probability that a candidate that is no better takes the lead, at each look.
    """

    candidates: Sequence[str]
    batches: int = 6
    error: float = 0.05


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


def next_leader(record: Record, leading: str, race: Race, gate: params.Gate) -> str:
    """Return who leads after the last batch of the record; `leading` did before it.

    A candidate that takes part no longer gives the lead back to the first one.
    """
    if leading not in race.candidates:
        leading = race.candidates[0]
    ahead = {
        name: comparison.lower
        for name in race.candidates
        if name != leading and is_better(comparison := lead(record, name, leading, race, gate), gate)
    }
    return max(ahead, key=ahead.__getitem__, default=leading)


def lead(record: Record, candidate: str, leading: str, race: Race, gate: params.Gate) -> Comparison:
    """Compare a candidate with the leader on their newest common batches."""
    both = comparable(record, shadow(leading), shadow(candidate))[-race.batches :]
    return paired(blocks(both, shadow(leading), shadow(candidate)), gate, error=race.error)
