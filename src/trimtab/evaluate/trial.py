"""The trial of a new recipe: it leads only when it has proven to be better."""

from dataclasses import dataclass
from typing import Literal

from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better, paired
from trimtab.evaluate.looks import error_of
from trimtab.evaluate.record import Record, blocks, comparable, shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The state of a trial.

    Args:
        kind: PROVEN once it was better beyond doubt at a look; OVER after the last look without that; else RUNNING.
        batches: Number of batches at the newest look, at most the length of the trial.
        comparison: At the newest look; None before the first one.
    """

    kind: Literal["RUNNING", "PROVEN", "OVER"]
    batches: int
    comparison: Comparison | None


def trial(
    record: Record, *, candidate: str, leader: str, gate: params.Gate, length: int, first: int, error: float
) -> Trial:
    """Compare a candidate of a new recipe with the leader, at one look per batch, with one error over all looks.

    Evidence is that of the candidate's shadows, which are fitted before the batches that they are scored on. When the
    recipe enters, its shadows on the newest batches are fitted after the fact, each on what came before its batch.

    Args:
        record: The batches of the trial, those that were fitted after the fact included.
        candidate: The new recipe.
        leader: What it has to be better than.
        gate: Metric, correlation, smallest number of blocks.
        length: Number of batches after which the trial is over.
        first: Number of batches at the first look, at least 2.
        error: Probability that a candidate that is no better is proven at any look.
    """
    both = comparable(record, shadow(leader), shadow(candidate))[:length]
    compared = None
    for batches in range(first, len(both) + 1):
        share = error_of(batches, first=first, last=length, error=error)
        compared = paired(blocks(both[:batches], shadow(leader), shadow(candidate)), gate, error=share)
        if is_better(compared, gate):
            return Trial(kind="PROVEN", batches=batches, comparison=compared)
    return Trial(kind="OVER" if len(both) == length else "RUNNING", batches=len(both), comparison=compared)
