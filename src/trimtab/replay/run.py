"""Replays the batches of the origin, or a generated stream, and writes the scorecard."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pandas as pd

from trimtab import files, params
from trimtab.data.batches import conform_to_contract, sufficiently_labelled
from trimtab.errors import NotEnoughBatches
from trimtab.evaluate.block_length import block_hours
from trimtab.ledger import Batch, state
from trimtab.loop.loop import Loop, open_loop
from trimtab.params import candidate_of
from trimtab.replay.comparison import LOOP, Result, compare
from trimtab.replay.history import History, Report, write_rows
from trimtab.replay.page import page
from trimtab.replay.play import Played
from trimtab.replay.policies import changed
from trimtab.replay.recommend import recommend
from trimtab.replay.scorecard import Row
from trimtab.replay.streams import WEEK, Stream, stream_params

Batches = Iterable[tuple[str, pd.DataFrame]]
Ends = Mapping[str, datetime]

_FEWEST_SERVED = 2
"""Smallest number of batches after the first decision: one has no standard error."""


def replay(
    folder: Path,
    *,
    windows: Sequence[str] | None,
    regret: float | None,
    max_age_batches: int | None,
    delay: int,
    jobs: int,
    stream: Stream | None,
    with_recommendation: bool,
    report: Report,
) -> str:
    """Replay a history through all policies, write `index.html`, `scorecard.csv` and `batches.csv`, and return a summary.

    Args:
        folder: For the results, and for the fitted models in `cache/`.
        windows: `all` or a number of batches, instead of `train.windows`; the first one leads at the beginning.
        regret: Instead of `trigger.regret`.
        max_age_batches: Instead of `trigger.max_age_batches`.
        delay: Number of batches by which labels are late.
        jobs: Number of processes.
        stream: A generated stream to replay instead of the batches of the origin.
        with_recommendation: Whether to try other numbers as well.
        report: Is told the number of models that are done, and of all.

    Raises:
        NotEnoughBatches: Hardly a batch with a label known in time is left after the first decision.
    """
    history = open_history(folder / "cache", windows, stream, delay)
    in_time = "Without the labels that came too late (see --delay), a replay"
    _expect(history.first + 1 + len(history.recorded), history.params, delay, in_time)
    history.fit_all(jobs, report)
    numbers = changed(history.params, regret=regret, max_age_batches=max_age_batches)
    results = compare(history, numbers)
    ours = next(result for result in results if result.row.policy == LOOP)
    summary = _summary(ours)
    if with_recommendation:
        summary = f"{summary}\n{recommend(history, numbers)}"
    _write(folder, history.name, results, numbers.trigger.regret, summary)
    return f"{table(results)}\n\n{summary}\nThe page is at {folder / 'index.html'}"


def table(results: Sequence[Result]) -> str:
    """Return the scorecard as text, one line per policy."""
    head = (
        f"{'policy':<24}{'loss':>8}{'AUC':>7}{'kept':>7}{'deployed':>9}{'wrong':>6}{'(schedule)':>11}{'rolled back':>12}"
        f"{'reaction':>9}{'against the schedule':>28}"
    )
    return "\n".join([head, *(_line(result.row, result.schedule_row) for result in results)])


def open_history(cache: Path, windows: Sequence[str] | None, stream: Stream | None, delay: int) -> History:
    """Write the rows of the origin's batches, or of a generated stream, to `cache`; the arguments are those of `replay`."""
    name, parameters, hours, batches, ends = _generated(stream, delay) if stream else _ingested(delay)
    rows_file = cache / f"{name.replace(' ', '-')}.parquet"
    write_rows(rows_file, batches)
    return History(
        name=name,
        params=parameters,
        rows_file=rows_file,
        ends=ends,
        windows=dict(
            candidate_of("all" if window == "all" else int(window))
            for window in windows or parameters.train.windows
        ),
        block_hours=hours,
        cache=cache,
        drifts=stream.drifts if stream else (),
        delay=delay,
    )


def _generated(stream: Stream, delay: int) -> tuple[str, params.Params, float, Batches, Ends]:
    parameters = stream_params(params.load(Path(params.FILE)))
    _expect(stream.batches, parameters, delay)
    return stream.name, parameters, block_hours(parameters.gate, [WEEK]), stream.frames(), stream.ends


def _ingested(delay: int) -> tuple[str, params.Params, float, Batches, Ends]:
    loop = open_loop()
    in_force = state.batches_in_force(loop.ledger.all(Batch))
    labelled = [fact for fact in in_force if sufficiently_labelled([fact.manifest], loop.params.data)]
    _expect(len(labelled), loop.params, delay)
    batches = (
        (fact.manifest.batch, conform_to_contract(_rows(loop, fact), loop.params.data)) for fact in labelled
    )
    hours = block_hours(loop.params.gate, [fact.manifest.end - fact.manifest.start for fact in labelled])
    ends = {fact.manifest.batch: fact.manifest.end for fact in labelled}
    return loop.model, loop.params, hours, batches, ends


def _rows(loop: Loop, fact: Batch) -> pd.DataFrame:
    return loop.origin.fetch_batch(fact.manifest.batch, md5=fact.md5, commit=fact.commit)


def _expect(batches: int, parameters: params.Params, delay: int, purpose: str = "A replay") -> None:
    needed = parameters.train.start_batches + delay + _FEWEST_SERVED
    if batches < needed:
        raise NotEnoughBatches(batches, needed, purpose)


def _summary(ours: Result) -> str:
    row, difference = ours.row, ours.row.difference / ours.row.loss
    verdict = "less" if difference < 0 else "more"
    return (
        f"{LOOP} deployed {row.deployments} times and lost {abs(difference):.2%} {verdict} than a schedule with as many "
        f"deployments (standard error {ours.row.error / row.loss:.2%})."
    )


def _write(folder: Path, name: str, results: Sequence[Result], regret: float, summary: str) -> None:
    files.write(folder / "index.html", page(name, results, regret=regret, summary=summary))
    rows = pd.DataFrame([asdict(result.row) for result in results])
    files.write(folder / "scorecard.csv", rows.to_csv(index=False))
    batches = pd.concat([_by_batch(result.played) for result in results])
    files.write(folder / "batches.csv", batches.to_csv(index=False))


def _by_batch(played: Played) -> pd.DataFrame:
    """Return one row per served batch: its model and losses, and what was decided after the batch."""
    first = played.begin + played.delay
    decisions = {played.begin + place - 1: each for place, each in enumerate(played.decisions)}
    return pd.DataFrame(
        {
            "policy": played.policy,
            "batch": played.record[number].batch,
            "model": played.served(number),
            "rows": score.rows,
            "loss": score.loss,
            "auc": score.auc,
            "decision": decisions[number].action if number in decisions else None,
            "reason": decisions[number].reason if number in decisions else None,
        }
        for number, score in enumerate(played.scores, start=first)
    )


def _line(ours: Row, schedule: Row) -> str:
    return (
        f"{ours.policy:<24}{ours.loss:>8.4f}{_number(ours.auc, '.3f'):>7}{_number(ours.gain_kept, '.0%'):>7}"
        f"{ours.deployments:>9}{ours.wrong:>6}{schedule.wrong:>11}{ours.rollbacks:>12}{_number(ours.reaction, '.1f'):>9}"
        f"{f'{ours.difference / ours.loss:+.2%} ± {ours.error / ours.loss:.2%}':>28}"
    )


def _number(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)
