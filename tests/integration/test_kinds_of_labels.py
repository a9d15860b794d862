"""The loop with a label of several classes and with one that is a number: trained, deployed, measured, refused."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from examples.flights.flights import Week
from tests.support import playground
from tests.support.moments import Site
from tests.support.playground import answered, asked, monitored
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import Answer, Measurement
from trimtab.loop import ingest
from trimtab.loop.loop import Loop
from trimtab.registry import load
from trimtab.train.fit import predict

ROWS = 600
FEATURES = {
    "shop": {"kind": "category", "nullable": False, "categories": ["north", "south"]},
    "price": {"kind": "number", "nullable": True, "min": 0.0, "max": 100.0},
}
CLASSES = ["few", "some", "many"]
KINDS = {
    "multiclass": {
        "data__label": {"kind": "multiclass", "classes": CLASSES},
        "gate__metric": "log_loss",
    },
    "regression": {
        "data__label": {"kind": "regression", "min": 0.0, "max": 300.0},
        "gate__metric": "squared_error",
        "model__estimator": "sklearn.ensemble.HistGradientBoostingRegressor",
        "gate__baseline": "sklearn.dummy.DummyRegressor",
    },
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop_loop(kind: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    changes = {
        "model__name": "demand",
        "data__features": FEATURES,
        "gate__slices": ["shop"],
        "gate__slice_min_rows": 100,
    } | KINDS[kind]
    return site.empty(monkeypatch, kind, **changes)


def sold(kind: str, number: int) -> tuple[str, pd.DataFrame, Week]:
    """A week of sales: the cheaper the more, in the south twice as many."""
    draw = np.random.default_rng(number)
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=number)
    price = draw.uniform(1.0, 100.0, ROWS)
    shop = draw.choice(["north", "south"], ROWS)
    count = (100 - price) * np.where(shop == "south", 2.0, 1.0) + draw.uniform(0, 40, ROWS)
    label = (
        count if kind == "regression" else pd.cut(count, [-1, 70, 130, 999], labels=CLASSES).astype(object)
    )
    times = pd.DatetimeIndex([start + timedelta(minutes=16 * row) for row in range(ROWS)])
    frame = pd.DataFrame({"row_id": [f"{number}-{row}" for row in range(ROWS)], "event_time": times})
    frame = frame.assign(shop=shop, price=price, label=label, label_known_at=times + pd.Timedelta(hours=1))
    batch = f"2026-W{number + 2:02d}"
    week = Week(batch=batch, start=start, end=start + timedelta(weeks=1), partial=False, rows=frame)
    return batch, frame, week


def taken_in(loop: Loop, batch: str, frame: pd.DataFrame, week: Week) -> dict[str, object]:
    playground.land(loop.stores.landing, batch, frame, week)
    return ingest.ingest(batch)


def test_the_loop_closes(shop_loop: Loop, kind: str) -> None:
    for number in range(4):
        assert taken_in(shop_loop, *sold(kind, number))["outcome"] == "ingested"
    assert monitored("monitor-first") == 1
    first = answered("first")
    assert first is not None and (first["action"], first["version"]) == ("DEPLOY", "1")

    champion = shop_loop.champion()
    assert champion is not None
    pipeline = load.load(
        champion.source, champion.digest, shop_loop.params.model.trusted_types, cache=shop_loop.stores.home
    )
    predicted = predict(pipeline, shop_loop.params, sold(kind, 9)[1].head(5))
    assert predicted.shape == ((5, 3) if kind == "multiclass" else (5,))

    for number in range(4, 6):
        taken_in(shop_loop, *sold(kind, number))
    monitored("monitor-second")
    scores = shop_loop.ledger.all(Measurement)[-1].scores
    assert all((score.auc is None) == (kind == "regression") for score in scores.values())
    assert scores[champion.run_id].loss < scores[BASELINE].loss
    second = asked("second")
    assert second is not None and (second["action"], second["version"]) == ("DEPLOY", "2"), second
    evidence = shop_loop.ledger.require(Answer, "ui:second").evidence
    assert evidence is not None
    names = [check.name for check in evidence.checks]
    assert ("calibration" in names) == (kind == "multiclass")
    assert {"predictions", "baseline", "edges of the data contract", "latency", "size"} <= set(names)
    assert any(name.startswith("slice shop=") for name in names)


def test_a_label_outside_the_contract_is_quarantined_by_row(shop_loop: Loop, kind: str) -> None:
    batch, frame, week = sold(kind, 0)
    frame.loc[3, "label"] = "heaps" if kind == "multiclass" else 301.0
    assert taken_in(shop_loop, batch, frame, week)["outcome"] == "ingested"
    (entry,) = shop_loop.quarantine.entries()
    expected = "few, some, many or null" if kind == "multiclass" else "0 to 300, or null"
    assert shop_loop.quarantine.rows(entry.name)["fault"].tolist() == [
        f"label: expected {expected}, got {'heaps' if kind == 'multiclass' else '301.0'}"
    ]


def test_labels_of_another_type_refuse_the_batch(shop_loop: Loop, kind: str) -> None:
    batch, frame, week = sold(kind, 0)
    wrong = frame.assign(label=1 if kind == "multiclass" else "many")
    taken_in(shop_loop, batch, wrong, week)
    (entry,) = shop_loop.quarantine.entries()
    expected = "text in label, got values such as 1" if kind == "multiclass" else "numbers in label"
    assert expected in entry.reason
