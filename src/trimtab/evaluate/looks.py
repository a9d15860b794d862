"""How much of an error each look may spend, when the same comparison is made again after each batch."""

from scipy import special


def error_of(batches: int, *, first: int, last: int, error: float) -> float:
    """Return the share of the error that belongs to the look after a number of batches.

    Comparing again after each new batch as if it were the first time finds an equal model better ever more often: .097
    after four looks at a nominal .025, .184 after eight. So the error is spent over the looks, little at first (Lan and
    DeMets, Biometrika 1983, with the O'Brien-Fleming spending function), by the share of batches that have come. The
    looks are then held to their own share each: the sum bounds the chance of any false finding whatever the looks have in
    common (Boole), where exact boundaries would have to rely on it.

    Args:
        batches: From `first` to `last`.
        first: Number of batches at the first look.
        last: Number of batches at the last look.
        error: Over all looks.

    >>> [round(error_of(batches, first=2, last=5, error=0.1), 4) for batches in range(2, 6)]
    [0.0093, 0.0244, 0.0322, 0.0341]
    """

    def spent(through: int) -> float:
        if through < first:
            return 0.0
        return float(2 * special.ndtr(special.ndtri(error / 2) / (through / last) ** 0.5))

    return spent(batches) - spent(batches - 1)
