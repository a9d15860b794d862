"""`make bench-trial`: how often a trial proves a recipe that is no better, or that is; and false changes of the lead."""

from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.gate import DAYS, PAIRS, ROWS, pairs
from trimtab import params
from trimtab.contracts import BlockLoss, Score
from trimtab.evaluate.race import Race, leaders
from trimtab.evaluate.record import ScoredBatch
from trimtab.evaluate.trial import trial

YEARS = 500
WEEKS = 53
LENGTH, FIRST, ERROR = 10, 6, 0.05
RACE = Race(candidates=("old", "new"))


def record(days: np.ndarray) -> list[ScoredBatch]:
    """Return a record in which the new candidate is better by these means per day, shape `(weeks, 7)`."""
    zero = _score(np.zeros(DAYS))
    return [
        ScoredBatch(
            batch=str(week),
            scores={"old": _score(row), "new": zero},
            shadows={"old": "old", "new": "new"},
        )
        for week, row in enumerate(days)
    ]


def _score(losses: np.ndarray) -> Score:
    blocks = tuple(
        BlockLoss(number=day, rows=ROWS, loss=float(loss) * ROWS) for day, loss in enumerate(losses)
    )
    return Score(metric="log_loss", blocks=blocks, slices={}, calibration=(), invalid=0, auc=None)


def main() -> None:
    """Print the share of proven recipes, and the yearly rate of changes of the lead."""
    gate = params.load(Path("params.yaml")).gate
    share = gate.batch_correlation
    print(
        f"Share proven within a trial of {LENGTH} batches (first look after {FIRST}), of {PAIRS} pairs (95 % upper "
        f"bound); stated error {ERROR:g}\n\n{'gain':>6}{'week':>6}{'tails':>8}{'proven':>20}"
    )
    for gain, week_share, heavy in (
        (0.0, 0.0, False), (0.0, share, False), (0.0, share, True), (0.0, 2 * share, False),
        *((gain, share, False) for gain in (0.2, 0.4, 0.6, 0.8, 1.0)),
    ):  # fmt: skip
        proven = sum(
            trial(
                record(days),
                candidate="new",
                leader="old",
                gate=gate,
                length=LENGTH,
                first=FIRST,
                error=ERROR,
            ).kind
            == "PROVEN"
            for days in pairs(PAIRS, LENGTH, gain=gain, week_share=week_share, heavy=heavy)
        )
        upper = stats.beta.ppf(0.95, proven + 1, PAIRS - proven) if proven < PAIRS else 1.0
        tails = "heavy" if heavy else "normal"
        print(
            f"{gain:>6.1f}{week_share:>6.2f}{tails:>8}{f'{proven / PAIRS:.3f} (<{upper:.3f})':>20}",
            flush=True,
        )
    changes = [
        "new" in leaders(record(days), RACE, gate)
        for days in pairs(YEARS, WEEKS, gain=0.0, week_share=share, heavy=False)
    ]
    print(
        f"\nOf two equal windows the second leads at some time in a year in {np.mean(changes):.2f} of {YEARS} years "
        f"({RACE.batches} batches, error {RACE.error:g} per look)"
    )
    print(
        "\ngain in standard deviations of a day's mean; week: share of a day's variance that its week explains"
    )


if __name__ == "__main__":
    main()
