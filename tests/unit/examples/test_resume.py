"""Whether a demo starts fresh or resumes, and what it may remove."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.flights import records, resume
from examples.flights.records import Demo, Served, Week
from trimtab.errors import Unfit
from trimtab.settings import Settings

BEGUN = Demo(
    params_sha256="aa",
    weeks=12,
    started_at=datetime(2026, 11, 2, tzinfo=UTC),
    made=("demo.json", "ledger.db"),
)
FINISHED = replace(BEGUN, finished=True)
WEEK = Week(batch="2013-W09", served=Served(rows=10, version="1"))


def decide(
    marker: Demo | None,
    *,
    present: set[str] | None = None,
    running: bool = False,
    params: str = "aa",
    weeks: int = 12,
):
    return resume.decide(marker, present=present or set(), running=running, params_sha256=params, weeks=weeks)


def stores(home: Path, **places: str) -> Settings:
    return Settings(home=home, **({"mlflow": "http://127.0.0.1:5000"} | places))


def test_an_empty_home_starts_fresh_and_removes_nothing():
    assert decide(None) == resume.Beginning(kind="fresh", sentence="Starting fresh.", remove=())


def test_a_loop_that_the_demo_did_not_create_is_refused():
    with pytest.raises(
        Unfit, match="did not create: ledger.db, origin.git. The demo does not remove your files"
    ):
        decide(None, present={"origin.git", "ledger.db"})


def test_a_running_stack_without_a_marker_is_refused():
    with pytest.raises(Unfit, match="did not start runs on this home. Run `make down`"):
        decide(None, running=True)


def test_an_interrupted_demo_is_resumed_and_says_where():
    half = replace(BEGUN, played=(WEEK,))

    assert decide(half).sentence == "Resuming the interrupted demo: in the middle of week 2013-W09."


def test_a_resumed_demo_removes_nothing_even_with_a_stack_that_runs():
    beginning = decide(replace(BEGUN, played=(replace(WEEK, done=True),)), running=True, weeks=20)

    assert (beginning.kind, beginning.remove) == ("resume", ())
    assert beginning.sentence == "Resuming the interrupted demo: after week 2013-W09."


def test_a_finished_demo_starts_fresh_and_removes_what_it_created():
    beginning = decide(FINISHED, present={"ledger.db"})

    assert (beginning.kind, beginning.remove) == ("fresh", ("demo.json", "ledger.db"))


def test_changed_params_start_fresh():
    assert "params.yaml changed" in decide(BEGUN, params="bb").sentence


def test_fewer_weeks_start_fresh():
    assert "fewer weeks than the 12 of the last demo" in decide(BEGUN, weeks=11).sentence


def test_a_fresh_start_is_refused_under_a_running_stack():
    with pytest.raises(Unfit, match="Run `make down` first"):
        decide(FINISHED, running=True)


def test_a_file_that_the_marker_does_not_name_stops_a_fresh_start():
    with pytest.raises(Unfit, match="the last demo did not create: origin.git"):
        decide(FINISHED, present={"ledger.db", "origin.git"})


def test_clearing_removes_only_the_named_entries(tmp_path: Path):
    (tmp_path / "verify").mkdir()
    (tmp_path / "work" / "run").mkdir(parents=True)
    (tmp_path / "demo.json").write_text("{}")

    resume.clear(tmp_path, ("work", "demo.json", "never-made"))

    assert [path.name for path in tmp_path.iterdir()] == ["verify"]


def test_clearing_a_link_leaves_its_target(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "elsewhere")

    resume.clear(tmp_path, ("work",))

    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_the_stores_and_the_page_belong_to_the_demo(tmp_path: Path):
    names = resume.claims(stores(tmp_path))

    assert {"origin.git", "dvc-cache", "ledger.db-wal", "landing", "demo.html", "demo.json"} <= names


def test_a_store_outside_the_home_is_refused(tmp_path: Path):
    outside = stores(tmp_path, ledger="postgresql://db/trimtab")

    with pytest.raises(
        Unfit, match="TRIMTAB_LEDGER_URL is postgresql://db/trimtab, which is outside the demo's home"
    ):
        resume.claims(outside)


def test_the_marker_is_read_as_it_was_saved(tmp_path: Path):
    demo = BEGUN.with_week(WEEK)

    records.save(tmp_path, demo)

    assert records.load(tmp_path) == demo


def test_without_a_marker_there_is_none(tmp_path: Path):
    assert records.load(tmp_path) is None


def test_a_foreign_marker_is_refused(tmp_path: Path):
    (tmp_path / "demo.json").write_text('{"weeks": "many"}')

    with pytest.raises(Unfit, match="not written by this version of the demo"):
        records.load(tmp_path)


def test_a_week_that_is_there_already_is_replaced_in_its_place():
    done, later = replace(WEEK, done=True), replace(WEEK, batch="2013-W10")

    assert BEGUN.with_week(WEEK).with_week(later).with_week(done).played == (done, later)
