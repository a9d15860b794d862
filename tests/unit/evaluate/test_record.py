from tests.support.scored import record, score, scored
from trimtab.evaluate.record import blocks, comparable, model, scores_of, shadow


def test_a_model_is_no_evidence_against_itself() -> None:
    batch = scored(1, {"all": 0.5})
    assert comparable([batch], model("all-1"), shadow("all")) == []


def test_two_metrics_are_not_compared() -> None:
    batch = scored(1, {"champion": score(0.2, metric="brier"), "all": 0.5})
    assert comparable([batch], model("champion"), shadow("all")) == []


def test_scores_on_other_rows_are_not_compared() -> None:
    fewer = scored(1, {"champion": score(0.5, blocks=6), "all": 0.4})
    assert comparable([fewer], model("champion"), shadow("all")) == []


def test_a_batch_without_a_shadow_is_left_out() -> None:
    missing = scored(2, {"champion": 0.5})
    seen = [*record(1, champion=0.5, all=0.4), missing]
    assert [each.batch for each in comparable(seen, model("champion"), shadow("all"))] == ["W01"]
    assert list(scores_of(seen, shadow("all"))) == ["W01"]


def test_blocks_pair_the_losses_of_the_same_rows() -> None:
    batch = scored(1, {"champion": 0.5, "all": 0.4})
    paired = blocks([batch], model("champion"), shadow("all"))
    assert [block.champion for block in paired] == [block.loss for block in batch.scores["champion"].blocks]
    assert [block.challenger for block in paired] == [block.loss for block in batch.scores["all-1"].blocks]


def test_blocks_of_a_slice_are_those_of_its_rows() -> None:
    batch = scored(
        1, {"champion": score(0.5, slices={"shop=north": 0.7}), "all": score(0.4, slices={"shop=north": 0.6})}
    )
    paired = blocks([batch], model("champion"), shadow("all"), part="shop=north")
    assert sum(block.champion for block in paired) / sum(block.rows for block in paired) > 0.65
    assert blocks([batch], model("champion"), shadow("all"), part="shop=west") == ()
