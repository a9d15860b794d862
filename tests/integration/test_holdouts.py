"""Holdouts that say little or nothing: a verdict with its reason, never a crash and never a promotion."""

from pathlib import Path

import pandas as pd
import pytest

from trimtab.contracts import ModelVersion, Verdict, from_json
from trimtab.ledger import Version
from trimtab.loop import arbitrate, retrain
from trimtab.loop.loop import Loop
from trimtab.project import evaluate
from trimtab.trigger.planning import write_champion


@pytest.fixture
def trained(fed: Loop) -> Path:
    """The checkout of a run whose challenger is trained, and plays champion as well."""
    run_key = arbitrate.arbitrate("run", "ui", reason="test")
    for task in (retrain.checkout, retrain.prepare, retrain.train):
        task(run_key, "run")
    return fed.stores.work / str(run_key)


def judged(folder: Path, rows: pd.DataFrame) -> Verdict:
    rows.to_parquet(folder / "build" / "judge.parquet", index=False)
    evaluate.evaluate(folder)
    return from_json(Verdict, (folder / "build" / "verdict.json").read_bytes())


def test_holdouts_that_say_nothing(trained: Path, fed: Loop) -> None:
    rows = pd.read_parquet(trained / "build" / "judge.parquet")

    one_class = judged(trained, rows.assign(label=0))
    assert one_class.kind in ("PROMOTE", "REJECT")  # a loss needs no second class
    assert [score.auc for score in one_class.challenger_scores] == [None, None]

    three = judged(trained, rows.head(3))
    assert three.kind == "REJECT"  # against the baseline there is one look, and it is over
    assert three.reason.endswith("fewer blocks than the 5 of gate.min_blocks")
    assert three.comparison.rows == 3

    nothing = judged(trained, rows.head(0))
    assert nothing.kind == "REJECT"
    assert (nothing.comparison.rows, nothing.comparison.gain, nothing.blocks) == (0, 0.0, ())

    (version,) = fed.ledger.all(Version, run_key="flight-delay-1")
    champion: ModelVersion = version.model_version
    write_champion(trained / "champion.yaml", champion)
    equal = judged(trained, rows)
    assert equal.kind == "REJECT", equal.reason
    assert (equal.comparison.gain, equal.comparison.lower, equal.comparison.upper) == (0.0, 0.0, 0.0)
    assert equal.champion == champion.version
