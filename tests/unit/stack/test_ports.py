import socket

from trimtab.stack.preflight import is_free


def test_a_port_is_free_until_something_listens_on_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_server_on_all_addresses_takes_the_port_too():
    with socket.create_server(("", 0)) as server:
        assert not is_free(server.getsockname()[1])
