"""The state that the service starts from while the stores are away."""

from tests.unit.serve.shelf import ROW, WANTED
from trimtab.errors import StoreUnreachable
from trimtab.serve.holder import ModelHolder, summary
from trimtab.serve.preparing import LAST_GOOD, last_good, remember


def test_what_was_written_answers_as_before(tmp_path, holder):
    remember(tmp_path, holder.serving)
    params, serving = last_good(tmp_path, None)
    assert params == WANTED
    assert list(params.data.features) == list(WANTED.data.features)
    assert serving.version == holder.serving.version
    assert (serving.commit, serving.batches) == ("c0ffee", {"w1": "revision 1, md5 0"})
    before = holder.serving.scorer.answers([ROW])
    assert serving.scorer.answers([ROW]).tolist() == before.tolist()


def test_there_is_none_before_the_first_version(tmp_path):
    assert last_good(tmp_path / "models", None) is None


def test_that_of_another_model_is_not_taken(tmp_path, holder):
    remember(tmp_path, holder.serving)
    other = WANTED.model_copy(update={"model": WANTED.model.model_copy(update={"name": "other"})})
    assert last_good(tmp_path, other) is None


def test_a_file_of_another_form_is_set_aside(tmp_path, caplog):
    path = tmp_path / LAST_GOOD
    for content in (b"", b"{}", b'{"version": '):
        path.write_bytes(content)
        assert last_good(tmp_path, None) is None
        assert path.with_suffix(".corrupt").read_bytes() == content
        assert not path.exists()
    assert f"{path} cannot be used and was moved to" in caplog.text


def test_a_disk_that_takes_nothing_is_logged(tmp_path, holder, caplog):
    (tmp_path / "models").write_text("a file where the folder should be")
    remember(tmp_path / "models", holder.serving)
    assert "without it the service cannot start while a store is unavailable" in caplog.text


def test_a_note_is_told_while_looks_succeed(shelf, holder):
    noted = ModelHolder(find=shelf.find, prepare=shelf.prepare, serving=holder.serving, note="a note")
    noted.refresh()
    assert (noted.serving, noted.trouble) == (holder.serving, "a note")
    shelf.away = True
    noted.refresh()
    assert noted.trouble == "MLflow does not answer. a note"


def test_a_failure_is_summed_up_without_its_text():
    secret = "http://admin:hunter2@here"
    away = StoreUnreachable("The ledger", secret, "TRIMTAB_LEDGER_URL", secret)
    assert summary(away) == "The ledger does not answer"
    assert secret not in summary(ValueError(secret))
