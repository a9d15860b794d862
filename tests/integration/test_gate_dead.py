"""A guard that is dead is told to people, and nothing is deployed until it lives again."""

import pytest

from tests.support import playground
from tests.support.moments import Site
from trimtab.errors import GateDead
from trimtab.ledger import Notice, Request, Run
from trimtab.loop import arbitrate
from trimtab.views import prometheus

TOO_WIDE = {
    "data__label": {"kind": "regression", "min": -1e160, "max": 1e160},
    "model__estimator": "sklearn.ensemble.HistGradientBoostingRegressor",
    "gate__metric": "squared_error",
    "gate__baseline": "sklearn.dummy.DummyRegressor",
}
"""A label whose squared errors are no numbers, so that no two models can be told apart."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_guard_that_tells_no_models_apart_deploys_nothing_and_is_told_once_a_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = site.empty(monkeypatch, "dead", **TOO_WIDE)
    for _ in range(2):
        with pytest.raises(GateDead):
            arbitrate.arbitrate("run", "ui", reason="test")
    (notice,) = loop.ledger.all(Notice)
    assert (notice.kind, notice.key) == ("gate_dead", "gate_dead:run")
    assert (loop.ledger.keys(Request), loop.ledger.all(Run)) == (["ui:run"], [])
    assert f'trimtab_gate_dead{{model="{loop.model}"}} 1.0' in prometheus.exposition().decode().splitlines()

    playground.push(loop, data__label={"kind": "regression", "min": -1e9, "max": 1e9})
    assert arbitrate.arbitrate("run", "ui", reason="test") is None
    assert len(loop.ledger.all(Notice)) == 1
