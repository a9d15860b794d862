"""Positions in a plot: per cent from the left for batches and times, pixels from the top for values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor, log10

from trimtab.views.page.view import MeasuredBatch

_MIN_SLOTS = 8
"""A plot has room for at least so many batches, so that a single batch does not fill its width."""


@dataclass(frozen=True, slots=True)
class Across:
    """Horizontal positions of batches, and of times within them.

    >>> Across(()).percent(1)
    '12.500%'
    """

    batches: Sequence[MeasuredBatch]

    @property
    def slots(self) -> int:
        """How many batches the plot has room for."""
        return max(len(self.batches), _MIN_SLOTS)

    def percent(self, batches: float) -> str:
        """Return a position, or a width, as SVG has it; the middle of the first batch is at 0.5."""
        return f"{100 * batches / self.slots:.3f}%"

    def at(self, time: datetime) -> float:
        """Return a time in batches from the left; a time between two batches is at the start of the later one."""
        for place, manifest in enumerate(batch.manifest for batch in self.batches):
            if time <= manifest.start:
                return float(place)
            if time < manifest.end:
                return place + (time - manifest.start) / (manifest.end - manifest.start)
        return float(len(self.batches))


@dataclass(frozen=True, slots=True)
class Down:
    """Vertical positions of values in a plot of some height."""

    low: float
    high: float
    height: float

    def at(self, value: float) -> float:
        """Return a value's pixels from the top; values outside of the scale are at its edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.height * (1 - share), 1)

    def ticks(self) -> list[float]:
        """Return about four round values.

        >>> Down(0.41, 0.58, 100).ticks()
        [0.45, 0.5, 0.55]
        """
        rough = (self.high - self.low) / 4
        power = 10.0 ** floor(log10(rough))
        step = next(round(power * factor, 12) for factor in (1, 2, 5, 10) if power * factor >= rough * 0.7)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


def down(values: Sequence[float], height: float) -> Down:
    """Return a scale that shows some values, with a little room around them.

    >>> down([0.5], 100).at(0.5)
    50.0
    """
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Down(low - room, high + room, height)
