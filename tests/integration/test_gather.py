"""Batches of the prediction log: what was served in a window joined with the truth, and again when labels come late."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.support import playground
from tests.support.moments import SMALL
from trimtab.ledger import Batch, state
from trimtab.loop import gather, ingest
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog
from trimtab.predictions.records import Outcome, Prediction

MONDAY = datetime(2026, 1, 5, 5, tzinfo=UTC)
"""Midnight in New York."""
RULE = {"every": "week", "wait_hours": 24.0, "again_share": 0.25, "until_days": 30.0}
ROWS = 8


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    for name, value in playground.environment(tmp_path / "var").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    initialise(playground.tree(tmp_path / "tree", **(SMALL | {"data__log": RULE})))
    return playground.opened()


@pytest.fixture
def store(loop: Loop) -> PredictionLog:
    log = open_log(loop.stores.prediction_log, loop.params.predictions)
    log.prepare()
    return log


def at(monkeypatch: pytest.MonkeyPatch, days: float) -> list[str]:
    """Gather so many days after the week's begin, and take in what landed."""
    monkeypatch.setenv("TRIMTAB_NOW", (MONDAY + timedelta(days=days)).isoformat())
    landed = gather.gather()
    for batch in landed:
        ingest.ingest(batch)
    return landed


def served(store: PredictionLog, rows: pd.DataFrame, *, role: str = "champion") -> None:
    store.add(
        [
            Prediction(
                prediction_id=f"{role}-{number}",
                row_id=f"row-{number}",
                model=playground.MODEL,
                version="1",
                served_at=MONDAY + timedelta(hours=number),
                event_time=MONDAY + timedelta(hours=number),
                answer=0.25,
                features=row,
                role=role,
            )
            for number, row in enumerate(rows.to_dict("records"))
        ]
    )


def observe(store: PredictionLog, numbers: Sequence[int], *, days: float, label: int = 1) -> None:
    known_at = MONDAY + timedelta(days=days)
    store.add_outcomes(
        [
            Outcome(
                model=playground.MODEL,
                row_id=f"row-{number}",
                prediction_id=None,
                label=label,
                label_known_at=known_at,
                received_at=known_at,
            )
            for number in numbers
        ]
    )


def manifests(loop: Loop) -> list[tuple[int, int, int]]:
    return [
        (record.manifest.revision, record.manifest.rows, record.manifest.labelled)
        for record in state.batches_in_force(loop.ledger.all(Batch))
    ]


def some_rows(loop: Loop) -> pd.DataFrame:
    features = playground.weeks()[0].rows[list(loop.params.data.features)].head(ROWS).astype(object)
    return features.where(features.notna(), None)


def test_a_window_becomes_a_batch_and_a_revision_with_enough_new_labels(
    loop: Loop, store: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some_rows(loop)
    served(store, rows)
    served(store, rows.head(2), role="shadow")
    observe(store, [0, 1], days=6)
    assert at(monkeypatch, 7.9) == [], "its labels are waited for"

    assert at(monkeypatch, 8.1) == ["2026-W02"]
    assert manifests(loop) == [(1, ROWS, 2)]
    record = state.batches_in_force(loop.ledger.all(Batch))[-1]
    assert record.manifest.label_age_hours == pytest.approx(26.4)
    assert (record.manifest.start, record.manifest.end) == (MONDAY, MONDAY + timedelta(days=7))
    stored = loop.origin.fetch_batch("2026-W02", md5=record.md5, commit=record.commit)
    assert stored["label"].tolist() == [1, 1, *[pd.NA] * 6]
    assert stored["carrier"].tolist() == rows["carrier"].tolist()
    assert at(monkeypatch, 8.2) == [], "nothing is new"

    observe(store, [2], days=9)
    assert at(monkeypatch, 10) == [], "one of eight is less than a quarter"
    observe(store, [3], days=11)
    observe(store, [0], days=11, label=0)
    assert at(monkeypatch, 12) == ["2026-W02"]
    assert manifests(loop)[-1] == (2, ROWS, 4)

    observe(store, [1], days=36, label=0)
    assert at(monkeypatch, 36.5) == []
    assert at(monkeypatch, 37.5) == ["2026-W02"], "in its last look one correction is enough"
    assert at(monkeypatch, 37.6) == []
    record = state.batches_in_force(loop.ledger.all(Batch))[-1]
    assert record.manifest.revision == 3
    stored = loop.origin.fetch_batch("2026-W02", md5=record.md5, commit=record.commit)
    assert stored["label"].tolist()[:4] == [0, 0, 1, 1]
    observe(store, [4], days=39)
    assert at(monkeypatch, 40) == [], "it is let rest"


def test_labels_that_were_not_known_yet_are_not_there(
    loop: Loop, store: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(store, some_rows(loop))
    observe(store, range(4), days=20)
    at(monkeypatch, 8.1)
    assert manifests(loop) == [(1, ROWS, 0)]


def test_a_batch_that_waits_in_the_landing_folder_is_left_alone(
    loop: Loop, store: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(store, some_rows(loop))
    monkeypatch.setenv("TRIMTAB_NOW", (MONDAY + timedelta(days=9)).isoformat())
    assert gather.gather() == ["2026-W02"]
    observe(store, range(ROWS), days=8)
    assert gather.gather() == []
    assert ingest.ingest("2026-W02")["outcome"] == "ingested"
    assert gather.gather() == ["2026-W02"]


def declared(loop: Loop, **changes: dict[str, object] | None) -> dict[str, object]:
    """Features of the contract with changes; None drops one."""
    features = {name: feature.model_dump() for name, feature in loop.params.data.features.items()} | changes
    return {name: feature for name, feature in features.items() if feature is not None}


def outcome_of_week(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv("TRIMTAB_NOW", (MONDAY + timedelta(days=8.1)).isoformat())
    assert gather.gather() == ["2026-W02"]
    return ingest.ingest("2026-W02")


HOLIDAY = {"kind": "number", "nullable": True, "min": 0.0, "max": 1.0}


def test_a_new_feature_is_null_in_rows_that_were_served_without_it(
    loop: Loop, store: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(store, some_rows(loop))
    playground.push(loop, data__features=declared(loop, holiday=HOLIDAY, temp=None))
    assert outcome_of_week(loop, monkeypatch)["outcome"] == "ingested"
    record = state.batches_in_force(loop.ledger.all(Batch))[-1]
    stored = loop.origin.fetch_batch("2026-W02", md5=record.md5, commit=record.commit)
    assert stored["holiday"].isna().all() and "temp" not in stored


@pytest.mark.parametrize("sent", [0, 2])
def test_a_new_feature_that_is_not_nullable_sends_such_rows_to_quarantine(
    loop: Loop, store: PredictionLog, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    rows = some_rows(loop)
    served(store, rows)
    if sent:
        served(store, rows.head(sent).assign(holiday=1.0), role="holdback")
    playground.push(loop, data__features=declared(loop, holiday={**HOLIDAY, "nullable": False}))
    outcome = outcome_of_week(loop, monkeypatch)
    assert outcome["outcome"] == "quarantined"
    expected = "holiday: expected a value, got null" if sent else "got nothing but nulls in holiday"
    assert expected in str(outcome["reason"])


def test_features_and_labels_of_another_kind_go_to_quarantine_with_a_reason(
    loop: Loop, store: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(store, some_rows(loop))
    observe(store, [0, 1], days=6)
    carrier = {**HOLIDAY, "nullable": False}
    playground.push(loop, data__features=declared(loop, carrier=carrier))
    outcome = outcome_of_week(loop, monkeypatch)
    assert "nothing but nulls in carrier" in str(outcome["reason"])
    playground.push(
        loop,
        data__features=declared(loop),
        data__label={"kind": "multiclass", "classes": ["early", "late"]},
    )
    outcome = outcome_of_week(loop, monkeypatch)
    assert outcome["outcome"] == "quarantined"
    assert "label: expected early, late or null, got 1" in str(outcome["reason"])


def test_without_a_rule_nothing_is_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in playground.environment(tmp_path / "var").items():
        monkeypatch.setenv(name, value)
    initialise(playground.tree(tmp_path / "tree", **SMALL))
    assert gather.gather() == []
