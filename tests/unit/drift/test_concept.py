import pytest

from tests.support.builders import shipped
from trimtab.contracts import BatchScore
from trimtab.drift.concept import measure

SCORE = BatchScore(batch="W9", rows=6000, labelled=5900, loss=0.60, auc=0.6)
REFERENCE = {"W1": 0.48, "W2": 0.50, "W3": 0.52}


def test_it_counts_standard_deviations_above_fresh_models() -> None:
    measured = measure(SCORE, REFERENCE, shipped())
    assert (measured.reference_mean, measured.reference_sd) == (pytest.approx(0.50), pytest.approx(0.02))
    assert measured.sigmas == pytest.approx(5.0)
    assert measured.abstained is None


def test_a_better_batch_lies_below() -> None:
    sigmas = measure(
        BatchScore(batch="W9", rows=1, labelled=5900, loss=0.46, auc=0.7), REFERENCE, shipped()
    ).sigmas
    assert sigmas == pytest.approx(-2.0)


def test_too_few_labels_abstain_with_the_reason() -> None:
    measured = measure(
        BatchScore(batch="W9", rows=6000, labelled=499, loss=9.0, auc=None), REFERENCE, shipped()
    )
    assert measured.sigmas is None
    assert measured.abstained == "499 labelled rows, drift.concept.min_labels is 500"


def test_too_few_reference_batches_abstain() -> None:
    measured = measure(SCORE, {"W1": 0.5, "W2": 0.6}, shipped())
    assert (measured.sigmas, measured.abstained) == (
        None,
        "2 reference batches, drift.concept.min_reference is 3",
    )


def test_no_reference_at_all_abstains() -> None:
    assert measure(SCORE, {}, shipped()).reference_mean is None


def test_references_without_variation_abstain() -> None:
    measured = measure(SCORE, {"W1": 0.5, "W2": 0.5, "W3": 0.5}, shipped())
    assert measured.sigmas is None
    assert "equal losses" in str(measured.abstained)


def test_too_few_rows_with_a_label_abstain_and_say_how_many() -> None:
    measured = measure(
        BatchScore(batch="W9", rows=6000, labelled=2999, loss=9.0, auc=None), REFERENCE, shipped()
    )
    assert measured.sigmas is None
    assert measured.abstained == "50% of 6000 rows labelled, data.min_label_coverage is 50%"
    just = measure(BatchScore(batch="W9", rows=6000, labelled=3000, loss=9.0, auc=None), REFERENCE, shipped())
    assert just.abstained is None
