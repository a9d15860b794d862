import os
import socket
from pathlib import Path

import pytest

from tests.support.waiting import free_ports
from trimtab.errors import Unfit
from trimtab.settings import Ports
from trimtab.stack import preflight


def _free_ports() -> Ports:
    airflow, tasks, mlflow, service = free_ports(4)
    return Ports(airflow=airflow, tasks=tasks, mlflow=mlflow, service=service)


def test_this_machine_passes_with_a_new_home(tmp_path):
    (tmp_path / "dags").mkdir()
    preflight.check(tmp_path / "not" / "there" / "yet", tmp_path, _free_ports())


def test_an_old_python_is_named():
    with pytest.raises(
        Unfit, match=r"Python 3\.10 is too old\. Make the environment with Python 3\.11 or newer"
    ):
        preflight.check_python((3, 10))


def test_a_newer_python_is_fine():
    preflight.check_python((3, 13))


def test_a_missing_git_is_named():
    with pytest.raises(Unfit, match="There is no git on PATH. Install git"):
        preflight.check_git(None)


def test_a_full_disk_is_named_with_what_is_needed():
    with pytest.raises(Unfit, match=r"/data/var has 1\.9 GB free, 2 GB are needed\. .*TRIMTAB_HOME"):
        preflight.check_disk(Path("/data/var"), free=1_900_000_000)


def test_a_folder_without_dags_is_no_checkout(tmp_path):
    with pytest.raises(Unfit, match="holds no folder `dags`. Run this from a checkout"):
        preflight.check_tree(tmp_path)


def test_a_port_in_use_is_named_with_its_user_and_its_variable():
    free = _free_ports()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = Ports(airflow=free.airflow, tasks=free.tasks, mlflow=port, service=free.service)
        with pytest.raises(Unfit, match=rf"Port {port} is in use by .*\(process {os.getpid()}\)") as caught:
            preflight.check_ports(ports)
    assert str(caught.value).endswith("End that, or set TRIMTAB_MLFLOW_PORT to another port.")


def test_two_servers_on_one_port_are_refused():
    free = _free_ports()
    ports = free.model_copy(update={"service": free.airflow})
    with pytest.raises(Unfit, match=rf"same port \(airflow={free.airflow} .* service={free.airflow}\)"):
        preflight.check_ports(ports)
