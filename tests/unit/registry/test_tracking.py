"""What is logged with a model."""

import pytest

from tests.support.builders import shops
from trimtab.registry import tracking
from trimtab.train.fit import build


def test_the_requirements_of_a_scikit_learn_pipeline_take_no_search_of_all_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("importlib.metadata.packages_distributions")
    names = [line.partition("==")[0] for line in tracking._requirements(build(shops()))]
    assert names == ["pandas", "scikit-learn", "skops"]
