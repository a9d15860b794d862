"""Some labels of a replayed history became known after the end of their batch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from tests.support.builders import shops
from trimtab.contracts import Score
from trimtab.evaluate.record import BASELINE
from trimtab.evaluate.scores import score_model
from trimtab.replay.comparison import LOOP, compare
from trimtab.replay.history import History, write_rows
from trimtab.replay.play import play
from trimtab.replay.policies import never
from trimtab.replay.streams import WEEK, Stream, stream_params
from trimtab.train import fit
from trimtab.train.features import targets

STREAM = Stream(kind="none", seed=1, batches=9, rows=120)
ENDS = list(STREAM.ends.values())
PARAMS = stream_params(shops(train__start_batches=3))
LATE = 4
"""Number of the batch with late labels. They are known after the end of the next batch, and before that of the one after."""


def frames(late_rows: int) -> list[pd.DataFrame]:
    """The rows of each batch: the first rows of one batch are labelled late, all others at once."""
    batches = [rows.assign(label_known_at=rows["event_time"]) for _, rows in STREAM.frames()]
    batches[LATE].loc[: late_rows - 1, "label_known_at"] = ENDS[LATE] + 1.5 * WEEK
    return batches


def history(folder: Path, batches: Sequence[pd.DataFrame], *, delay: int = 0) -> History:
    write_rows(folder / "rows.parquet", zip(STREAM.ends, batches, strict=True))
    return History(
        name="late labels",
        params=PARAMS,
        rows_file=folder / "rows.parquet",
        ends=STREAM.ends,
        windows={"all": None},
        block_hours=24.0,
        cache=folder / "fits",
        delay=delay,
    )


def score(train: Sequence[pd.DataFrame], rows: pd.DataFrame, pipeline: Pipeline | None = None) -> Score:
    """Fit on some rows, and score on others."""
    model = fit.fit(pipeline or fit.build(PARAMS), PARAMS, pd.concat(train, ignore_index=True))
    return score_model(rows, targets(rows, PARAMS.data), fit.predict(model, PARAMS, rows), PARAMS, 24.0)


def scored(past: History, through: int, on: int, candidate: str = "all") -> Score:
    past.fit(candidate, through)
    return past.shadow(candidate, through).scores[past.batches[on]]


@pytest.mark.parametrize("through", [LATE, LATE + 1])
def test_a_label_that_was_not_known_yet_is_not_fitted(through: int, tmp_path: Path) -> None:
    batches = frames(late_rows=40)
    in_time = [*batches[:LATE], batches[LATE][40:], *batches[LATE + 1 : through + 1]]
    assert scored(history(tmp_path, batches), through, on=8) == score(in_time, batches[8])


def test_a_late_label_is_fitted_once_it_was_known(tmp_path: Path) -> None:
    batches = frames(late_rows=40)
    assert scored(history(tmp_path, batches), LATE + 2, on=8) == score(batches[: LATE + 3], batches[8])


def test_the_baseline_has_the_labels_that_are_known_when_it_is_scored(tmp_path: Path) -> None:
    batches = frames(late_rows=40)
    all_rows = score(batches[: LATE + 2], batches[LATE + 2], fit.baseline(PARAMS))
    assert scored(history(tmp_path, batches), LATE + 1, LATE + 2, BASELINE) == all_rows


def test_a_label_that_was_not_known_yet_is_not_scored(tmp_path: Path) -> None:
    batches = frames(late_rows=40)
    assert scored(history(tmp_path, batches), 3, on=LATE) == score(batches[:LATE], batches[LATE][40:])


@pytest.mark.parametrize(("delay", "rows"), [(1, 80), (2, 120)])
def test_a_delay_waits_for_late_labels(delay: int, rows: int, tmp_path: Path) -> None:
    assert scored(history(tmp_path, frames(late_rows=40), delay=delay), 3, on=LATE).rows == rows


def test_the_newest_batches_are_scored_with_the_labels_that_are_known_at_the_end(tmp_path: Path) -> None:
    assert history(tmp_path, frames(late_rows=0), delay=2).cutoffs == [*ENDS[2:], ENDS[-1], ENDS[-1]]


def test_a_batch_without_a_label_in_time_is_not_in_the_record(tmp_path: Path) -> None:
    batches = frames(late_rows=120)
    past = history(tmp_path, batches)
    past.fit_all(1)
    record = past.record()
    assert [each.batch for each in record] == [*past.batches[1:LATE], *past.batches[LATE + 1 :]]
    assert [each.scores[each.shadows["all"]].rows for each in record] == [120] * 7
    first = play("never", never(["all"] * len(record)), record, begin=past.begin)
    assert first.served(6) == record[1].newest["all"]
    assert scored(past, LATE + 2, on=8) == score(batches[: LATE + 3], batches[8])


def test_without_late_labels_all_rows_are_fitted_and_scored(tmp_path: Path) -> None:
    batches = frames(late_rows=0)
    past = history(tmp_path, batches)
    assert [scored(past, 5, on=number) for number in (6, 7, 8)] == [
        score(batches[:6], rows) for rows in batches[6:]
    ]


def test_other_ends_have_models_of_their_own(tmp_path: Path) -> None:
    past = history(tmp_path, frames(late_rows=0))
    later = replace(past, ends={batch: end + WEEK for batch, end in past.ends.items()})
    assert later.folder != past.folder != replace(past, delay=1).folder


def test_all_policies_begin_with_the_first_model_that_the_policy_of_the_loop_deploys(tmp_path: Path) -> None:
    past = history(tmp_path, frames(late_rows=120))
    past.fit_all(1)
    played = {result.row.policy: result.played for result in compare(past, PARAMS)}
    begin = played[LOOP].tenures[0].since
    assert begin > past.begin
    assert {each.tenures[0].since for each in played.values()} == {begin}
    assert {len(each.scores) for each in played.values()} == {len(past.record()) - begin}
