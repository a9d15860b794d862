"""A replay of the batches of a real origin."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.playground import take_in, weeks
from trimtab.cli import app
from trimtab.loop.loop import Loop


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


@pytest.mark.parametrize("options", [["--stream", "chaos"], ["--window", "newest"], ["--window", "0"]])
def test_an_unknown_stream_or_window_is_refused(options: list[str], tmp_path: Path) -> None:
    result = replayed(*options, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert options[0] in result.stderr
