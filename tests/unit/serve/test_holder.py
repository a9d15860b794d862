"""The model that answers follows Production, and the last good one goes on."""

import time

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops.io import dumps

from tests.unit.serve.shelf import ROW, Shelf, fitted
from trimtab.serve.holder import ModelHolder, follow


def served(holder: ModelHolder) -> str:
    assert holder.serving is not None
    return holder.serving.champion.version


def test_before_the_first_promotion_there_is_no_model_and_no_trouble(tmp_path):
    holder = Shelf(tmp_path).holder()
    holder.refresh()
    assert (holder.serving, holder.trouble, holder.failures) == (None, None, 0)


def test_a_promoted_version_is_taken_over(shelf, holder):
    first = holder.serving
    shelf.promote("2")
    holder.refresh()
    assert served(holder) == "2"
    before, after = (models.ready.scorer.answers([ROW])[0] for models in (first, holder.serving))
    assert before < 0.5 < after


def test_the_model_is_not_loaded_again_while_the_version_stays(shelf, holder):
    first = holder.serving
    holder.refresh()
    assert holder.serving is first


def test_a_rollback_is_followed_as_well(shelf, holder):
    for version in ("2", "1"):
        shelf.promote(version)
        holder.refresh()
    assert served(holder) == "1"


def test_a_registry_that_is_away_is_told_and_the_model_goes_on(shelf, holder):
    shelf.away = True
    holder.refresh()
    holder.refresh()
    assert served(holder) == "1"
    assert holder.trouble == "MLflow does not answer"
    assert holder.failures == 2


def test_trouble_is_over_when_the_registry_is_back(shelf, holder):
    shelf.away = True
    holder.refresh()
    shelf.away = False
    holder.refresh()
    assert (holder.trouble, holder.failures) == (None, 1)


def test_a_file_with_a_changed_byte_is_not_taken(shelf, holder, caplog):
    shelf.promote("2")
    path = shelf.folder / shelf.champion.digest / "model.skops"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    holder.refresh()
    assert served(holder) == "1"
    assert holder.trouble == "The version in Production was refused; the log says why"
    assert "UnsafeModel: Model s: expected a file with the digest" in caplog.text


def test_a_model_that_cannot_predict_our_rows_is_not_taken(shelf, holder, caplog):
    shelf.promote("3", dumps(Pipeline([("nothing", FunctionTransformer())])))
    holder.refresh()
    assert served(holder) == "1"
    assert holder.trouble == "The version in Production could not be loaded; the log says why"
    expected = "ParamsError: params.yaml: data.label.kind: should be the kind that the model was trained for"
    assert expected in caplog.text


def test_a_challenger_that_is_gone_answers_no_more(shelf):
    holder = shelf.holder(keeps=False)
    holder.refresh()
    assert served(holder) == "1"
    shelf.champion = None
    holder.refresh()
    assert (holder.serving, holder.trouble) == (None, None)


def test_the_thread_follows_until_it_is_stopped(tmp_path):
    shelf = Shelf(tmp_path)
    holder = shelf.holder()
    stop = follow([holder], refresh_seconds=0.02)
    shelf.promote("1", fitted("1"))
    patience = time.monotonic() + 30
    while holder.serving is None and time.monotonic() < patience:
        time.sleep(0.01)
    assert served(holder) == "1"
    stop.set()
    time.sleep(0.2)
    shelf.away = True
    time.sleep(0.2)
    assert holder.failures == 0
