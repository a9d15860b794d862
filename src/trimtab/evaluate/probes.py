"""Three models whose verdict is known go through the same gate in every run."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from trimtab import params
from trimtab.contracts import VerdictKind
from trimtab.errors import GateDead
from trimtab.evaluate.compare import blocks_of
from trimtab.evaluate.gate import weigh
from trimtab.evaluate.scores import row_losses

Floats = npt.NDArray[np.float64]

DEAD_GATE_FILE = "gate_dead.txt"
"""Name of the file that a run leaves when its gate judges a probe wrongly."""

_ROWS = 20
"""Rows of each block of the probes."""
_BLOCKS = 7
"""Blocks of each batch of the probes, at least."""
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""Any day would do: blocks are counted from the first row."""


def run(gate: params.Gate, label: params.Label) -> dict[str, VerdictKind]:
    """Judge *bad*, *edge* and *good*; deterministic, and blind to the data of the run.

    *bad* is sure of the wrong answer and must be rejected. *edge* gains `gate.min_gain` to the dot, with noise that
    cancels out, and must not be promoted. *good* is sure of the right answer and must be promoted. In a regression the
    labels are the ends of the declared range, and the champion answers with about its middle.

    Raises:
        GateDead: One of the three was not judged as it must be; no verdict of this gate can be trusted.
    """
    batches = max(2, gate.judge_batches)
    blocks = max(_BLOCKS, math.ceil(gate.min_blocks / batches))
    blocks += blocks % 2  # noise of both signs cancels out
    truths = _truths(label, batches * blocks * _ROWS)
    champion, bad, good = (
        row_losses(gate.metric, label, truths, _answers(label, truths, sure)) for sure in (0.55, 0.01, 0.99)
    )
    challengers = {"bad": bad, "edge": champion - gate.min_gain + _noise(champion), "good": good}
    verdicts = {name: _kind(blocks, champion, losses, gate) for name, losses in challengers.items()}
    if verdicts["bad"] != "REJECT" or verdicts["edge"] == "PROMOTE" or verdicts["good"] != "PROMOTE":
        raise GateDead(verdicts)
    return verdicts


def _kind(blocks: int, champion: Floats, challenger: Floats, gate: params.Gate) -> VerdictKind:
    step = timedelta(hours=gate.block_hours) / _ROWS
    names = [f"probe-{number // (blocks * _ROWS)}" for number in range(len(champion))]
    times = [_BEGIN + number * step for number in range(len(champion))]
    return weigh(
        blocks_of(names, times, champion, challenger, gate),
        (),
        gate.model_copy(update={"ask": "never"}),
        look=1,
        champion="the probes' champion",
    ).kind


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


def _noise(losses: Floats) -> Floats:
    """Return noise of 1 % of a mean loss that differs from block to block and cancels out, shape `(n,)`."""
    return np.asarray(np.where(np.arange(len(losses)) // _ROWS % 2, -0.01, 0.01) * losses.mean())
