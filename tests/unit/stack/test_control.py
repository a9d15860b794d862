import pytest

from trimtab.errors import Unfit
from trimtab.stack import control


def test_a_home_without_a_stack_has_nothing_to_stop(tmp_path):
    control.stop(tmp_path)
    assert not control.running(tmp_path)
    assert control.status(tmp_path) == f"Nothing runs on {tmp_path}. `make up` starts the stack."


def test_a_folder_that_is_no_checkout_starts_nothing(tmp_path):
    with pytest.raises(Unfit, match="holds no folder `dags`"):
        control.start(tmp_path / "var", tmp_path)
    assert not (tmp_path / "var").exists()


def test_waiting_for_a_stack_that_was_not_started_says_so(tmp_path):
    with pytest.raises(Unfit, match=r"No stack runs on .*\. Start it with `make up`"):
        control.wait_healthy(tmp_path, timeout=1)
