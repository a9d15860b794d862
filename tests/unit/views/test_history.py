"""What happened, and why, in a year in a real ledger."""

from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.errors import Unknown
from trimtab.ledger import Erasure, ErasureEnd, Ledger
from trimtab.views.history import Entry, about, read, table


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return year.written(tmp_path_factory.mktemp("year"))


def kinds(entries: list[Entry]) -> list[str]:
    return [entry.what for entry in entries]


def test_the_history_is_in_the_order_of_the_system_clock(ledger: Ledger) -> None:
    entries = read(ledger, None)
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert kinds(entries)[:5] == ["RETRAIN", "Staging", "judged", "Production", "Archived"]
    assert kinds(entries)[-4:] == ["judged", "pause", "WAIT", "quarantined"]
    assert {"SKIP", "ROLLBACK", "rollback", "block"} <= set(kinds(entries))


@pytest.mark.parametrize("last", [1, 7, 20, 500])
def test_the_newest_entries_are_the_end_of_the_history(ledger: Ledger, last: int) -> None:
    assert read(ledger, last) == read(ledger, None)[-last:]


def test_a_retraining_is_one_decision_although_it_has_an_answer_too(ledger: Ledger) -> None:
    assert kinds(read(ledger, None)).count("RETRAIN") == 8


def test_a_version_has_its_cause_its_training_its_verdict_and_its_moves(ledger: Ledger) -> None:
    entries = about(ledger, shipped(), "11")
    assert kinds(entries) == ["RETRAIN", "trained", "judged", "Production", "block"]
    assert "a refit of version 10; run " in entries[1].text
    assert entries[0].text.endswith(
        f"; commit {year.digest('commit 30')[:10]}, judged on 2025-W30 and 2025-W31"
    )
    assert {entry.version for entry in entries} == {"10", "11"}


def test_a_batch_has_its_ingestion_its_measurement_its_requests_and_its_use(ledger: Ledger) -> None:
    entries = about(ledger, shipped(), year.name(12))
    assert kinds(entries)[:3] == ["ingested", "measured", "RETRAIN"]
    assert set(kinds(entries)[3:]) == {"trained on", "judged"}
    assert kinds(about(ledger, shipped(), year.name(52))) == ["quarantined"]


def test_a_batch_with_late_labels_was_ingested_and_measured_twice(ledger: Ledger) -> None:
    entries = about(ledger, shipped(), year.name(38))
    assert kinds(entries)[:4] == ["ingested", "ingested", "measured", "measured"]


def test_an_unknown_name_is_refused_with_those_that_exist(ledger: Ledger) -> None:
    with pytest.raises(Unknown, match=r"a version \(1, 2, .*14\) or a batch \(newest: .*2025-W52\)"):
        about(ledger, shipped(), "W99")


@pytest.mark.parametrize("outcome", ["failed", "lost"])
def test_a_run_that_came_to_no_conclusion_says_why(tmp_path: Path, outcome: str) -> None:
    written = year.played(tmp_path, 20)
    run = written.start_run(19, written.ask(19, "ui", "a new feature"))
    written.end_run(19, run, outcome, "No module named 'lightgbm'")
    entries = read(written.ledger, 2)
    assert kinds(entries) == ["RETRAIN", outcome]
    assert entries[-1].text == f"run {run.key}: No module named 'lightgbm'"
    assert f"{outcome:<12}       run {run.key}: No module" in table(entries)


def test_a_version_whose_run_failed_after_the_training_says_so(tmp_path: Path) -> None:
    written = year.played(tmp_path, 20)
    run = written.start_run(19, written.ask(19, "ui", "a new feature"))
    version = written.register(run.key, 17, 19)
    written.end_run(19, run, "failed", "the disk is full")
    assert kinds(about(written.ledger, shipped(), version)) == ["RETRAIN", "trained", "failed"]


def test_an_erasure_is_in_the_history_of_its_batches_and_versions(tmp_path: Path) -> None:
    ledger = year.written(tmp_path, 20)
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
        entries = about(ledger, shipped(), name)[-2:]
        assert [(entry.what, entry.version, entry.actor) for entry in entries] == [
            ("erasing", version, "eve"),
            ("erased", version, "eve"),
        ]
    assert entries[-1].text == f"by request: 2 row(s), in batches {year.name(3)}; can no longer be rebuilt: 2"
