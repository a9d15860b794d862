"""What must hold for a promotion besides the gain: one named check each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from trimtab import params
from trimtab.contracts import Check
from trimtab.evaluate.compare import blocks_of, paired
from trimtab.evaluate.scores import broken

Floats = npt.NDArray[np.float64]

_BINS = 10
"""Bins of equal mass in which calibration is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of challenger and champion on the rows of one look.

    `rows` has `batch`, `event_time` and the features, shape `(n, …)`; `truths` are their labels as numbers, shape `(n,)`.
    `predictions` and `losses` map `challenger`, `champion` and `baseline` to answers (see `train.fit.predict`) and to
    losses of shape `(n,)`; without a champion, the baseline is the champion and is not named twice.
    """

    label: params.Label
    rows: pd.DataFrame
    truths: npt.NDArray[np.float64] | npt.NDArray[np.int64]
    predictions: Mapping[str, Floats]
    losses: Mapping[str, Floats]
    milliseconds_per_row: float
    model_megabytes: float


def check_all(measured: Measured, gate: params.Gate) -> tuple[Check, ...]:
    """Return every check, those that passed too: what held is evidence as well."""
    checks = [_predictions(measured)]
    if "baseline" in measured.losses:
        # A constant is calibrated, and may well win some slice: only a model is a fair measure.
        checks.append(_baseline(measured, gate))
        if not isinstance(measured.label, params.Regression):
            checks.append(_calibration(measured, gate))
        checks += _slices(measured, gate)
    return (
        *checks,
        _at_most(
            "latency", measured.milliseconds_per_row, gate.max_ms_per_row, "ms per row", "gate.max_ms_per_row"
        ),
        _at_most("size", measured.model_megabytes, gate.max_model_mb, "MB", "gate.max_model_mb"),
    )


def calibration_error(truths: npt.ArrayLike, answers: npt.ArrayLike) -> float:
    """Return the expected calibration error over bins of equal mass (Naeini et al. 2015, AAAI), between 0 and 1.

    Of several classes, the one that the model holds most likely counts, with its probability (Guo et al. 2017, ICML).

    Args:
        truths: Shape `(n,)`: 0 or 1, or the number of the class.
        answers: Shape `(n,)`, the probability of 1; or `(n, k)`.

    >>> calibration_error([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5])
    0.0
    >>> calibration_error([0, 2], [[0.8, 0.1, 0.1], [0.8, 0.1, 0.1]]).__round__(3)
    0.3
    """
    chance, truth = np.asarray(answers), np.asarray(truths)
    if chance.ndim == 2:
        truth, chance = chance.argmax(axis=1) == truth, chance.max(axis=1)
    if not len(chance):
        return 0.0
    bins = np.array_split(np.argsort(chance, kind="stable"), min(_BINS, len(np.unique(chance))))
    return float(
        sum(abs(truth[rows].mean() - chance[rows].mean()) * len(rows) for rows in bins) / len(chance)
    )


def _predictions(measured: Measured) -> Check:
    wrong = int(broken(measured.label, measured.predictions["challenger"]).sum())
    sound = "finite numbers" if isinstance(measured.label, params.Regression) else "probabilities"
    return Check(
        name="predictions",
        passed=wrong == 0,
        value=wrong,
        limit=0.0,
        sentence=f"{wrong} of {len(measured.rows)} predictions are no {sound}",
    )


def _slices(measured: Measured, gate: params.Gate) -> list[Check]:
    checks = []
    for feature in gate.slices:
        for value, rows in sorted(
            measured.rows.groupby(feature).indices.items(), key=lambda item: str(item[0])
        ):
            if len(rows) < gate.slice_min_rows:
                continue
            ours = measured.rows.iloc[rows]
            blocks = blocks_of(
                ours["batch"].tolist(),
                ours["event_time"].tolist(),
                measured.losses["champion"][rows],
                measured.losses["challenger"][rows],
                gate,
            )
            gain = paired(blocks, gate, error=gate.error)
            checks.append(
                Check(
                    name=f"slice {feature}={value}",
                    passed=not (gain.gain < -gate.slice_max_loss and gain.upper < 0),
                    value=gain.gain,
                    limit=-gate.slice_max_loss,
                    sentence=f"on the {len(rows)} rows of {feature}={value} the gain is {gain.gain:+.4f} (at most "
                    f"{gain.upper:+.4f}), gate.slice_max_loss is {gate.slice_max_loss:g}",
                )
            )
    return checks


def _calibration(measured: Measured, gate: params.Gate) -> Check:
    ours, theirs = (
        calibration_error(measured.truths, measured.predictions[role]) for role in ("challenger", "champion")
    )
    excess = ours - theirs
    return Check(
        name="calibration",
        passed=bool(excess <= gate.max_calibration_excess),
        value=excess,
        limit=gate.max_calibration_excess,
        sentence=f"the calibration error is {ours:.4f} against {theirs:.4f}, "
        f"gate.max_calibration_excess is {gate.max_calibration_excess:g}",
    )


def _baseline(measured: Measured, gate: params.Gate) -> Check:
    ours, theirs = (
        float(measured.losses[role].sum()) / max(1, len(measured.rows)) for role in ("challenger", "baseline")
    )
    return Check(
        name="baseline",
        passed=ours < theirs,
        value=theirs - ours,
        limit=0.0,
        sentence=f"the loss is {ours:.4f} against {theirs:.4f} of the baseline ({gate.baseline})",
    )


def _at_most(name: str, value: float, limit: float, unit: str, key: str) -> Check:
    return Check(
        name=name,
        passed=value <= limit,
        value=value,
        limit=limit,
        sentence=f"its {name} is {value:.3g} {unit}, {key} is {limit:g}",
    )
