"""How many weeks can be played, and how a home is opened."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from examples.flights import demo, records
from examples.flights.progress import Progress
from trimtab import params, settings
from trimtab.errors import Unfit

PARAMS = params.load(Path("params.yaml"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "var"))
    return tmp_path / "var"


def open_home(weeks: int) -> tuple[records.Demo, str]:
    output = io.StringIO()
    marker = demo.open_home(settings.read(), Path(), weeks, running=False, out=Progress(output))
    return marker, output.getvalue()


@pytest.mark.parametrize("weeks", [10, 53])
def test_two_weeks_more_than_the_start_can_be_played(weeks):
    demo.check_weeks(weeks, weeks, PARAMS)


def test_a_single_week_after_the_start_has_no_standard_error():
    with pytest.raises(Unfit, match=r"Of 9 weeks the first 8 .* two more are needed. Set WEEKS to 10"):
        demo.check_weeks(9, 9, PARAMS)


def test_more_weeks_than_there_are_is_refused():
    with pytest.raises(
        Unfit, match="at most 53 weeks, as many as the flights have, got 60. Set WEEKS to 53 or less"
    ):
        demo.check_weeks(60, 53, PARAMS)


def test_a_first_demo_writes_its_marker_before_anything_else(home):
    marker, output = open_home(20)

    assert output == "Starting fresh.\n"
    assert records.load(home) == marker


def test_an_interrupted_demo_resumes_and_may_have_more_weeks(home):
    begun, _ = open_home(12)
    (home / "ledger.db").touch()

    marker, output = open_home(20)

    assert output == "Resuming the interrupted demo: before its first model.\n"
    assert marker == replace(begun, weeks=20)
    assert (home / "ledger.db").exists()


def test_a_finished_demo_is_cleared_but_nothing_else(home):
    begun, _ = open_home(12)
    records.save(home, replace(begun, finished=True))
    (home / "ledger.db").touch()
    (home / "verify").mkdir()

    open_home(12)

    assert sorted(path.name for path in home.iterdir()) == ["demo.json", "verify"]


def test_more_labels_cannot_be_withheld_than_weeks_are_played():
    demo.check_weeks(10, 10, PARAMS, 2)
    with pytest.raises(
        Unfit, match="The labels of 3 weeks were to be withheld, 2 weeks are played. Set WITHHOLD"
    ):
        demo.check_weeks(10, 10, PARAMS, 3)
