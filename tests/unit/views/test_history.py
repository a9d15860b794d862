"""What happened, and why, in a year in a real ledger."""

from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.errors import Unknown
from trimtab.ledger import Erasure, ErasureEnd, Ledger, Measurement, Notice, Observation, Shadow, Version
from trimtab.views.history import Entry, about, alarms_on, read, table


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return year.written(tmp_path_factory.mktemp("year"))


def kinds(entries: list[Entry]) -> list[str]:
    return [entry.what for entry in entries]


def texts(entries: list[Entry], what: str) -> list[str]:
    return [entry.text for entry in entries if entry.what == what]


def test_the_history_is_in_the_order_of_the_system_clock(ledger: Ledger) -> None:
    entries = read(ledger, None)
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert kinds(entries)[-6:] == ["Staging", "DEPLOY", "question", "pause", "WAIT", "quarantined"]
    assert {"SKIP", "ROLLBACK", "failed", "Production", "Archived", "rollback", "block"} <= set(
        kinds(entries)
    )


def test_a_comparison_without_blocks_names_no_bound(ledger: Ledger) -> None:
    first = next(entry for entry in read(ledger, None) if entry.what == "WAIT")
    assert "at most unknown (0 of at least 7 blocks);" in first.text


@pytest.mark.parametrize("last", [1, 7, 20, 500])
def test_the_newest_entries_are_the_end_of_the_history(ledger: Ledger, last: int) -> None:
    assert read(ledger, last) == read(ledger, None)[-last:]


def test_a_run_is_a_decision_of_its_own_only_without_an_answer(ledger: Ledger) -> None:
    entries = [entry for entry in read(ledger, None) if entry.what == "DEPLOY"]
    assert [entry.version for entry in entries].count(
        None
    ) == 2, "the run that failed, and the one that asks a person"
    deployed = [entry.version for entry in entries if entry.version is not None]
    assert deployed == [entry.version for entry in read(ledger, None) if entry.text.startswith("DEPLOY: ")]


def test_a_version_has_its_training_its_answers_its_evidence_and_its_moves(ledger: Ledger) -> None:
    (rollback,) = [entry for entry in read(ledger, None) if entry.what == "rollback"]
    entries = about(ledger, str(rollback.version))
    assert kinds(entries) == [
        "trained",
        "Staging",
        "DEPLOY",
        "evidence",
        "Production",
        "DEPLOY",
        "ROLLBACK",
        "evidence",
        "Production",
        "rollback",
        "WAIT",
        "DEPLOY",
    ]
    training = ledger.require(Version, str(rollback.version)).training
    assert texts(entries, "trained") == [
        f"by candidate all on {training.rows} rows of {len(training.batches)} batches, {year.name(0)} to "
        f"{training.batches[-1].batch}; run {training.run_id}, sha256 {training.digest[:12]}"
    ]
    evidence, _ = texts(entries, "evidence")
    assert evidence.startswith(
        "all leads; regret +3.6% (+0.0160 over 4 batches); the champion is 5 batches old; loss "
    )
    assert evidence.endswith(" 28 blocks in 4 batches; all 5 checks hold")


def test_a_model_that_the_guard_stopped_says_on_which_evidence(ledger: Ledger) -> None:
    (stopped,) = [entry for entry in read(ledger, None) if "worse beyond doubt" in entry.text]
    version = next(
        each
        for each in ledger.all(Version)
        if each.event_time == stopped.event_time and each.candidate == "all"
    )
    entries = about(ledger, version.version)
    assert kinds(entries) == ["trained", "Staging", "SKIP", "evidence", "Archived"]
    assert "a gain of -0.00" in entries[3].text


def test_a_batch_has_its_ingestion_its_losses_its_drift_and_its_use(ledger: Ledger) -> None:
    entries = about(ledger, year.name(12))
    assert kinds(entries) == ["ingested", "data drift", "measured", "trained on"]
    measured = ledger.all(Measurement, batch=year.name(12))[0]
    champion, every, short, baseline = (
        f"{measured.scores[run].loss:.4f}"
        for run in (measured.champion, *measured.shadows.values(), "baseline")
    )
    assert texts(entries, "measured") == [
        f"revision 1: champion {champion}, fresh model of all {every}, fresh model of newest 8 {short}, baseline "
        f"{baseline} log_loss per row; all leads"
    ]
    columns = ledger.all(Observation, batch=year.name(12))[0].data.columns
    drifted = [column.column for column in columns if column.drifted]
    assert texts(entries, "data drift") == [f"{len(drifted)} of 17 features drifted: {', '.join(drifted)}"]
    assert kinds(about(ledger, year.name(52))) == ["quarantined"]


def test_a_batch_says_which_model_has_no_score_and_which_fit_failed(ledger: Ledger) -> None:
    (measured,) = texts(about(ledger, year.name(year.NOT_SCORED)), "measured")
    assert measured.endswith(
        "; no score of the fresh model of newest 8: ValueError: the predictions hold 3 NaN"
    )
    (failed,) = texts(about(ledger, year.name(year.FAILED_FIT)), "fit failed")
    (shadow,) = (each for each in ledger.all(Shadow, batch=year.name(year.FAILED_FIT)) if each.error)
    assert failed == f"newest 8, attempt 1 of 3: {shadow.error}"


def test_a_recipe_has_its_entry_and_its_end_in_the_history(tmp_path: Path) -> None:
    model = shipped().model.model_copy(update={"seed": 8})
    written = year.played(tmp_path, 12)
    written.enter(11, shipped().model_copy(update={"model": model}), 0.0)
    written.ledger.append(Notice(key="recipe 2 is out", kind="recipe", text="recipe 2 does not lead"))
    written.ledger.append(Notice(key="pinned:1", kind="pinned", text="version 1 is pinned"))
    assert texts(read(written.ledger, 3), "recipe") == [
        f"recipe 2 enters with commit {year.digest('commit')[:10]}: model.seed: 7 -> 8",
        "recipe 2 does not lead",
    ]


def test_a_batch_has_the_alarms_that_fired_on_it(ledger: Ledger) -> None:
    (alarm,) = alarms_on(ledger, year.name(29), 0.00135)
    assert alarm.what == "stale model"
    assert alarm.text.startswith("what the champion loses more than a fresh model: 0.00")
    assert alarm.text.endswith(", from 18 earlier batches)")
    (measured,) = ledger.all(Measurement, batch=year.name(29))
    assert alarm.at == measured.at
    for quiet in (year.name(28), year.name(38), year.name(40), "3", "W99"):
        assert list(alarms_on(ledger, quiet, 0.00135)) == []


def test_a_batch_has_the_requests_that_it_led_to(ledger: Ledger) -> None:
    entries = about(ledger, year.name(year.LAST))
    assert kinds(entries)[-3:] == ["DEPLOY", "question", "WAIT"]


def test_a_batch_with_late_labels_was_ingested_twice_and_measured_with_its_labels(ledger: Ledger) -> None:
    entries = about(ledger, year.name(38))
    assert kinds(entries) == ["ingested", "data drift", "trained on", "ingested", "measured"]


def test_an_unknown_name_is_refused_with_those_that_exist(ledger: Ledger) -> None:
    with pytest.raises(
        Unknown, match=r"a version \(newest: \d+, \d+, \d+\) or a batch \(newest: .*2025-W52\)"
    ):
        about(ledger, "W99")


@pytest.mark.parametrize("outcome", ["failed", "lost"])
def test_a_run_that_came_to_no_conclusion_says_why(tmp_path: Path, outcome: str) -> None:
    written = year.played(tmp_path, 10)
    run = written.start_run(9, written.ask(9, "ui", "a new feature"))
    written.end_run(9, run, outcome, "No module named 'lightgbm'")
    entries = read(written.ledger, 2)
    assert kinds(entries) == ["DEPLOY", outcome]
    assert entries[-1].text == f"run {run.key}: No module named 'lightgbm'"
    assert f"{outcome:<12}       run {run.key}: No module" in table(entries)


def test_an_erasure_is_in_the_history_of_its_batches_and_versions(tmp_path: Path) -> None:
    ledger = year.written(tmp_path, 10)
    erasure = Erasure(
        key="e",
        salt="s",
        rows=("1", "2"),
        batches=(year.name(3),),
        objects=(),
        versions=("2",),
        actor="eve",
        reason="by request",
    )
    ledger.append(erasure)
    assert kinds(read(ledger, 1)) == ["erasing"]
    ledger.append(ErasureEnd(key="e"))
    for name, version in ((year.name(3), None), ("2", "2")):
        entries = about(ledger, name)[-2:]
        assert [(entry.what, entry.version, entry.actor) for entry in entries] == [
            ("erasing", version, "eve"),
            ("erased", version, "eve"),
        ]
    assert entries[-1].text == f"by request: 2 row(s), in batches {year.name(3)}; can no longer be rebuilt: 2"
