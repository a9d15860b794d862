import multiprocessing
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.support.builders import shops
from tests.support.waiting import until
from trimtab.evaluate.record import BASELINE
from trimtab.replay.history import History, write_rows
from trimtab.replay.recommend import recommend
from trimtab.replay.streams import KINDS, Kind, Stream, stream_params
from trimtab.train import row_groups

BATCHES = 11


def fitted(folder: Path, stream: Stream, **changes: object) -> History:
    write_rows(folder / "rows.parquet", stream.frames())
    past = History(
        name=stream.name,
        params=stream_params(shops(**changes)),
        rows_file=folder / "rows.parquet",
        ends=stream.ends,
        windows={"all": None, "newest 3": 3},
        block_hours=24.0,
        cache=folder / "fits",
    )
    past.fit_all(2)
    return past


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    stream = Stream(kind="abrupt", seed=1, batches=BATCHES, rows=150)
    return fitted(tmp_path_factory.mktemp("history"), stream)


def again(past: History) -> History:
    return History(**{name: getattr(past, name) for name in History.__dataclass_fields__})


def test_each_batch_is_scored_with_all_models_that_were_fitted_before_it(history: History) -> None:
    record = history.record()
    assert len(record) == BATCHES - history.first - 1
    assert list(record[0].shadows) == ["all", "newest 3"]
    assert len(record[2].scores) == 3 * 2 + 1
    assert record[0].scores[BASELINE].rows == 148  # two of 150 labels come after the end of the batch
    assert record[0].shadows["all"] not in record[0].newest.values()


def test_the_shadow_on_a_batch_was_the_newest_model_on_the_batch_before(history: History) -> None:
    record = history.record()
    assert [each.shadows for each in record[1:]] == [each.newest for each in record[:-1]]


def test_between_two_fits_the_models_are_those_of_the_last_fit(tmp_path: Path) -> None:
    stream = Stream(kind="none", seed=1, batches=BATCHES, rows=80)
    past = fitted(tmp_path, stream, train__shadow_every=3)
    record, weeks = past.record(), past.batches
    assert past.fits == [5, 8]
    shadows = [each.shadows["all"].removeprefix("all through ") for each in record]
    newest = [each.newest["all"].removeprefix("all through ") for each in record]
    assert shadows == [weeks[5]] * 3 + [weeks[8]] * 2
    assert newest == [weeks[5]] * 2 + [weeks[8]] * 3
    distances = [each.examined["all"].distance for each in record]
    assert distances[:2] == [None] * 2 and distances[2:] == [distances[2]] * 3 and distances[2] > 0
    assert record[-1].scores.keys() == {
        BASELINE,
        *(f"{name} through {week}" for name in past.windows for week in (weeks[5], weeks[8])),
    }


def test_windows_make_different_models(history: History) -> None:
    last = history.record()[-1]
    assert last.scores[last.shadows["all"]].loss != last.scores[last.shadows["newest 3"]].loss


def test_a_model_has_no_score_on_the_batches_that_it_was_fitted_on(history: History) -> None:
    record = history.record()
    assert record[1].newest["all"] not in record[1].scores
    assert record[1].newest["all"] in record[2].scores


def test_successive_models_have_a_distance(history: History) -> None:
    distances = [scored.examined["all"].distance for scored in history.record()]
    assert all(distance is not None and 0 < distance < 0.5 for distance in distances)


def test_a_replay_that_was_killed_fits_only_what_is_missing(history: History) -> None:
    before = again(history).record()
    files = sorted(history.folder.glob("*.json"))
    fitted_at, lost = files[0].stat().st_mtime_ns, files[4]
    os.remove(lost)
    counts: list[tuple[int, int]] = []
    again(history).fit_all(1, lambda done, total: counts.append((done, total)))
    assert counts == [(len(files) - 1, len(files)), (len(files), len(files))]
    assert files[0].stat().st_mtime_ns == fitted_at
    after = again(history).record()
    assert [dict(scored.scores) for scored in after] == [dict(scored.scores) for scored in before]


def test_a_killed_replay_leaves_no_process_and_continues(history: History, tmp_path: Path) -> None:
    stream = Stream(kind="abrupt", seed=1, batches=BATCHES, rows=150)
    context = multiprocessing.get_context("spawn")
    replay = context.Process(target=fit_in_a_group, args=(tmp_path, stream))
    replay.start()
    until(lambda: any(tmp_path.rglob("*.json")), "the first model", seconds=120)
    os.kill(replay.pid, signal.SIGKILL)  # type: ignore[arg-type]  # it has started
    replay.join()
    until(lambda: not group_exists(replay.pid), "the end of all processes", seconds=30)
    continued = fitted(tmp_path, stream)
    assert [dict(each.scores) for each in continued.record()] == [
        dict(each.scores) for each in history.record()
    ]


def fit_in_a_group(folder: Path, stream: Stream) -> None:
    """Fit as the leader of a new group of processes."""
    os.setpgid(0, 0)
    fitted(folder, stream)


def group_exists(group: int | None) -> bool:
    try:
        os.killpg(group or 0, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_recipe_has_models_of_its_own(history: History) -> None:
    model = history.params.model.model_copy(update={"seed": 99})
    other = History(
        **{name: getattr(history, name) for name in History.__dataclass_fields__}
        | {"params": history.params.model_copy(update={"model": model})}
    )
    assert other.folder != history.folder


def test_a_batch_of_one_class_fits_no_model_and_stops_nothing(tmp_path: Path) -> None:
    batches = [
        (batch, rows.assign(label=rows["label"] if number >= 2 else 0))
        for number, (batch, rows) in enumerate(Stream(kind="none", seed=1, batches=8, rows=80).frames())
    ]
    write_rows(tmp_path / "rows.parquet", batches)
    past = History(
        name="one class",
        params=stream_params(shops(train__start_batches=3)),
        rows_file=tmp_path / "rows.parquet",
        ends=Stream(kind="none", seed=1, batches=8, rows=80).ends,
        windows={"all": None},
        block_hours=24.0,
        cache=tmp_path / "fits",
    )
    past.fit_all(1)
    record = past.record()
    assert record[0].shadows == {} and record[2].shadows
    assert "at least two classes" in str(past.shadow("all", 0).error)


def test_batches_without_a_label_are_left_out(tmp_path: Path) -> None:
    (first, rows), (second, unlabelled) = Stream(kind="none", seed=1, batches=2, rows=20).frames()
    write_rows(tmp_path / "rows.parquet", [(first, rows), (second, unlabelled.assign(label=None))])
    assert [part.batch for part in row_groups.read(tmp_path / "rows.parquet").parts] == [first]


def test_a_recommendation_names_the_settings_and_says_how_sure_it_is(tmp_path: Path) -> None:
    past = fitted(tmp_path, Stream(kind="none", seed=1, batches=30, rows=80), train__start_batches=4)
    advice = recommend(past, past.params)
    assert re.match(r"(Keep|Set) regret [0-9.]+, max-age \d+, windows all", advice)
    assert re.search(r"saved -?[0-9.]+% ± [0-9.]+% of the loss", advice)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_the_same_again_with_the_same_seed(kind: Kind) -> None:
    first, second = (list(Stream(kind=kind, seed=3, batches=6, rows=50).frames()) for _ in range(2))
    assert all(ours[1].equals(theirs[1]) for ours, theirs in zip(first, second, strict=True))
    assert not first[0][1].equals(list(Stream(kind=kind, seed=4, batches=6, rows=50).frames())[0][1])


def test_an_abrupt_drift_changes_the_concept_at_its_batch_and_the_covariate_drift_only_the_features() -> None:
    stream = Stream(kind="abrupt", seed=2, batches=30, rows=4000)
    frames = [rows for _, rows in stream.frames()]

    def effect(number: int) -> np.ndarray:
        rows = frames[number]
        return np.array([np.corrcoef(rows[f"x{column}"], rows["label"])[0, 1] for column in range(6)])

    (drift,) = stream.drifts
    assert np.abs(effect(drift - 1) - effect(0)).max() < 0.12
    assert np.abs(effect(drift) - effect(drift - 1)).max() > 0.15
    shifted = [rows for _, rows in Stream(kind="covariate", seed=2, batches=30, rows=4000).frames()]
    assert abs(shifted[0]["x0"].mean()) < 0.1 < 1.4 < shifted[29]["x0"].mean()
