"""`make bench-trial`: how often a trial proves a recipe that is no better, or that is; and false changes of the lead."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from trimtab import params
from trimtab.contracts import BlockLoss, Score
from trimtab.evaluate.compare import is_better
from trimtab.evaluate.proof import looks_of_trial
from trimtab.evaluate.race import leaders
from trimtab.evaluate.record import ScoredBatch

PAIRS = 5000
DAYS = 7
ROWS = 900
"""Rows of one day, as on flights."""
YEARS = 500
WEEKS = 53
LENGTH = 10
TRIALS = ((LENGTH, 6, 0.05), (4, 2, 0.1))
"""Length, first look and error: of the trial of a recipe, and of one so short that a proof rests on few batches."""
OLD, NEW = "all", "newest 8"
"""Two candidates of `params.yaml` play the old and the new model."""


def pairs(count: int, weeks: int, *, gain: float, week_share: float, heavy: bool) -> Iterator[np.ndarray]:
    """Yield mean differences by week and day, shape `(weeks, 7)`, with a day's standard deviation of 1.

    `week_share` of a day's variance belongs to its week; heavy tails are Student's t with 3 degrees of freedom.
    """
    draw = np.random.default_rng(7)
    for _ in range(count):
        day = draw.standard_t(3, (weeks, DAYS)) / 3**0.5 if heavy else draw.normal(size=(weeks, DAYS))
        yield gain + week_share**0.5 * draw.normal(size=(weeks, 1)) + (1 - week_share) ** 0.5 * day


def record(days: np.ndarray) -> list[ScoredBatch]:
    """Return a record in which the new candidate is better by these means per day, shape `(weeks, 7)`."""
    zero = _score(np.zeros(DAYS))
    return [
        ScoredBatch(
            batch=str(week),
            scores={"old": _score(row), "new": zero},
            shadows={OLD: "old", NEW: "new"},
        )
        for week, row in enumerate(days)
    ]


def _score(losses: np.ndarray) -> Score:
    blocks = tuple(
        BlockLoss(number=day, rows=ROWS, loss=float(loss) * ROWS) for day, loss in enumerate(losses)
    )
    return Score(metric="log_loss", blocks=blocks, slices={}, calibration=(), invalid=0, auc=None)


def _proven(
    histories: Sequence[Sequence[ScoredBatch]], gate: params.Gate, length: int, first: int, error: float
) -> str:
    proven = sum(
        is_better(look, gate)
        for seen in histories
        for look in looks_of_trial(seen, NEW, OLD, gate, length=length, first=first, error=error)
    )
    upper = stats.beta.ppf(0.95, proven + 1, PAIRS - proven) if proven < PAIRS else 1.0
    return f"{proven / PAIRS:.3f} (<{upper:.3f})"


def main() -> None:
    """Print the share of proven recipes, and the yearly rate of changes of the lead."""
    parameters = params.load(Path("params.yaml"))
    gate, race = parameters.gate, parameters.race
    share = gate.batch_correlation
    print(f"Share proven of {PAIRS} pairs (95 % upper bound)\n")
    heads = (f"looks {first} to {length}, error {error:g}" for length, first, error in TRIALS)
    print(f"{'gain':>6}{'week':>6}{'tails':>8}" + "".join(f"{head:>28}" for head in heads))
    for gain, week_share, heavy in (
        (0.0, 0.0, False), (0.0, share, False), (0.0, share, True), (0.0, 2 * share, False),
        (0.0, 2 * share, True),
        *((gain, share, False) for gain in (0.2, 0.4, 0.6, 0.8, 1.0)),
    ):  # fmt: skip
        histories = [
            record(days) for days in pairs(PAIRS, LENGTH, gain=gain, week_share=week_share, heavy=heavy)
        ]
        cells = [f"{_proven(histories, gate, *numbers):>28}" for numbers in TRIALS]
        print(
            f"{gain:>6.1f}{week_share:>6.2f}{'heavy' if heavy else 'normal':>8}" + "".join(cells), flush=True
        )
    changes = [
        NEW in leaders(record(days), parameters)
        for days in pairs(YEARS, WEEKS, gain=0.0, week_share=share, heavy=False)
    ]
    print(
        f"\nOf two equal windows the second leads at some time in a year in {np.mean(changes):.2f} of {YEARS} years "
        f"({race.batches} batches, error {race.error:g} per look)"
    )
    print(
        f"\ngain in standard deviations of a day's mean; week: share of a day's variance that its week explains. "
        f"gate.batch_correlation states {share:g}; twice that is a stress"
    )


if __name__ == "__main__":
    main()
