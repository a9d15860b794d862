"""`make bench-guard`: which models that were fitted on corrupted rows the guard stops, and which sound ones it delays."""

import argparse
import os
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.policy import flights
from trimtab import params
from trimtab.data.batches import BATCH, labelled
from trimtab.data.schema import LABEL
from trimtab.evaluate.guard import Guarded, guard
from trimtab.evaluate.record import Record, ScoredBatch
from trimtab.evaluate.scores import apart, score_model
from trimtab.replay.history import History
from trimtab.train import fit
from trimtab.train.features import targets

AGE = 8
"""Age of the champion, in batches, when its replacement is due."""
STEP = 4
"""Batches from one trial of the guard to the next."""
SHARES = (0.01, 0.05, 0.25)
CANDIDATE = "all"

Corruption = Callable[[pd.DataFrame, np.ndarray], pd.DataFrame]


def flipped_labels(rows: pd.DataFrame, where: np.ndarray) -> pd.DataFrame:
    """Return the rows with the opposite label at these places."""
    return rows.assign(**{LABEL: rows[LABEL].mask(where, 1 - rows[LABEL])})


def other_units(rows: pd.DataFrame, where: np.ndarray) -> pd.DataFrame:
    """Return the rows with temperatures in kelvins instead of degrees Fahrenheit at these places."""
    return rows.assign(temp=rows["temp"].mask(where, (rows["temp"] - 32) / 1.8 + 273.15))


CORRUPTIONS: Mapping[str, Corruption] = {"labels": flipped_labels, "units": other_units}


def labelled_at(past: History, rows: pd.DataFrame, batches: Sequence[str], *, at: int) -> pd.DataFrame:
    """Return the rows of these batches whose label was known at the cut-off of the batch with this number."""
    return labelled(rows[rows[BATCH].isin(batches)], past.cutoffs[at])


def corrupted(
    past: History, record: Record, place: int, corruption: Corruption, share: float
) -> tuple[Record, Record]:
    """Corrupt a share of all training rows from one batch on.

    Returns:
        The record through this batch, with the distance of the corrupted model; and the record through the next batch,
        on which the corrupted model is the shadow.
    """
    draw, number = np.random.default_rng(place), past.recorded[place]
    rows = pd.concat([part.read() for part in past.rows.parts[: number + 2]], ignore_index=True)
    bad = corruption(rows, draw.uniform(size=len(rows)) < share)
    models = {
        through: fit.fit(
            fit.build(past.params),
            past.params,
            labelled_at(past, bad, past.batches[: through + 1], at=through),
        )
        for through in (number, number + 1)
    }
    before = labelled_at(past, rows, past.batches[:number], at=number - 1)
    sound = fit.fit(fit.build(past.params), past.params, before)
    here, there = (labelled_at(past, rows, [past.batches[each]], at=each) for each in (number, number + 1))
    last, following = record[place], record[place + 1]
    name = following.shadows[CANDIDATE]
    answers = fit.predict(models[number], past.params, there)
    score = score_model(there, targets(there, past.params.data), answers, past.params, past.block_hours)
    distances = [
        apart(
            fit.predict(ours, past.params, frame),
            fit.predict(theirs, past.params, frame),
            targets(frame, past.params.data),
            past.params.data.label,
        )
        for ours, theirs, frame in (
            (models[number], sound, here),
            (models[number + 1], models[number], there),
        )
    ]
    through = [*record[:place], _at_distance(last, distances[0])]
    scores = ChainMap({name: score}, following.scores)  # type: ignore[arg-type]  # it is only read
    return through, [*through, replace(_at_distance(following, distances[1]), scores=scores)]


def _at_distance(scored: ScoredBatch, distance: float) -> ScoredBatch:
    examined = replace(scored.examined[CANDIDATE], distance=distance)
    return replace(scored, examined={**scored.examined, CANDIDATE: examined})


def judged(past: History, record: Record) -> Guarded:
    """Ask the guard about the newest model, with a champion of the usual age."""
    since = record[-AGE:]
    return guard(
        since,
        champion=since[0].shadows[CANDIDATE],
        leader=CANDIDATE,
        gate=past.params.gate,
    )


def places(record: Record) -> Iterator[int]:
    """Yield the places in the record at which the guard is tried: one batch follows."""
    yield from range(AGE, len(record) - 1, STEP)


def main() -> None:
    """Print what was stopped, and what was delayed."""
    parser = argparse.ArgumentParser(prog="make bench-guard")
    parser.add_argument("--flights", nargs="*", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    histories = list(flights(params.load(Path("params.yaml")), arguments.flights))
    for past in histories:
        past.fit_all(arguments.jobs)
    tried = [(past, past.record(), place) for past in histories for place in places(past.record())]
    kinds = [judged(past, record[: place + 1]).kind for past, record, place in tried]
    print(
        f"Of {len(kinds)} sound models {kinds.count('WAIT')} are delayed by a batch and {kinds.count('REJECT')} rejected\n"
    )
    print(f"{'corrupted':<12}{'rows':>6}{'delayed':>9}{'then rejected':>15}{'deployed':>10}")
    for name, corruption in CORRUPTIONS.items():
        for share in SHARES:
            delayed = rejected = deployed = 0
            for past, record, place in tried:
                through, after = corrupted(past, record, place, corruption, share)
                first = judged(past, through).kind
                delayed += first == "WAIT"
                rejected += first == "WAIT" and judged(past, after).kind == "REJECT"
                deployed += first == "DEPLOY" or (first == "WAIT" and judged(past, after).kind == "DEPLOY")
            print(f"{name:<12}{share:>6.0%}{delayed:>9}{rejected:>15}{deployed:>10}", flush=True)


if __name__ == "__main__":
    main()
