"""How often a challenger may be judged, and how much of the error each look may spend."""

from scipy import special

from trimtab import params
from trimtab.contracts import ModelVersion


def error_of(look: int, gate: params.Gate) -> float:
    """Return the share of `gate.error` that belongs to one look.

    Judging each new batch anew promotes an equal model ever more often: .097 after four looks at a nominal .025, .184
    after eight. So the error is spent over the looks, little at first (Lan and DeMets, Biometrika 1983, with the
    O'Brien-Fleming spending function), by the share of batches that were judged. The looks are then held to their own
    share each: the sum bounds the chance of any false promotion whatever the looks have in common (Boole), where
    exact boundaries would have to rely on it.

    Args:
        look: From 1 to `gate.looks`.
        gate: Looks, batches of the first look, and the error over all looks.

    >>> from pathlib import Path
    >>> gate = params.load(Path("params.yaml")).gate
    >>> [round(error_of(look, gate), 4) for look in range(1, gate.looks + 1)]
    [0.0093, 0.0244, 0.0322, 0.0341]
    """
    return _spent(look, gate) - _spent(look - 1, gate)


def gate_for(champion: ModelVersion | None, gate: params.Gate) -> params.Gate:
    """Return the gate as it is for this champion.

    Against the baseline there is one look, which may spend the whole error: nothing serves before the first model does, so
    that waiting for more proof would cost more than it saves. And the baseline must be beaten, whatever the margin.
    """
    if champion is not None:
        return gate
    return gate.model_copy(update={"looks": 1, "min_gain": max(0.0, gate.min_gain)})


def _spent(look: int, gate: params.Gate) -> float:
    if look < 1:
        return 0.0
    share = (gate.judge_batches + look - 1) / (gate.judge_batches + gate.looks - 1)
    return float(2 * special.ndtr(special.ndtri(gate.error / 2) / share**0.5))
