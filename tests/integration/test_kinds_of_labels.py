"""The loop with a label of several classes and with one that is a number: trained, judged, promoted, measured, refused."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from examples.flights.flights import Week
from tests.support import playground
from tests.support.moments import Site
from tests.support.playground import retrained
from trimtab.ledger import Judgement
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import ingest, measure, monitor
from trimtab.loop.loop import Loop
from trimtab.registry import load
from trimtab.train.fit import predict

ROWS = 600
SIGMAS = 20.0
"""Two reference batches that are alike by construction say little about how batches vary."""
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
    changes = {"model__name": "demand", "data__features": FEATURES, "gate__slices": ["shop"]} | KINDS[kind]
    return site.empty(monkeypatch, kind, **(changes | {"drift__concept__sigmas": SIGMAS}))


def sold(kind: str, number: int, *, flipped: bool = False) -> tuple[str, pd.DataFrame, Week]:
    """A week of sales: the cheaper the more, in the south twice as many; flipped, the dearer the more."""
    draw = np.random.default_rng(number)
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=number)
    price = draw.uniform(1.0, 100.0, ROWS)
    shop = draw.choice(["north", "south"], ROWS)
    pull = price if flipped else 100 - price
    count = pull * np.where(shop == "south", 2.0, 1.0) + draw.uniform(0, 40, ROWS)
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
    first = retrained("first")
    assert first["verdict"] == "PROMOTE", first
    verdict = shop_loop.ledger.all(Judgement)[-1].verdict
    assert verdict is not None
    names = [check.name for check in verdict.checks]
    assert names == ["predictions", "latency", "size"]
    assert [score.auc is None for score in verdict.challenger_scores] == [kind == "regression"] * 2

    champion = shop_loop.champion()
    assert champion is not None
    pipeline = load.load(
        champion.source, champion.digest, shop_loop.params.model.trusted_types, cache=shop_loop.stores.home
    )
    said = predict(pipeline, shop_loop.params, sold(kind, 9)[1].head(5))
    assert said.shape == ((5, 3) if kind == "multiclass" else (5,))

    taken_in(shop_loop, *sold(kind, 4))
    taken_in(shop_loop, *sold(kind, 5, flipped=True))
    calm, flipped = (measure.measure(item) for item in monitor.find_unmonitored())
    assert calm["concept"]["sigmas"] < SIGMAS < flipped["concept"]["sigmas"]
    monitor.assess()
    assert [request.source for request in waiting_requests(shop_loop.ledger)] == ["drift"]

    second = retrained("second", force=True)  # judged on both weeks, the calm one and the flipped one
    assert second["verdict"] in ("PROMOTE", "REJECT"), second
    checked = shop_loop.ledger.all(Judgement)[-1].verdict
    assert checked is not None
    assert ("calibration" in [check.name for check in checked.checks]) == (kind == "multiclass")
    assert "baseline" in [check.name for check in checked.checks]


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
