"""Four policies on the same rows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from examples.flights.records import Line
from examples.flights.scorecard import Batch, Recipe, evenly, judged_rows, scorecard
from trimtab import params
from trimtab.contracts import BatchScore

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def parameters() -> params.Params:
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["gate"]["slices"] = []
    raw["data"]["features"] = {"heat": {"kind": "number", "nullable": False, "min": 0, "max": 1}}
    raw["model"]["estimator"] = "sklearn.linear_model.LogisticRegression"
    raw["model"]["settings"] = {}
    return params.parse(yaml.safe_dump(raw))


def week(place: int, *, turned: bool = False, served: bool = True, late: bool = False) -> Batch:
    """200 rows whose label is `heat > 0.5`, or the opposite when `turned`."""
    heat = np.random.default_rng(place).random(200)
    ids = [f"{place}-{row}" for row in range(200)]
    at = MONDAY + WEEK * (place + (3 if late else 1)) - timedelta(hours=1)
    rows = pd.DataFrame(
        {"row_id": ids, "heat": heat, "label": pd.array((heat > 0.5) != turned, dtype="Int64")}
    )
    rows["label_known_at"] = pd.Timestamp(at)
    return Batch(
        name=f"W{place}",
        end=MONDAY + WEEK * (place + 1),
        rows=rows,
        served=pd.Series(0.5, index=ids) if served else None,
    )


def by_batch(line: Line) -> dict[str, BatchScore]:
    return {score.batch: score for score in line.scores}


def play(batches: list[Batch], parameters: params.Params, retrainings: int):
    first = Recipe(batches=["W0", "W1"], cutoff=batches[1].end)
    return scorecard(batches, first, parameters, retrainings=retrainings, promotions=1)


def test_an_even_schedule_leaves_equal_stretches():
    assert sorted(evenly(45, 4)) == [9, 18, 27, 36]


def test_without_retrainings_the_schedule_is_the_first_model(parameters):
    batches = [week(place, served=place > 1) for place in range(4)]

    _, never, schedule, _ = play(batches, parameters, 0)

    assert schedule.scores == never.scores


def test_when_the_world_turns_only_retraining_recovers(parameters):
    batches = [week(place, served=place > 1, turned=place > 2) for place in range(12)]

    _, never, _, weekly = play(batches, parameters, 1)

    assert by_batch(never)["W11"].auc < 0.1
    assert by_batch(weekly)["W11"].auc > 0.9


def test_managed_is_what_was_served(parameters):
    batches = [week(place, served=place > 1) for place in range(4)]

    managed = play(batches, parameters, 1)[0]

    assert [round(score.loss, 4) for score in managed.scores] == [0.6931, 0.6931]


def test_the_lines_count_retrainings_after_the_first_training(parameters):
    batches = [week(place, served=place > 1) for place in range(6)]

    lines = play(batches, parameters, 2)

    assert [(line.policy, line.retrainings, line.promotions) for line in lines] == [
        ("managed by trimtab", 2, 1),
        ("never retrained", 0, 0),
        ("a schedule with as many retrainings", 2, 2),
        ("retrained every week", 4, 4),
    ]


def weekly_score_of_w3(parameters: params.Params, second: Batch):
    weekly = play([week(0, served=False), week(1, served=False), second, week(3)], parameters, 0)[3]
    return by_batch(weekly)["W3"]


def test_labels_known_in_time_change_what_is_trained(parameters):
    straight, turned = week(2), week(2, turned=True)

    assert weekly_score_of_w3(parameters, straight) != weekly_score_of_w3(parameters, turned)


def test_labels_known_later_change_nothing_before(parameters):
    straight, turned = week(2, late=True), week(2, turned=True, late=True)

    assert weekly_score_of_w3(parameters, straight) == weekly_score_of_w3(parameters, turned)


def test_only_rows_that_were_served_and_have_a_label_are_judged():
    batch = week(2)
    batch.rows.loc[0, "label"] = pd.NA
    batch.served.drop(["2-1"], inplace=True)

    assert judged_rows(batch)["row_id"].tolist() == [f"2-{row}" for row in range(2, 200)]
