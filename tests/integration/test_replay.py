"""A replay of the batches of a real origin."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.agreement import differences
from tests.support.moments import Site
from tests.support.playground import answered, land, monitored, take_in, thin, weeks
from trimtab.cli import app
from trimtab.ledger import Shadow, Version
from trimtab.loop import ingest
from trimtab.loop.loop import Loop
from trimtab.replay.run import open_history
from trimtab.replay.shadows import fit_shadow
from trimtab.train.fit import predict


def replayed(*options: str) -> Result:
    return CliRunner().invoke(app, ["replay", *options])


def test_a_replay_of_the_origin_compares_the_policies(fed: Loop, tmp_path: Path) -> None:
    take_in(fed, range(4, 9))
    options = ["--window", "all", "--window", "2", "--jobs", "1", "--out", str(tmp_path)]
    result = replayed(*options, "--recommend")
    assert result.exit_code == 0, result.output
    assert "trimtab deployed" in result.stdout
    assert "Too little history for a recommendation: 5 served batches, 20 are needed" in result.stdout
    scorecard = pd.read_csv(tmp_path / "scorecard.csv").set_index("policy")
    assert scorecard.gain_kept["every batch"] == pytest.approx(1.0)
    batches = pd.read_csv(tmp_path / "batches.csv")
    served = batches[batches.policy == "trimtab"]
    assert served.batch.tolist() == [week.batch for week in weeks()[4:9]]
    assert served.model.notna().all() and (served.loss > 0).all()
    page = (tmp_path / "index.html").read_text()
    assert page.count("<svg") == 3 and "Replay of flight-delay" in page


def test_a_history_of_four_batches_is_too_short(fed: Loop, tmp_path: Path) -> None:
    result = replayed("--out", str(tmp_path))
    assert result.exit_code == 1
    assert "A replay needs 6 labelled batches, there are 4." in result.stderr


def test_batches_without_a_label_in_time_do_not_count(fed: Loop, tmp_path: Path) -> None:
    for week in weeks()[4:6]:
        rows = thin(week)
        late = rows.assign(label_known_at=rows["label_known_at"] + (week.end - week.start))
        land(fed.stores.landing, week.batch, late, week)
        assert ingest.ingest(week.batch)["outcome"] == "ingested"
    result = replayed("--out", str(tmp_path))
    assert result.exit_code == 1
    expected = (
        "Without the labels that came too late (see --delay), a replay needs 6 labelled batches, there are 4."
    )
    assert expected in result.stderr


@pytest.mark.parametrize("options", [["--stream", "chaos"], ["--window", "newest"], ["--window", "0"]])
def test_an_unknown_stream_or_window_is_refused(options: list[str], tmp_path: Path) -> None:
    result = replayed(*options, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert options[0] in result.stderr


@pytest.mark.parametrize(("through", "delay", "some_late"), [(1, 2, False), (3, 0, True)])
def test_a_replayed_model_equals_that_of_the_loop(
    through: int, delay: int, some_late: bool, led: Loop, tmp_path: Path
) -> None:
    """Four batches landed together, so the loop fitted through batch 1 when the labels of batch 3 were known."""
    take_in(led, range(4, 6))
    past = replace(open_history(tmp_path, ["all"], None, 0), delay=delay)
    (shadow,) = led.ledger.all(Shadow, batch=past.batches[through])
    assert shadow.training is not None
    labelled = past.rows.select(past.batches[: through + 1])
    in_time = labelled.known_at(past.cutoffs[through])
    assert shadow.training.rows == len(in_time)
    assert (len(in_time) < len(labelled)) == some_late

    numbers, hours = range(through + 1), past.block_hours
    _, predictions, _ = fit_shadow(
        past.params,
        past.rows,
        numbers,
        following=through + 1,
        cutoffs=past.cutoffs,
        baseline=False,
        block_hours=hours,
    )
    fitted = led.load(Version(version="1", candidate="all", training=shadow.training))
    assert np.array_equal(predictions, predict(fitted, past.params, in_time.parts[-1].read()))


@pytest.mark.parametrize("every", [1, 4])
def test_a_replay_decides_as_the_loop_did(
    every: int, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven weeks one by one, and nobody intervenes."""
    changes = {"train__windows": ["all", 2], "trigger__max_age_batches": 2, "gate__block_hours": None}
    loop = site.empty(monkeypatch, f"two windows, every {every}", train__shadow_every=every, **changes)
    for number in range(7):
        take_in(loop, [number])
        monitored(f"monitor {number}")
        answered(f"retrain {number}")
    turns, different = differences(loop, tmp_path)
    assert different == []
    assert [turn.batch for turn in turns] == [week.batch for week in weeks()[2:7]]
    assert {turn.why for turn in turns} > {"first", None}, turns
