"""Models whose answer is known go through the guard before each deployment: a guard that lets all pass is noticed."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from trimtab import params
from trimtab.errors import GateDead
from trimtab.evaluate.guard import Kind, guard
from trimtab.evaluate.record import ScoredBatch
from trimtab.evaluate.scores import score_model

Floats = npt.NDArray[np.float64]

_ROWS = 20
"""Rows of each block."""
_BATCHES = 2
_BLOCK_HOURS = 24.0
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""Any day would do, and any length of a block: blocks are counted from the first row."""
_EXPECTED: Mapping[str, Kind] = {"bad": "REJECT", "broken": "REJECT", "good": "DEPLOY"}


def run(parameters: params.Params) -> dict[str, Kind]:
    """Judge three models; deterministic, and blind to the data of the loop.

    *bad* is sure of the wrong answer, *good* of the right one, and *broken* as *good*, with a NaN. In a regression the
    labels are the ends of the declared range, and the champion answers with about its middle.

    Raises:
        GateDead: One of the three was not judged as it must be, so no answer of the guard can be trusted.
    """
    answers = {name: _judged(parameters, name) for name in _EXPECTED}
    if answers != _EXPECTED:
        raise GateDead(answers, _EXPECTED)
    return answers


def _judged(parameters: params.Params, probe: str) -> Kind:
    gate, label = parameters.gate.model_copy(update={"slices": []}), parameters.data.label
    blocks = max(2, gate.min_blocks)
    truths = _truths(label, blocks * _ROWS)
    times = pd.date_range(_BEGIN, periods=len(truths), freq=pd.Timedelta(hours=_BLOCK_HOURS) / _ROWS)
    rows = pd.DataFrame({"event_time": times})
    answers = _answers(label, truths, 0.01 if probe == "bad" else 0.99)
    if probe == "broken":
        answers[0] = np.nan
    champion, challenger = (
        score_model(rows, truths, each, parameters.model_copy(update={"gate": gate}), _BLOCK_HOURS)
        for each in (_answers(label, truths, 0.55), answers)
    )
    record = [
        ScoredBatch(
            batch=f"probe {number}",
            scores={"champion": champion, probe: challenger},
            shadows={probe: probe},
        )
        for number in range(_BATCHES)
    ]
    return guard(record, champion="champion", leader=probe, gate=gate).kind


def _truths(label: params.Label, count: int) -> Floats:
    if isinstance(label, params.Regression):
        return np.where(np.arange(count) % 2 == 1, label.max, label.min)
    classes = len(label.classes) if isinstance(label, params.Multiclass) else 2
    return np.arange(float(count)) % classes


def _answers(label: params.Label, truths: Floats, sure: float) -> Floats:
    """Return answers that give the truth a probability of `sure`, or lie that far of the way from the wrong end to it."""
    if isinstance(label, params.Regression):
        wrong = label.min + label.max - truths
        return np.asarray(wrong + sure * (truths - wrong))
    if isinstance(label, params.Multiclass):
        right = np.eye(len(label.classes))[truths.astype(int)]
        return np.asarray(right * sure + (1 - right) * (1 - sure) / (len(label.classes) - 1))
    return np.where(truths == 1, sure, 1 - sure)
