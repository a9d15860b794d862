"""From batches and values to places in a plot: per cent across, pixels down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor, log10

from trimtab.views.page.view import Batch

_FEWEST = 8
"""Slots that a plot has at least, so that the first batch is no bar across the page."""
_LABELS = 13
"""Dates below a plot at most: so many fit side by side on 700 pixels."""


@dataclass(frozen=True, slots=True)
class Across:
    """Where a batch, or a time within one, lies from left to right.

    >>> Across(()).width
    12.5
    """

    batches: Sequence[Batch]

    @property
    def slots(self) -> int:
        """How many batches the plot has room for."""
        return max(len(self.batches), _FEWEST)

    @property
    def width(self) -> float:
        """Of one batch, in per cent."""
        return 100 / self.slots

    def middle(self, place: int) -> str:
        """Return the middle of a batch."""
        return f"{(place + 0.5) * self.width:.3f}%"

    def left(self, place: float) -> str:
        """Return the left edge of a batch."""
        return f"{place * self.width:.3f}%"

    def span(self, batches: float) -> str:
        """Return the width of some batches."""
        return f"{batches * self.width:.3f}%"

    def at(self, time: datetime) -> float:
        """Return a time in batches from the left; one between two batches is where the later one begins."""
        for place, one in enumerate(self.batches):
            if time <= one.start:
                return float(place)
            if time < one.end:
                return place + (time - one.start) / (one.end - one.start)
        return float(len(self.batches))

    def labelled(self) -> list[int]:
        """Return the places of the batches whose date stands below the plot."""
        return list(range(0, len(self.batches), max(1, ceil(len(self.batches) / _LABELS))))


@dataclass(frozen=True, slots=True)
class Down:
    """Where a value lies from top to bottom of a plot of some height."""

    low: float
    high: float
    height: float

    def at(self, value: float) -> float:
        """Return a value's pixels from the top; what lies outside is drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.height * (1 - share), 1)

    def ticks(self) -> list[float]:
        """Return some four round values.

        >>> Down(0.41, 0.58, 100).ticks()
        [0.45, 0.5, 0.55]
        """
        rough = (self.high - self.low) / 4
        power = 10.0 ** floor(log10(rough))
        step = next(round(power * one, 12) for one in (1, 2, 5, 10) if power * one >= rough * 0.7)
        first = ceil(self.low / step - 1e-9)
        return [round(one * step, 10) for one in range(first, floor(self.high / step + 1e-9) + 1)]


def down(values: Sequence[float], height: float) -> Down:
    """Return a scale that holds some values with a little room around them.

    >>> down([0.5], 100).at(0.5)
    50.0
    """
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Down(low - room, high + room, height)
