"""Records of scored batches, made from mean losses."""

from collections.abc import Mapping, Sequence

import numpy as np

from trimtab.contracts import BlockLoss, CalibrationBin, Examined, Score
from trimtab.evaluate.record import ScoredBatch

BLOCKS = 7
ROWS = 100
"""Rows of each block."""


def score(
    loss: float,
    *,
    seed: int = 0,
    noise: float = 0.01,
    slices: Mapping[str, float] | None = None,
    calibration: Sequence[CalibrationBin] = (),
    invalid: int = 0,
    metric: str = "log_loss",
    blocks: int = BLOCKS,
) -> Score:
    """A score with this mean loss; each block differs from it by noise of this standard deviation."""

    def sums(mean: float, salt: int) -> tuple[BlockLoss, ...]:
        draw = np.random.default_rng([seed, salt]).normal(scale=noise, size=blocks)
        means = mean + draw - draw.mean()
        return tuple(
            BlockLoss(number=number, rows=ROWS, loss=float(each) * ROWS) for number, each in enumerate(means)
        )

    return Score(
        metric=metric,
        blocks=sums(loss, 0),
        slices={part: sums(mean, salt) for salt, (part, mean) in enumerate((slices or {}).items(), start=1)},
        calibration=tuple(calibration),
        invalid=invalid,
        auc=0.7,
    )


def scored(
    number: int,
    losses: Mapping[str, float | Score],
    *,
    candidates: Sequence[str] = ("all",),
    distance: float = 0.01,
    fault: str | None = None,
) -> ScoredBatch:
    """Batch `number`, with the losses of models. The shadow of candidate `all` is the model `all-<number>`.

    A loss under a candidate's name is that of its shadow; other names are models as they are.
    """
    names = {name: f"{name}-{number}" if name in candidates else name for name in losses}
    return ScoredBatch(
        batch=f"W{number:02}",
        scores={
            names[name]: loss if isinstance(loss, Score) else score(loss, seed=1000 * place + number)
            for place, (name, loss) in enumerate(losses.items())
        },
        shadows={name: names[name] for name in candidates if name in losses},
        newest={name: f"{name}-{number + 1}" for name in candidates},
        examined=dict.fromkeys(
            candidates,
            Examined(milliseconds_per_row=0.01, megabytes=1.0, distance=distance, fault=fault),
        ),
    )


def record(count: int, first: int = 1, **losses: float) -> list[ScoredBatch]:
    """Batches with the same losses each."""
    return [scored(number, losses) for number in range(first, first + count)]
