"""How many weeks can be played, and how a home is opened."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from examples.flights import demo, records
from examples.flights.progress import Progress
from trimtab import params, settings
from trimtab.errors import Unfit

WANTED = params.load(Path("params.yaml"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "var"))
    return tmp_path / "var"


def open_home(weeks: int) -> tuple[records.Demo, str]:
    said = io.StringIO()
    marker = demo.open_home(settings.read(), Path(), weeks, running=False, out=Progress(said))
    return marker, said.getvalue()


@pytest.mark.parametrize(("asked", "there"), [(9, 9), (None, 53)])
def test_one_week_more_than_the_start_can_be_played(asked, there):
    demo.check_weeks(asked, there, WANTED)


def test_the_start_alone_leaves_nothing_to_play():
    with pytest.raises(Unfit, match=r"8 weeks leave none to play.* Set WEEKS to 9 or more"):
        demo.check_weeks(8, 8, WANTED)


def test_more_weeks_than_there_are_is_refused():
    with pytest.raises(Unfit, match="60 weeks were asked for, the flights have 53. Set WEEKS to 53 or less"):
        demo.check_weeks(60, 53, WANTED)


def test_a_first_demo_leaves_its_marker_before_it_makes_anything(home):
    marker, said = open_home(20)

    assert said == "Starting fresh.\n"
    assert records.load(home) == marker


def test_an_interrupted_demo_goes_on_and_may_grow(home):
    begun, _ = open_home(12)
    (home / "ledger.db").touch()

    marker, said = open_home(20)

    assert said == "Resuming the interrupted demo: before its first model.\n"
    assert marker == replace(begun, weeks=20)
    assert (home / "ledger.db").exists()


def test_a_finished_demo_is_cleared_but_nothing_beside_it(home):
    begun, _ = open_home(12)
    records.save(home, replace(begun, finished=True))
    (home / "ledger.db").touch()
    (home / "verify").mkdir()

    open_home(12)

    assert sorted(path.name for path in home.iterdir()) == ["demo.json", "verify"]


def test_more_labels_cannot_be_withheld_than_weeks_are_played():
    demo.check_weeks(10, 10, WANTED, 2)
    with pytest.raises(
        Unfit, match="labels of 3 weeks were to be withheld, 2 weeks are played. Set WITHHOLD"
    ):
        demo.check_weeks(10, 10, WANTED, 3)
