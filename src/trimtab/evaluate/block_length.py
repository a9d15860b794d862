"""Chooses the length of a block of time from the length of the batches."""

from collections.abc import Sequence
from datetime import timedelta
from statistics import median

from trimtab import params

_LENGTHS = tuple(
    timedelta(hours=hours) for hours in (1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 24, 7 * 24)
)
_PER_BATCH = 6
"""Smallest number of blocks in a batch of the usual length: enough to estimate how blocks vary within a batch."""


def block_hours(gate: params.Gate, batches: Sequence[timedelta]) -> float:
    """Return the length of a block in hours: `gate.block_hours`, or what suits the lengths of the batches."""
    return gate.block_hours or block_length(batches) / timedelta(hours=1)


def block_length(batches: Sequence[timedelta]) -> timedelta:
    """Return the longest usual length (minutes, hours, a day or a week) of which six fit into a batch.

    A block should be as long as possible, because rows of one day share its weather and its backlog.

    Args:
        batches: Lengths of the batches, at least one.

    >>> [str(block_length([timedelta(hours=hours)])) for hours in (1, 24, 7 * 24)]
    ['0:10:00', '4:00:00', '1 day, 0:00:00']
    """
    usual = timedelta(seconds=median(length.total_seconds() for length in batches))
    return max((length for length in _LENGTHS if _PER_BATCH * length <= usual), default=usual / _PER_BATCH)
