"""A gate that is dead is told to people and to Prometheus."""

import pytest

from tests.support.playground import take_in
from trimtab.errors import CommandFailed
from trimtab.ledger import Notice
from trimtab.loop import arbitrate, retrain
from trimtab.views import prometheus


def test_a_gate_that_no_model_could_pass_is_told_once_and_shown_until_a_verdict_comes(site, monkeypatch):
    loop = site.empty(monkeypatch, "dead", gate__min_gain=5.0)
    take_in(loop, range(4))
    run_key = arbitrate.arbitrate("run", "ui", reason="test")
    for task in (retrain.checkout, retrain.prepare, retrain.train):
        task(run_key, "run")
    for _ in range(2):
        with pytest.raises(CommandFailed, match="The gate is dead"):
            retrain.evaluate(run_key, "run")
    (notice,) = loop.ledger.all(Notice)
    assert (notice.kind, f"run {run_key}" in notice.text) == ("gate_dead", True)

    retrain.close("run")
    shown = prometheus.exposition().decode().splitlines()
    for name, value in {"gate_dead": 1, "retraining_unfinished": 1, "lease_held": 0}.items():
        assert f'trimtab_{name}{{model="{loop.model}"}} {value}.0' in shown
