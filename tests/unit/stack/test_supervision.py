import tempfile
from dataclasses import replace
from pathlib import Path

from trimtab.settings import Ports
from trimtab.stack import supervision
from trimtab.stack.session import Session

PORTS = Ports(airflow=18080, tasks=18081, mlflow=15000, service=18000)


def test_a_home_without_a_stack_has_no_state(tmp_path):
    assert supervision.load(tmp_path) is None


def test_a_start_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    state = supervision.new(tmp_path, Path("/tree"), PORTS)
    state = supervision.save(tmp_path, replace(state, session=Session(leader=4242, since=1e9)))
    assert supervision.load(tmp_path) == state


def test_a_short_home_contains_the_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert supervision.new(Path("var"), Path("/tree"), PORTS).socket == "var/stack/supervisor.sock"


def test_a_long_home_has_its_socket_elsewhere_until_it_is_cleared(tmp_path):
    home = tmp_path / ("long" * 30)
    state = supervision.new(home, Path("/tree"), PORTS)
    folder = Path(state.socket).parent
    assert len(state.socket) < 100 and folder.is_dir() and home not in folder.parents
    supervision.clear(home, state)
    assert not folder.exists()


def test_a_supervisor_that_is_gone_has_no_status(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    state = supervision.new(tmp_path, Path("/tree"), PORTS)
    assert state.status() is None
    assert not state.running()
