import socket

import pytest

from trimtab.errors import Unfit
from trimtab.stack.ports import Ports, from_environment, is_free


def test_the_usual_ports_hold_where_nothing_is_set():
    assert from_environment({}) == Ports(airflow=8080, tasks=8081, mlflow=5000, service=8000)


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_refused_by_the_name_of_its_variable(text):
    with pytest.raises(Unfit, match="TRIMTAB_MLFLOW_PORT should be a port number, got"):
        from_environment({"TRIMTAB_MLFLOW_PORT": text})


def test_two_servers_on_one_port_are_refused():
    with pytest.raises(Unfit, match="TRIMTAB_AIRFLOW_PORT and TRIMTAB_SERVICE_PORT both name port 8080"):
        from_environment({"TRIMTAB_SERVICE_PORT": "8080"})


def test_a_port_is_free_until_something_listens_on_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_server_on_all_addresses_takes_the_port_too():
    with socket.create_server(("", 0)) as server:
        assert not is_free(server.getsockname()[1])
