"""What any deployment policy of the flights' recipe would have lost, week by week."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from examples.flights import flights
from trimtab import params
from trimtab.contracts import Block
from trimtab.evaluate.block_length import block_hours
from trimtab.evaluate.scores import row_losses
from trimtab.replay.streams import WEEK
from trimtab.train.features import targets
from trimtab.train.fit import build, fit, predict

KEPT = Path(tempfile.gettempdir()) / "trimtab-bench-losses.npz"
FIRST = 6
"""Weeks that the first model is trained on."""


@dataclass(frozen=True)
class Losses:
    """Row losses: `of[k, w]` on week w, of the model that was trained on the weeks before k; `times` of each week's rows."""

    of: dict[tuple[int, int], np.ndarray]
    times: list[pd.Series]
    names: list[str]

    def blocks(
        self, champion: int, challenger: Sequence[int], weeks: Sequence[int], gate: params.Gate
    ) -> list[Block]:
        """Blocks of a champion against the model that judged each week."""
        blocks: list[Block] = []
        for model, week in zip(challenger, weeks, strict=True):
            hours = (self.times[week] - self.times[week].min()).dt.total_seconds() / 3600
            place = (hours // block_hours(gate, [WEEK])).astype(int).to_numpy()
            pair = (self.of[champion, week], self.of[model, week])
            sums = [np.bincount(place, weights=losses) for losses in (np.ones(len(place)), *pair)]
            blocks += [
                Block(batch=self.names[week], number=number, rows=int(rows), champion=ours, challenger=theirs)
                for number, (rows, ours, theirs) in enumerate(zip(*sums, strict=True))
                if rows
            ]
        return blocks

    def mean(self, model: int, week: int) -> float:
        """Mean loss of a model on a week."""
        return float(self.of[model, week].mean())


def flights_losses(parameters: params.Params) -> Losses:
    """Fit one model a week (about a minute), or read what an earlier benchmark stored."""
    weeks = [week for week in flights.weeks() if not week.partial][:51]
    frames = [week.rows[week.rows["label"].notna()].reset_index(drop=True) for week in weeks]
    times, names = [frame["event_time"] for frame in frames], [week.batch for week in weeks]
    if KEPT.exists():
        with np.load(KEPT) as stored:
            of = {tuple(int(part) for part in name.split("-")): stored[name] for name in stored.files}
        return Losses(of=of, times=times, names=names)
    of = {}
    for model in range(FIRST, len(frames)):
        print(
            f"\rfitting model {model - FIRST + 1} of {len(frames) - FIRST}",
            end="",
            file=sys.stderr,
            flush=True,
        )
        pipeline = fit(build(parameters), parameters, pd.concat(frames[:model], ignore_index=True))
        for week in range(model, len(frames)):
            truths = targets(frames[week], parameters.data)
            of[model, week] = row_losses(
                parameters.gate.metric,
                parameters.data.label,
                truths,
                predict(pipeline, parameters, frames[week]),
            )
    print(file=sys.stderr)
    np.savez(KEPT, **{f"{model}-{week}": losses for (model, week), losses in of.items()})
    return Losses(of=of, times=times, names=names)
