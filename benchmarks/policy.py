"""`make bench-policy`: the retraining policy beside schedules, on flights and on generated streams."""

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from examples.flights.flights import weeks
from trimtab import params
from trimtab.evaluate.block_length import block_hours
from trimtab.replay.comparison import compare
from trimtab.replay.history import History, write_rows
from trimtab.replay.policies import changed
from trimtab.replay.run import table
from trimtab.replay.scorecard import Row
from trimtab.replay.streams import KINDS, WEEK, Kind, Stream, stream_params

CACHE = Path("var", "bench-policy")
WINDOWS: Mapping[str, int | None] = {"all": None, "newest 8": 8}
FLIGHTS_FROM = (0, 5, 10, 15, 20, 25)
"""Weeks of 2013 with which a history of flights begins."""


def flights(parameters: params.Params, starts: Sequence[int]) -> Iterator[History]:
    """Yield the flights from each of these weeks on."""
    weekly = list(weeks())
    for start in starts:
        whole = [week for week in weekly[start:] if not week.partial]
        frames = ((week.batch, week.rows) for week in whole)
        ends = {week.batch: week.end for week in whole}
        yield history(f"flights from {weekly[start].batch}", parameters, frames, ends)


def streams(parameters: params.Params, kinds: Sequence[Kind], seeds: int) -> Iterator[History]:
    """Yield generated streams."""
    for kind in kinds:
        for seed in range(seeds):
            stream = Stream(kind=kind, seed=seed)
            made = history(stream.name, stream_params(parameters), stream.frames(), stream.ends)
            yield replace(made, drifts=stream.drifts)


def history(
    name: str,
    parameters: params.Params,
    batches: Iterable[tuple[str, pd.DataFrame]],
    ends: Mapping[str, datetime],
) -> History:
    """Write the rows of a history to the cache."""
    path = CACHE / f"{name.replace(' ', '-')}.parquet"
    write_rows(path, batches)
    return History(
        name=name,
        params=parameters,
        rows_file=path,
        ends=ends,
        windows=WINDOWS,
        block_hours=block_hours(parameters.gate, [WEEK]),
        cache=CACHE / "fits",
    )


def main() -> None:
    """Print the scorecard of each history, and the means."""
    parser = argparse.ArgumentParser(prog="make bench-policy")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--flights", nargs="*", type=int, default=list(FLIGHTS_FROM))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--regret", type=float)
    parser.add_argument("--max-age", type=int)
    arguments = parser.parse_args()
    parameters = params.load(Path("params.yaml"))
    total: dict[str, list[tuple[Row, Row]]] = {}
    for past in chain(
        flights(parameters, arguments.flights), streams(parameters, arguments.kinds, arguments.seeds)
    ):
        print(f"\n{past.name}: {len(past.batches)} batches, {len(past.rows)} rows", flush=True)
        past.fit_all(arguments.jobs)
        results = compare(
            past, changed(past.params, regret=arguments.regret, max_age_batches=arguments.max_age)
        )
        print(table(results), flush=True)
        for result in results:
            total.setdefault(result.row.policy, []).append((result.row, result.schedule_row))
    print(f"\nMean over {len(next(iter(total.values())))} histories\n{HEAD_OF_MEANS}")
    for name, rows in total.items():
        print(means(name, rows))


HEAD_OF_MEANS = (
    f"{'policy':<24}{'kept':>7}{'worst':>7}{'per batch':>10}{'wrong':>7}{'(schedule)':>11}{'reaction':>9}"
    f"{'against the schedule':>24}{'better':>7}{'worse':>6}"
)


def means(name: str, rows_and_schedules: Sequence[tuple[Row, Row]]) -> str:
    """Return the means over histories; better and worse count differences beyond two standard errors."""
    ours, schedules = zip(*rows_and_schedules, strict=True)
    gains = [row.gain_kept for row in ours if row.gain_kept is not None]
    reactions = [row.reaction for row in ours if row.reaction is not None]
    relative = np.array([row.difference / row.loss for row in ours])
    scores = np.array([row.difference / row.error if row.error else 0.0 for row in ours])
    deployed, deployed_by_schedule = (sum(row.deployments for row in rows) for rows in (ours, schedules))
    spread = relative.std(ddof=1) / len(relative) ** 0.5 if len(relative) > 1 else float("nan")
    return (
        f"{name:<24}{np.mean(gains or [np.nan]):>7.0%}{np.min(gains or [np.nan]):>7.0%}"
        f"{np.mean([row.per_batch for row in ours]):>10.2f}"
        f"{sum(row.wrong for row in ours) / max(1, deployed):>7.2f}"
        f"{sum(row.wrong for row in schedules) / max(1, deployed_by_schedule):>11.2f}"
        f"{np.mean(reactions or [np.nan]):>9.1f}{f'{relative.mean():+.2%} ± {spread:.2%}':>24}"
        f"{(scores < -2).sum():>7}{(scores > 2).sum():>6}"
    )


if __name__ == "__main__":
    main()
