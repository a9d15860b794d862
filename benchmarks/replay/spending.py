"""How the error of a test that looks several times is divided among its looks."""

from scipy import special


def error_of_look(batches: int, *, of: int, error: float, first: int = 1) -> float:
    """Return the share of `error` that belongs to the look after `batches` batches.

    Judging each new batch from scratch promotes an equal model ever more often: .097 after four looks at a nominal .025,
    .184 after eight. So the error is spent over the looks, little at first (Lan and DeMets, Biometrika 1983, with the
    O'Brien-Fleming spending function), by the share of the batches that have come. The looks are then held to their own
    share each: the sum bounds the chance of any false result whatever the looks have in common (Boole), where exact
    boundaries would have to rely on it.

    Args:
        batches: Number of batches that have come, from `first` to `of`.
        of: Number of batches after the last look.
        error: The error over all looks.
        first: Number of batches at the first look, which may spend all that was due by then.

    >>> [round(error_of_look(batches, of=4, error=0.05), 4) for batches in (1, 2, 3, 4)]
    [0.0001, 0.0055, 0.0181, 0.0264]
    """
    before = _spent(batches - 1, of, error) if batches > first else 0.0
    return _spent(batches, of, error) - before


def _spent(batches: int, of: int, error: float) -> float:
    return float(2 * special.ndtr(special.ndtri(error / 2) / (batches / of) ** 0.5)) if batches else 0.0
