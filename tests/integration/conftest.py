"""Fixtures of the integration tests: loops on real stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import playground
from trimtab.steps.initialise import initialise
from trimtab.steps.loop import Loop

SMALL = {
    "train__start_batches": 4,
    "train__reference_batches": 3,
    "model__settings": {
        "max_iter": 30,
        "learning_rate": 0.1,
        "min_samples_leaf": 50,
        "early_stopping": False,
    },
    "gate__min_blocks": 5,
    "gate__block_hours": 4,
    "gate__batch_correlation": 0.0,
    "gate__looks": 1,
    "gate__min_gain": 0.0,
    "gate__error": 0.2,
    "gate__refit_tolerance": 0.5,
    "drift__data__sample_rows": 300,
    "drift__concept__min_labels": 100,
    "drift__concept__min_reference": 2,
}
"""A loop that trains in a blink."""


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """An empty loop, initialised."""
    for name, value in playground.environment(tmp_path / "var").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # without a server, MLflow puts artifacts below the working directory
    initialise(playground.tree(tmp_path / "tree", **SMALL))
    yield playground.opened()
