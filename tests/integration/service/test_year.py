"""What is served is what the registered model says, on every flight of the year."""

import json

import numpy as np
import pandas as pd

from examples.flights import flights
from tests.support.builders import shipped
from trimtab.serve.row_checker import RowChecker
from trimtab.serve.scoring import scorer
from trimtab.train.fit import build, fit, predict

TRAINED_WEEKS = 12
PACKAGE = 1000


def test_every_flight_of_the_year_is_answered_as_the_model_does():
    parameters = shipped()
    weeks = [week.rows for week in flights.weeks()]
    training_rows = pd.concat(weeks[:TRAINED_WEEKS], ignore_index=True)
    pipeline = fit(
        build(parameters), parameters, training_rows[training_rows["label"].notna()].reset_index(drop=True)
    )
    fast, checker = scorer(pipeline, parameters), RowChecker(parameters.data, PACKAGE)
    assert fast.fast
    asked = 0
    for week in weeks:
        text = week[["row_id", "event_time", *parameters.data.features]].to_json(
            orient="records", date_format="iso", date_unit="us", double_precision=15
        )
        rows = json.loads(text)
        answered = np.concatenate(
            [
                fast.answers(checker.check({"rows": rows[start : start + PACKAGE]}).rows)
                for start in range(0, len(rows), PACKAGE)
            ]
        )
        assert np.array_equal(answered, predict(pipeline, parameters, week))
        asked += len(rows)
    assert asked == 336_776
